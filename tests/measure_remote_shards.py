"""How fast shards come from a web server that answers after 0 or 30 ms:
``python tests/measure_remote_shards.py [megabytes]``.

Plain is one GET a shard with http.client, one after the other, its bytes thrown away.
"""

import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiny_shards import number_blocks, write_shards

from cxrfuture_data.node_cache import NodeCache
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.places import Places
from cxrfuture_data.remote_shards import RemoteShards

SAMPLE = (20_000, 1_000)
BLOCK = 64  # samples
RUNS = 3  # the first has fsspec to import
WAITS = (0.0, 0.03)  # seconds


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    with tempfile.TemporaryDirectory() as folder:
        samples = megabytes * 10**6 // 4 // sum(SAMPLE) // BLOCK * BLOCK
        places = write_shards(Path(folder, "train"), 4, samples, SAMPLE)
        for seconds in WAITS:
            with serve(folder, seconds) as url:
                for number in range(RUNS):
                    cache = Path(folder, f"cache-{seconds}-{number}")
                    print(f"{seconds * 1e3:.0f} ms, {measure(url, places, cache)}", flush=True)


@contextmanager
def serve(folder: str, seconds: float) -> Iterator[str]:
    """A server in a process of its own."""
    program = [sys.executable, str(Path(__file__).with_name("range_server.py"))]
    with subprocess.Popen(
        [*program, folder, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield server.stdout.readline().strip()
        server.stdin.close()


def measure(url: str, places: Places, folder: Path) -> str:
    size = int(places.size.sum()) + 512 * places.size.size
    plain = read_plainly(url, places)
    first, cold, work = read_all(url, places, folder)
    first_warm, warm, _ = read_all(url, places, folder)
    return (
        f"{size / 1e6:.0f} MB: plain {size / plain / 1e6:,.0f} MB/s; "
        f"cold {size / cold / 1e6:,.0f} MB/s (of a processor {size / work / 1e6:,.0f}), "
        f"first sample after {first * 1e3:.0f} ms; "
        f"warm {size / warm / 1e6:,.0f} MB/s, first after {first_warm * 1e3:.0f} ms"
    )


def read_plainly(url: str, places: Places) -> float:
    """Seconds for every shard as one answer, one after the other, and thrown away."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    for name in places.shards:
        connection.request("GET", f"/train/{name}")
        with connection.getresponse() as answer:
            while answer.read(1 << 20):
                pass
    return time.perf_counter() - started


def read_all(url: str, places: Places, folder: Path) -> tuple[float, float, float]:
    """Seconds until the first sample is there, until all are, and of processors."""
    started, worked = time.perf_counter(), time.process_time()
    block = number_blocks(places, BLOCK)
    shards = RemoteShards(
        ObjectStore(f"{url}/train"), places, (0, 1), block, NodeCache(folder, 10**10)
    )
    shards.expect(range(int(block[-1]) + 1))
    shards.place(0, 0)
    first = time.perf_counter() - started
    for position in range(len(block)):
        shards.place(position, 0)
    seconds = time.perf_counter() - started
    shards.close()
    return first, seconds, time.process_time() - worked


if __name__ == "__main__":
    main()

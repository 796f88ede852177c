"""How fast shards come from a web server: python tests/measure_remote_shards.py [megabytes]"""

import http.client
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tiny_shards import number_blocks, write_shards

from cxrfuture_data.node_cache import NodeCache
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.places import Places
from cxrfuture_data.remote_shards import RemoteShards

SAMPLE = (20_000, 1_000)
BLOCK = 64  # samples
RUNS = 3


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    with tempfile.TemporaryDirectory() as folder:
        samples = megabytes * 10**6 // 4 // sum(SAMPLE) // BLOCK * BLOCK
        places = write_shards(Path(folder, "train"), 4, samples, SAMPLE)
        program = [sys.executable, str(Path(__file__).with_name("range_server.py")), folder]
        with subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            url = server.stdout.readline().strip()
            try:
                for number in range(RUNS):
                    measure(url, places, Path(folder, f"cache-{number}"))
            finally:
                server.stdin.close()


def measure(url: str, places: Places, folder: Path) -> None:
    size = int(places.size.sum()) + 512 * places.size.size
    plain = read_plainly(url, places)
    first, cold = read_all(url, places, folder)
    first_warm, warm = read_all(url, places, folder)
    print(
        f"{size / 1e6:.0f} MB: http.client {size / plain / 1e6:,.0f} MB/s; "
        f"cold {size / cold / 1e6:,.0f} MB/s, first sample after {first * 1e3:.0f} ms; "
        f"warm {size / warm / 1e6:,.0f} MB/s, first after {first_warm * 1e3:.1f} ms"
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


def read_all(url: str, places: Places, folder: Path) -> tuple[float, float]:
    """Seconds until the first sample is there, and until all are, a block at a time."""
    started = time.perf_counter()
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
    return first, seconds


if __name__ == "__main__":
    main()

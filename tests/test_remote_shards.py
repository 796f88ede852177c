"""Shards on an object store, read through the cache of a node."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from object_server import BUCKET
from range_server import run_range_server, wait_until
from tiny_shards import number_blocks, read_member, write_shards

from cxrfuture_data import ahead, node_cache, ranges
from cxrfuture_data.claim import claim, part_of
from cxrfuture_data.node_cache import NodeCache
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.piece import PieceSource, plan_blocks
from cxrfuture_data.remote_shards import RemoteShards
from cxrfuture_data.schema import ContractError

FORK = multiprocessing.get_context("fork")
TESTS = Path(__file__).resolve().parent
SIZES = (2000, 300, 1500)
SAMPLES = 24  # of each of 2 shards
BLOCK = 6  # samples
BLOCKS = 8


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(ranges, "SECONDS_BETWEEN_TRIES", 0.01)
    monkeypatch.setattr(node_cache, "_said", {})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store" / "train"


@pytest.fixture
def places(folder):
    return write_shards(folder, 2, SAMPLES, SIZES)


@pytest.fixture
def server(tmp_path, places):
    with run_range_server(tmp_path / "store") as running:
        yield running


@pytest.fixture
def cache(tmp_path):
    return NodeCache(tmp_path / "cache", 10**8)


def open_shards(url, places, cache, members=(0, 1, 2)) -> RemoteShards:
    return RemoteShards(
        ObjectStore(url).below("train"), places, members, number_blocks(places, BLOCK), cache
    )


def read(shards, places, position, member) -> bytes:
    descriptor, start = shards.place(position, member)
    return os.pread(descriptor, int(places.size[position, member]) + 512, start)


def require_right(shards, folder, places, members=(0, 1, 2), positions=None) -> None:
    """Every member is, with its header, what is in the tar."""
    for position in range(len(places.shard)) if positions is None else positions:
        for member in members:
            assert read(shards, places, position, member) == read_member(
                folder, places, position, member
            )


def gets(server) -> list[str]:
    return [one for one in server.requests if one.startswith("GET")]


def pieces_of(cache) -> list[Path]:
    return sorted((cache.folder / "pieces").iterdir())


def test_a_block_is_one_request_and_every_member_is_right(server, folder, places, cache):
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    require_right(shards, folder, places)
    shards.close()
    first = int(places.offset[0, 0]) - 512
    end = int(places.offset[BLOCK - 1, 2] + places.size[BLOCK - 1, 2])
    assert f"GET /train/pair-000000.tar {first}-{end - 1}" in server.requests
    assert len(gets(server)) == BLOCKS
    assert sum(path.stat().st_size for path in pieces_of(cache)) == int(
        places.size.sum() + 512 * places.size.size
    )


def test_the_shard_of_a_sample_is_named(places, cache):
    shards = open_shards("s3://bucket/set", places, cache)
    assert shards.name(SAMPLES) == "s3://bucket/set/train/pair-000001.tar"


def test_a_block_that_was_not_expected_is_fetched_when_asked_for(server, folder, places, cache):
    shards = open_shards(server.url, places, cache)
    require_right(shards, folder, places, positions=[20, 3])
    assert len(gets(server)) == 2
    shards.close()


@pytest.mark.parametrize(("gap", "requests"), [(0, BLOCK), (8192, 1)])
def test_members_that_are_not_wanted_are_left_out(
    server, folder, places, cache, monkeypatch, gap, requests
):
    monkeypatch.setattr("cxrfuture_data.piece.GAP_BYTES", gap)
    shards = open_shards(server.url, places, cache, members=(2,))
    require_right(shards, folder, places, members=(2,), positions=range(BLOCK))
    assert len(gets(server)) == requests
    (piece,) = pieces_of(cache)
    assert piece.stat().st_size == int(places.size[:BLOCK, 2].sum()) + 512 * BLOCK
    shards.close()


def test_what_is_there_needs_no_server(tmp_path, folder, places, cache):
    with run_range_server(tmp_path / "store") as server:
        shards = open_shards(server.url, places, cache)
        require_right(shards, folder, places)
        shards.close()
        server.fail("GET", status=500)  # a connection that was kept outlives the server
        count = len(server.requests)
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    require_right(shards, folder, places)
    shards.close()
    assert len(server.requests) == count


def test_views_of_equal_members_share_their_pieces(server, places, cache):
    first = open_shards(server.url, places, cache, members=(0, 2))
    first.place(0, 0)
    first.close()
    second = open_shards(server.url, places, cache, members=(2, 0, 2))
    second.place(0, 2)
    second.close()
    assert len(pieces_of(cache)) == 1
    third = open_shards(server.url, places, cache, members=(0, 1))
    third.place(0, 0)
    third.close()
    assert len(pieces_of(cache)) == 2


def test_a_piece_is_named_after_its_content_alone(places):
    block = number_blocks(places, BLOCK)

    def names(changed, members=(0, 1)) -> list[str]:
        source = PieceSource(ObjectStore("s3://a/b"), changed, plan_blocks(changed, members, block))
        return [source.name(number) for number in range(BLOCKS)]

    sums = places.xxh3.copy()
    sums[7, 1] += np.uint64(1)
    moved = replace(places, xxh3=sums, offset=places.offset + 512)
    is_same = [a == b for a, b in zip(names(places), names(moved), strict=True)]
    assert is_same == [True, False, *[True] * 6]
    assert len(set(names(places) + names(places, members=(0, 2)))) == 2 * BLOCKS


def test_a_dataset_that_was_rebuilt_is_never_read_from_old_pieces(server, folder, places, cache):
    before = open_shards(server.url, places, cache)
    require_right(before, folder, places)
    new = write_shards(folder, 2, SAMPLES, SIZES, seed=1)
    after = open_shards(server.url, new, cache)
    require_right(after, folder, new)
    for shards in (before, after):
        shards.close()


def test_old_places_of_a_rebuilt_dataset_are_refused(server, folder, places, cache):
    write_shards(folder, 2, SAMPLES, SIZES, seed=1)
    shards = open_shards(server.url, places, cache)
    said = r"train/pair-000001.tar: sample 24 of the split has other checksums.*read 3 times"
    with pytest.raises(ContractError, match=said):
        shards.place(25, 0)
    assert len(gets(server)) == ranges.READS
    shards.close()


def read_all_and_end(url, folder, places, cache) -> None:
    shards = open_shards(url, places, cache)
    shards.expect(range(BLOCKS))
    require_right(shards, folder, places)
    shards.close()


def run_all(processes) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0


def test_processes_of_a_node_ask_for_each_range_once(server, folder, places, cache):
    server.fail("GET", times=BLOCKS, seconds=0.1)  # so that all of them want it meanwhile
    given = (server.url, folder, places, cache)
    run_all([FORK.Process(target=read_all_and_end, args=given) for _ in range(3)])
    assert set(Counter(gets(server)).values()) == {1}
    assert len(gets(server)) == BLOCKS


def test_what_another_process_is_at_comes_last(server, folder, places, cache, monkeypatch):
    monkeypatch.setattr(ahead, "THREADS", 1)
    shards = open_shards(server.url, places, cache)
    shards.place(0, 0)
    (first,) = pieces_of(cache)
    shards.close()
    first.unlink()
    server.requests.clear()
    shards = open_shards(server.url, places, cache)
    with claim(first, 1.0):
        shards.expect(range(BLOCKS))
        wait_until(lambda: len(gets(server)) == BLOCKS - 1)
        require_right(shards, folder, places, positions=range(BLOCK, len(places.shard)))
        assert len(gets(server)) == BLOCKS - 1
        part_of(first).unlink()  # that one has failed
    require_right(shards, folder, places)
    shards.close()


def test_a_killed_fetcher_does_not_block_the_others(server, folder, places, cache):
    server.fail("GET", times=BLOCKS, seconds=60.0)
    process = FORK.Process(target=read_all_and_end, args=(server.url, folder, places, cache))
    process.start()
    wait_until(lambda: len(gets(server)) == BLOCKS)
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(shards.place, 0, 0)
        time.sleep(0.1)
        assert not waiting.done()
        os.kill(process.pid, signal.SIGKILL)
        waiting.result(30)
    require_right(shards, folder, places)
    shards.close()
    process.join()


def test_more_blocks_than_the_limit_allows_are_read_within_it(server, folder, places, tmp_path):
    limit = 70_000  # bytes; a piece has 32 kB, all have 260 kB
    cache = NodeCache(tmp_path / "cache", limit)
    shards = open_shards(server.url, places, cache)
    shards.expect(list(range(BLOCKS)) * 3)
    for _ in range(3):
        for position in range(len(places.shard)):
            require_right(shards, folder, places, positions=[position])
            assert sum(size_of(path) for path in pieces_of(cache)) <= limit
    shards.close()
    assert len(pieces_of(cache)) == 2


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("position", [0, 20, 47])
def test_a_shard_that_is_cut_off_is_named_with_its_first_lost_sample(
    server, folder, places, cache, position
):
    path = folder / places.shards[places.shard[position]]
    os.truncate(path, int(places.offset[position, 1]) + 10)
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    with pytest.raises(ContractError, match=rf"{path.name}: sample {position} of the split is cut"):
        shards.place(position, 0)
    whole = [one for one in range(48) if places.shard[one] != places.shard[position]]
    require_right(shards, folder, places, positions=whole)
    with pytest.raises(ContractError, match="is cut off") as caught:  # asked again, not forgotten
        shards.place(position, 1)
    assert "\n" not in str(caught.value)
    shards.close()


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"is_cut": True}, {"status": 500}, {"seconds": 30.0}]
)
def test_faults_that_pass_are_survived(server, folder, places, cache, monkeypatch, fault):
    monkeypatch.setattr(ranges, "SECONDS_OF_A_TRY", 1.0)
    server.fail("GET", times=4, **fault)
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    require_right(shards, folder, places)
    shards.close()


def test_a_server_that_stays_stuck_is_one_line(server, places, cache, monkeypatch):
    monkeypatch.setattr(ranges, "SECONDS_OF_A_TRY", 0.1)
    server.fail("GET", seconds=30.0)
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    with pytest.raises(ContractError, match=r"tries of up to 0 s for 1 ranges of up to [\d,]+ byt"):
        shards.place(0, 0)
    shards.close()


@pytest.mark.parametrize("place", ["header", "data", "end"])
def test_a_damaged_piece_on_disk_is_fetched_anew(server, folder, places, cache, place):
    shards = open_shards(server.url, places, cache)
    shards.place(0, 0)
    shards.close()
    (piece,) = pieces_of(cache)
    data = bytearray(piece.read_bytes())
    at = {"header": 512 + int(places.size[0, 0]) + 7, "data": 700, "end": len(data) - 1}[place]
    data[at] ^= 16
    piece.write_bytes(data)
    shards = open_shards(server.url, places, cache)
    require_right(shards, folder, places, positions=range(BLOCK))
    shards.close()
    assert len(gets(server)) == 2


def test_without_a_cache_folder_it_is_read_all_the_same(server, folder, places, tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    shards = open_shards(server.url, places, NodeCache(tmp_path / "file" / "cache", 10**8))
    shards.expect(range(BLOCKS))
    require_right(shards, folder, places)
    shards.close()
    assert capsys.readouterr().err.count("\n") == 1


def test_an_s3_store_through_faults(bucket, folder, places, cache):
    for path in folder.iterdir():
        bucket.put(f"set/train/{path.name}", path.read_bytes())
    bucket.fail("GET .*pair-000000", times=2, status=503)
    bucket.fail("GET .*pair-000001", times=2, is_cut=True)
    shards = open_shards(f"s3://{BUCKET}/set", places, cache)
    shards.expect(range(BLOCKS))
    require_right(shards, folder, places)
    bucket.put("set/train/pair-000001.tar", b"cut")
    again = open_shards(f"s3://{BUCKET}/set", places, replace(cache, folder=cache.folder / "new"))
    with pytest.raises(ContractError, match=r"pair-000001.tar: sample 24 of the split is cut off"):
        again.place(24, 0)
    for one in (shards, again):
        one.close()


def test_few_files_are_open_and_all_are_closed(server, folder, places, cache, monkeypatch):
    monkeypatch.setattr(ahead, "OPEN_BLOCKS", 2)
    shards = open_shards(server.url, places, cache)
    require_right(shards, folder, places)
    assert count_open(cache) == 2
    shards.expect(range(BLOCKS))
    require_right(shards, folder, places)
    shards.close()
    assert count_open(cache) == 0


def count_open(cache) -> int:
    """Pieces this process has open; those that other threads close meanwhile are none."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += link.readlink().parent == cache.folder / "pieces"
        except FileNotFoundError:
            continue
    return found


def test_no_more_than_a_number_of_blocks_is_fetched_ahead(server, places, cache, monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BLOCKS", 3)
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    wait_until(lambda: len(gets(server)) >= 3)
    time.sleep(0.1)
    assert len(gets(server)) == 3
    shards.place(7 * BLOCK, 0)  # another than the first
    shards.place(0, 0)
    wait_until(lambda: len(gets(server)) == 5)
    shards.close()


def test_new_expectations_take_the_place_of_old_ones(server, folder, places, cache, monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BLOCKS", 1)
    shards = open_shards(server.url, places, cache)
    shards.expect([0])
    shards.expect([7])
    shards.expect([3, 4])
    require_right(shards, folder, places, positions=range(3 * BLOCK, 5 * BLOCK))
    assert len(gets(server)) <= 4
    shards.expect([])
    shards.close()


def test_a_forked_process_reads_on(server, folder, places, cache):
    shards = open_shards(server.url, places, cache)
    shards.expect(range(4))
    require_right(shards, folder, places, positions=range(BLOCK))

    def go_on() -> None:
        shards.expect(range(BLOCKS))
        require_right(shards, folder, places)
        shards.close()

    run_all([FORK.Process(target=go_on) for _ in range(2)])
    require_right(shards, folder, places)
    shards.close()


def test_threads_end_with_close_and_nothing_is_read_after(server, places, cache):
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    shards.place(0, 0)
    assert any(one.name == "cxrfuture-fetch" for one in threading.enumerate())
    shards.close()
    shards.close()
    assert not any(one.name == "cxrfuture-fetch" for one in threading.enumerate())
    with pytest.raises(ValueError, match="closed"):
        shards.place(0, 0)


def test_threads_end_with_the_last_reference(server, places, cache):
    shards = open_shards(server.url, places, cache)
    shards.expect(range(BLOCKS))
    shards.place(0, 0)
    del shards
    assert not any(one.name == "cxrfuture-fetch" for one in threading.enumerate())
    assert count_open(cache) == 0


LEAVE = """
import sys
from pathlib import Path
from tiny_shards import find_places, number_blocks
from cxrfuture_data.claim import claim, part_of
from cxrfuture_data.node_cache import NodeCache
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.remote_shards import RemoteShards
url, folder, cache = sys.argv[1:]
places = find_places(Path(folder), sorted(path.name for path in Path(folder).iterdir()))
shards = RemoteShards(
    ObjectStore(url), places, (0,), number_blocks(places, 6), NodeCache(Path(cache), 10**8)
)
shards.expect(range(8))
shards.place(0, 0)
print("read")
"""


def test_an_interpreter_that_exits_does_not_wait_for_a_stuck_server(
    server, folder, places, tmp_path
):
    server.fail("pair-000001", seconds=120.0)
    given = [sys.executable, "-c", LEAVE, f"{server.url}/train", str(folder), str(tmp_path / "c")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    done = subprocess.run(
        given, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "read\n", "")


def test_a_block_must_be_a_run_of_samples_of_a_shard(places):
    block = number_blocks(places, BLOCK)
    assert plan_blocks(places, (1, 0), block).rows[4] == slice(24, 30)
    block[30] = 0
    with pytest.raises(ValueError, match="a run of consecutive samples of one shard"):
        plan_blocks(places, (0,), block)
    with pytest.raises(ValueError, match="a run of consecutive samples of one shard"):
        plan_blocks(places, (0,), np.zeros(len(block), np.int64))

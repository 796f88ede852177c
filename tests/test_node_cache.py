"""The cache of a node: filled once by many processes, bounded, and no reason to stop."""

import errno
import hashlib
import multiprocessing
import os
import signal
import stat
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from object_server import BUCKET
from range_server import run_range_server, wait_until

from cxrfuture_data import node_cache, ranges
from cxrfuture_data.claim import claim, locked, part_of
from cxrfuture_data.node_cache import NodeCache, Piece, write_all
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.schema import ContractError

FORK = multiprocessing.get_context("fork")
TABLE = os.urandom(50_000)
SHA256 = hashlib.sha256(TABLE).hexdigest()


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch):
    for module in (ranges, node_cache):
        monkeypatch.setattr(module, "RANGE_BYTES", 16_384)
    monkeypatch.setattr(ranges, "SECONDS_BETWEEN_TRIES", 0.01)
    monkeypatch.setattr(node_cache, "_said", {})


@pytest.fixture
def server(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "table.npy").write_bytes(TABLE)
    with run_range_server(tmp_path / "store") as running:
        yield running


@pytest.fixture
def cache(tmp_path):
    return NodeCache(tmp_path / "cache", 100_000)


def piece_of(name: str, data: bytes, fetch=None) -> Piece:
    whole = fetch or (lambda: data)
    return Piece(name, len(data), lambda: [whole()], lambda found: found == data)


def put(cache: NodeCache, name: str, data: bytes) -> None:
    os.close(cache.open_piece(piece_of(name, data)))


def read(descriptor: int) -> bytes:
    data = os.pread(descriptor, 1 << 20, 0)
    os.close(descriptor)
    return data


def refuse() -> bytes:
    raise AssertionError("fetched again")


def used(cache: NodeCache) -> int:
    found = [path for name in ("pieces", "files") for path in (cache.folder / name).glob("*")]
    return sum(size_of(path) for path in found)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # renamed meanwhile
        return 0


def test_a_piece_is_fetched_once_and_then_there(cache):
    assert read(cache.open_piece(piece_of("a", b"abc"))) == b"abc"
    assert read(cache.open_piece(piece_of("a", b"abc", refuse))) == b"abc"
    assert [path.name for path in (cache.folder / "pieces").iterdir()] == ["a"]


@pytest.mark.parametrize("count", [1, 2, 512, 1100])
def test_parts_are_written_one_after_the_other(cache, count):
    parts = [bytes([number % 251]) * (number % 7) for number in range(count)]
    data = b"".join(parts)
    piece = Piece("a", len(data), lambda: parts, lambda found: found == data)
    assert read(cache.open_piece(piece)) == data
    assert (cache.folder / "pieces" / "a").read_bytes() == data


def test_what_it_keeps_is_for_its_user_alone(cache, server):
    put(cache, "a", b"abc")
    cache.fetch_file(ObjectStore(server.url), "table.npy", SHA256)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in cache.folder.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_the_least_recently_used_go_first_and_the_bound_holds(tmp_path):
    cache = NodeCache(tmp_path / "cache", 1000)
    for name in "abcd":
        put(cache, name, name.encode() * 240)
        time.sleep(0.01)  # the clock of files may be coarse
    put(cache, "a", b"a" * 240)  # used again
    time.sleep(0.01)
    put(cache, "e", b"e" * 240)
    assert sorted(path.name for path in (cache.folder / "pieces").iterdir()) == ["a", "d", "e"]
    for number in range(50):
        put(cache, f"{number}", bytes(100 + number))
        assert used(cache) <= 1000


def test_a_piece_that_is_open_is_read_on_after_it_was_removed(tmp_path):
    cache = NodeCache(tmp_path / "cache", 100)
    first = cache.open_piece(piece_of("a", b"a" * 90))
    put(cache, "b", b"b" * 90)
    assert not (cache.folder / "pieces" / "a").exists()
    assert read(first) == b"a" * 90


@pytest.mark.parametrize("damaged", [b"abd", b"ab", b"abcd", b""])
def test_a_damaged_piece_is_fetched_anew(cache, damaged):
    put(cache, "a", b"abc")
    (cache.folder / "pieces" / "a").write_bytes(damaged)
    assert read(cache.open_piece(piece_of("a", b"abc"))) == b"abc"
    assert (cache.folder / "pieces" / "a").read_bytes() == b"abc"


def test_a_count_that_was_lost_is_made_anew(tmp_path):
    cache = NodeCache(tmp_path / "cache", 1000)
    put(cache, "a", bytes(900))
    for lost in (b"", b"not a number"):
        (cache.folder / "used").write_bytes(lost)
        put(cache, f"b{len(lost)}", bytes(500))
        assert used(cache) == 500


def test_a_part_that_a_killed_process_left_counts_and_goes(tmp_path):
    cache = NodeCache(tmp_path / "cache", 1000)
    put(cache, "a", bytes(100))
    part_of(cache.folder / "pieces" / "gone").write_bytes(bytes(800))
    (cache.folder / "used").unlink()
    put(cache, "b", bytes(600))
    assert used(cache) <= 1000
    assert not part_of(cache.folder / "pieces" / "gone").exists()


def test_a_failed_fetch_leaves_nothing(cache):
    def fail() -> bytes:
        raise ContractError("the store is away")

    with pytest.raises(ContractError, match="the store is away"):
        cache.open_piece(piece_of("a", b"abc", fail))
    assert list((cache.folder / "pieces").iterdir()) == []
    assert read(cache.open_piece(piece_of("a", b"abc"))) == b"abc"


def test_threads_that_want_the_same_fetch_it_once(cache):
    fetched = []

    def fetch() -> bytes:
        fetched.append(1)
        time.sleep(0.05)
        return b"abc"

    with ThreadPoolExecutor(8) as threads:
        opened = list(
            threads.map(lambda _: cache.open_piece(piece_of("a", b"abc", fetch)), range(8))
        )
    assert [read(one) for one in opened] == [b"abc"] * 8
    assert len(fetched) == 1


def test_a_process_that_has_stopped_is_not_waited_for_long(cache, monkeypatch, capsys):
    monkeypatch.setattr(node_cache, "PATIENCE", 0.05)
    (cache.folder / "pieces").mkdir(parents=True)
    with claim(cache.folder / "pieces" / "a", 1.0):
        assert read(cache.open_piece(piece_of("a", b"abc"))) == b"abc"
    assert "another process has been at it" in capsys.readouterr().err


def fill_disk(monkeypatch, cache: NodeCache) -> None:
    """The write of a file of the cache fails as on a full disk; at this edge because a test has no
    disk of its own to fill."""

    def write(descriptor: int, parts: list, at: int = 0) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(cache.folder):
            raise OSError(errno.ENOSPC, "No space left on device")
        write_all(descriptor, parts, at)

    monkeypatch.setattr(node_cache, "write_all", write)


def test_a_full_disk_is_said_once_and_stops_nobody(cache, monkeypatch, capsys):
    fill_disk(monkeypatch, cache)
    fetched = []
    for name in "abc":
        data = name.encode() * 100
        piece = piece_of(name, data, lambda data=data: fetched.append(1) or data)
        assert read(cache.open_piece(piece)) == data
    assert len(fetched) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{cache.folder}: the disk is full; pieces of shards are held in memory" in said
    assert used(cache) == 0


def test_a_limit_below_a_piece_is_said_once_and_stops_nobody(tmp_path, capsys):
    cache = NodeCache(tmp_path / "cache", 50)
    for name in "ab":
        assert read(cache.open_piece(piece_of(name, bytes(60)))) == bytes(60)
    assert read(cache.open_piece(piece_of("c", bytes(40)))) == bytes(40)
    assert used(cache) == 40
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "a limit of 50 bytes has no room" in said


def test_a_folder_that_cannot_be_made_is_said_once_and_stops_nobody(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    cache = NodeCache(tmp_path / "file" / "cache", 1000)
    for name in "ab":
        assert read(cache.open_piece(piece_of(name, b"abc"))) == b"abc"
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be used (Not a directory)" in said


def test_a_whole_file_comes_by_ranges_and_is_there_afterwards(cache, server):
    path = cache.fetch_file(ObjectStore(server.url), "table.npy", SHA256)
    assert path.read_bytes() == TABLE
    ranges_of = sorted(int(one.split()[-1].split("-")[0]) for one in server.requests if "-" in one)
    assert len(ranges_of) == 4
    assert ranges_of[0] == 0
    count = len(server.requests)
    assert cache.fetch_file(ObjectStore(server.url), "another.npy", SHA256) == path
    assert len(server.requests) == count


def test_a_file_that_was_damaged_on_disk_is_fetched_anew(cache, server, monkeypatch):
    path = cache.fetch_file(ObjectStore(server.url), "table.npy", SHA256)
    path.write_bytes(TABLE[:-1] + b"?")
    monkeypatch.setattr(node_cache, "_held", {})  # as in another process
    assert cache.fetch_file(ObjectStore(server.url), "table.npy", SHA256) == path
    assert path.read_bytes() == TABLE


def test_a_small_file_is_one_request(cache, tmp_path, server):
    (tmp_path / "store" / "small").write_bytes(b"small")
    sha256 = hashlib.sha256(b"small").hexdigest()
    assert cache.fetch_file(ObjectStore(server.url), "small", sha256).read_bytes() == b"small"
    assert server.requests == ["GET /small 0-16383"]


def test_a_whole_file_comes_from_s3_through_faults(cache, bucket):
    bucket.put("set/table.npy", TABLE)
    bucket.requests.clear()
    bucket.fail("GET .*table.npy", times=1, status=503)
    bucket.fail("GET .*table.npy", times=1, is_cut=True)
    store = ObjectStore(f"s3://{BUCKET}/set")
    assert cache.fetch_file(store, "table.npy", SHA256).read_bytes() == TABLE


def test_a_file_with_another_hash_is_read_again_and_then_refused(cache, server):
    with pytest.raises(ContractError, match=r"/table.npy: 50,000 bytes with another sha256"):
        cache.fetch_file(ObjectStore(server.url), "table.npy", "0" * 64)
    assert server.requests.count("GET /table.npy 0-16383") == ranges.READS
    assert list((cache.folder / "files").iterdir()) == []


def test_a_file_in_use_stays_while_pieces_go(tmp_path, server):
    cache = NodeCache(tmp_path / "cache", 60_000)
    path = cache.fetch_file(ObjectStore(server.url), "table.npy", SHA256)
    for number in range(10):
        put(cache, f"{number}", bytes(4000))
        assert used(cache) <= 60_000
    assert path.read_bytes() == TABLE


def fetch_and_end(cache: NodeCache, url: str) -> None:
    cache.fetch_file(ObjectStore(url), "table.npy", SHA256)


def test_a_file_of_processes_that_ended_goes(tmp_path, server):
    cache = NodeCache(tmp_path / "cache", 60_000)
    run_all([FORK.Process(target=fetch_and_end, args=(cache, server.url))])
    assert used(cache) == 50_000
    put(cache, "a", bytes(20_000))
    assert used(cache) == 20_000


@pytest.mark.parametrize("why", ["disk", "limit"])
def test_a_file_without_room_is_one_line(tmp_path, server, monkeypatch, why):
    cache = NodeCache(tmp_path / "cache", 40_000 if why == "limit" else 100_000)
    if why == "disk":
        fill_disk(monkeypatch, cache)
    what = {"disk": "the disk is full", "limit": "a limit of 40,000 bytes"}[why]
    with pytest.raises(ContractError, match=rf"{what}.*table.npy must lie on a disk") as caught:
        cache.fetch_file(ObjectStore(server.url), "table.npy", SHA256)
    assert "\n" not in str(caught.value)


def run_all(processes: list) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0


def test_processes_fetch_a_file_once(cache, server):
    server.fail("GET", times=1, seconds=0.2)  # so that all of them want it meanwhile
    run_all([FORK.Process(target=fetch_and_end, args=(cache, server.url)) for _ in range(4)])
    asked = Counter(one for one in server.requests if one.startswith("GET"))
    assert set(asked.values()) == {1}
    assert len(asked) == 4


def test_who_waits_for_a_killed_process_goes_on(cache, server):
    server.fail("GET", times=1, seconds=60.0)
    process = FORK.Process(target=fetch_and_end, args=(cache, server.url))
    process.start()
    wait_until(lambda: bool(server.requests))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(cache.fetch_file, ObjectStore(server.url), "table.npy", SHA256)
        time.sleep(0.1)
        assert not waiting.done()
        assert len(server.requests) == 1
        os.kill(process.pid, signal.SIGKILL)
        assert waiting.result(30).read_bytes() == TABLE
    process.join()


def use_at_random(cache: NodeCache, seed: int) -> None:
    """Pieces of many sizes, each with its right bytes; the folder is never above its limit."""
    for step in range(60):
        number = (step * (7 + seed) + seed) % 23
        data = bytes([number]) * (100 + 40 * number)
        assert read(cache.open_piece(piece_of(f"{number}", data))) == data


def test_the_bound_holds_while_processes_and_threads_share_it(tmp_path):
    cache = NodeCache(tmp_path / "cache", 4000)
    put(cache, "first", b"x")
    most, is_done = [0], threading.Event()

    def look() -> None:
        while not is_done.is_set():
            with locked(cache.folder / "used"):  # else what grows meanwhile may be counted
                most[0] = max(most[0], used(cache))

    watcher = threading.Thread(target=look)
    watcher.start()
    run_all([FORK.Process(target=use_at_random, args=(cache, seed)) for seed in range(4)])
    is_done.set()
    watcher.join()
    assert 1000 < most[0] <= 4000
    assert int((cache.folder / "used").read_text()) >= used(cache)

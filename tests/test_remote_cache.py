"""The cache on an object store: what is added is found and whole, wherever a writer is killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from object_server import BUCKET, KEY
from tiny_cache import SPACE, add, hash_of, row_of, rows_of
from tiny_mimic import tiny_params

from cxrfuture_data.cache_remote import join_rows, object_name
from cxrfuture_data.cache_rows import ENTRY, CacheRows
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.schema import ContractError
from etl import cache_remote
from etl.cache import Cache, open_cache, stage_rows
from etl.cache_ledger import Ledger, sqlite_url
from etl.cache_print import collect_garbage, print_stats, verify_cache

ROOT = Path(__file__).resolve().parent.parent
URL = f"s3://{BUCKET}/cache"


def read(cache, numbers):
    return cache.rows(SPACE).read([hash_of(n) for n in numbers])


def open_machine(folder):
    """The cache as a machine sees it that has nothing of it yet."""
    folder.mkdir(parents=True)
    return Cache(folder, Ledger(sqlite_url(folder)), ObjectStore(URL), "allowed")


@pytest.fixture
def cache(bucket, tmp_path):
    return open_machine(tmp_path / "one")


def test_rows_go_to_the_store_and_another_machine_reads_them(cache, bucket, tmp_path):
    add(cache, range(10))
    add(cache, range(10, 15))
    assert not list(cache.space_folder(SPACE).glob("*.rows"))
    keys = [key.removeprefix(f"cache/{SPACE.name}/") for key in bucket.names("cache")]
    assert sorted(key.rpartition(".")[2] for key in keys) == ["index"] * 2 + ["json"] + ["rows"] * 2
    other = open_machine(tmp_path / "two")
    asked = [14, 0, 9, 3, 3, 11]
    assert np.array_equal(read(other, asked), rows_of(asked))
    assert len(other.rows(SPACE)) == 15
    assert other.rows(SPACE).find([hash_of(99)]).tolist() == [-1]


def test_machines_that_share_no_ledger_do_not_overwrite_each_other(cache, tmp_path):
    other = open_machine(tmp_path / "two")
    add(cache, range(5))
    add(other, range(5, 10))  # the same number of a shard, in another ledger
    assert np.array_equal(read(cache, range(10)), rows_of(range(10)))


def test_the_same_rows_of_two_machines_are_one_object(cache, bucket, tmp_path):
    add(cache, range(5))
    before = bucket.names("cache")
    add(open_machine(tmp_path / "two"), range(5))
    assert bucket.names("cache") == before


def test_a_shard_that_has_grown_is_uploaded_and_another_begun(cache, bucket, monkeypatch):
    monkeypatch.setattr(cache_remote, "UPLOAD_BYTES", 3 * SPACE.row_bytes)
    with cache.write(SPACE) as writer:
        for number in range(8):
            writer.add([hash_of(number)], row_of(number)[None])
            assert (
                len([k for k in bucket.names("cache") if k.endswith(".index")]) == (number + 1) // 3
            )
    assert np.array_equal(read(cache, range(8)), rows_of(range(8)))


def test_near_rows_are_read_in_one_request_and_far_ones_apart(cache, bucket, monkeypatch):
    monkeypatch.setattr("cxrfuture_data.cache_remote.GAP_BYTES", 2 * SPACE.row_bytes)
    add(cache, range(40))
    rows = cache.rows(SPACE)
    bucket.requests.clear()
    asked = [0, 2, 3, 30, 1]
    assert np.array_equal(rows.read([hash_of(n) for n in asked]), rows_of(asked))
    assert len(bucket.requests) == 2


@pytest.mark.parametrize("longest", [1, 3, 100])
def test_ranges_hold_exactly_the_rows_in_order(monkeypatch, longest):
    monkeypatch.setattr("cxrfuture_data.cache_remote.GAP_BYTES", 20)
    monkeypatch.setattr("cxrfuture_data.cache_remote.RANGE_BYTES", longest * 10)
    rows = np.random.default_rng(0).integers(0, 60, 25)
    ranges = join_rows(rows, 10)
    covered = [row for first, end in ranges for row in range(first, end)]
    assert covered == sorted(set(covered))
    assert set(rows.tolist()) <= set(covered)
    assert max(end - first for first, end in ranges) <= longest
    assert all(first in rows and end - 1 in rows for first, end in ranges)


KILLED = """
import os, signal, sys
sys.path[:0] = ["tests"]
from test_remote_cache import *
folder = Path(sys.argv[1])
cache = Cache(folder, Ledger(sqlite_url(folder)), ObjectStore(URL), "allowed")
real = getattr(ObjectStore, sys.argv[2])
def killed(self, name, data):
    if name.endswith(sys.argv[3]):
        if sys.argv[4] == "after":
            real(self, name, data)
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, name, data)
setattr(ObjectStore, sys.argv[2], killed)
add(cache, range(20))
"""


@pytest.mark.parametrize(
    ("method", "suffix", "when"),
    [("upload", "rows", "before"), ("upload", "rows", "after"), ("write", "index", "after")],
)
def test_killed_within_an_upload_no_half_is_read_and_nothing_is_lost(
    cache, bucket, tmp_path, method, suffix, when
):
    words = [sys.executable, "-c", KILLED, str(cache.folder), method, suffix, when]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    is_up = suffix == "index"
    other = open_machine(tmp_path / "two")
    assert len(other.rows(SPACE)) == (20 if is_up else 0)
    assert np.array_equal(read(cache, range(20)), rows_of(range(20)))  # uploads what is left
    assert len(cache.rows(SPACE)) == 20
    assert np.array_equal(read(other, range(20)), rows_of(range(20)))
    assert not list(cache.space_folder(SPACE).glob("*.rows"))
    assert len(bucket.names("cache")) == 3


def test_a_torn_end_is_not_uploaded(cache, bucket):
    folder = cache.space_folder(SPACE)
    bucket.fail("PUT .*rows", status=500, code="InternalError")
    with pytest.raises(ContractError, match="the object store fails"):
        add(cache, range(4))
    bucket.faults.clear()
    rows, index = next(folder.glob("*.rows")), next(folder.glob("*.index"))
    rows.write_bytes(rows.read_bytes() + b"half a row")
    index.write_bytes(index.read_bytes() + b"half")
    assert np.array_equal(read(cache, range(4)), rows_of(range(4)))
    assert [len(bucket.get(k)) for k in bucket.names("cache") if k.endswith(".rows")] == [64]


def test_rows_are_read_before_they_are_uploaded(cache, bucket):
    bucket.fail("PUT .*rows", status=500, code="InternalError")
    with pytest.raises(ContractError):
        add(cache, range(4))
    folder = cache.space_folder(SPACE)
    assert np.array_equal(CacheRows(folder).read([hash_of(2)]), rows_of([2]))


def damaged_key(bucket):
    key = next(key for key in bucket.names("cache") if key.endswith(".rows"))
    data = bytearray(bucket.get(key))
    data[5] ^= 1
    bucket.put(key, bytes(data))
    return key


def test_a_damaged_row_a_cut_and_a_lost_object_are_refused(cache, bucket):
    add(cache, range(6))
    key = damaged_key(bucket)
    with pytest.raises(ContractError, match=r"is damaged.*cache verify --repair"):
        read(cache, [0])
    assert np.array_equal(read(cache, [1]), rows_of([1]))
    bucket.put(key, bucket.get(key)[: 3 * SPACE.row_bytes])
    with pytest.raises(ContractError, match="ends before row 3"):
        read(cache, [2, 3])
    bucket.client().delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(ContractError, match=r"no such object.*--repair"):
        read(cache, [1])


def test_a_damaged_index_is_refused(cache, bucket, tmp_path):
    add(cache, range(3))
    key = next(key for key in bucket.names("cache") if key.endswith(".index"))
    bucket.put(key, bucket.get(key)[:-1])
    with pytest.raises(ContractError, match="index: damaged"):
        open_machine(tmp_path / "two").rows(SPACE)


def test_a_shard_is_named_after_its_index(cache, bucket):
    add(cache, range(3))
    key = next(key for key in bucket.names("cache") if key.endswith(".index"))
    assert key.endswith(f"/{object_name(bucket.get(key))}.index")


def read_params(tmp_path, **cache):
    params = tiny_params(tmp_path)
    folder = {"folder": URL, "attestation": "our own bucket, under our DUA"}
    return params.model_copy(update={"cache": params.cache.model_copy(update=folder | cache)})


def test_a_store_without_attestation_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"cache\.folder is s3://.*cache\.attestation is empty"):
        open_cache(read_params(tmp_path, attestation=" "))


def test_the_attestation_goes_into_the_stage_s_record(bucket, tmp_path):
    cache = open_cache(read_params(tmp_path))
    facts = stage_rows(cache, SPACE, tmp_path / "stage")
    assert facts["cache_attestation"] == f"{URL}: our own bucket, under our DUA"
    assert KEY not in json.dumps(facts)


def test_stats_verify_and_repair_see_what_is_on_the_store(bucket, tmp_path, capsys):
    first = open_cache(read_params(tmp_path / "a"))
    add(first, range(6))
    params = read_params(tmp_path / "b")  # another machine
    print_stats(params, as_json=True)
    size = json.loads(capsys.readouterr().out)[0]
    assert (size["rows"], size["shards"], size["waste"]) == (6, 1, 0)
    described = len(bucket.get(f"cache/{SPACE.name}/space.json"))
    assert size["bytes"] == 6 * (SPACE.row_bytes + ENTRY.itemsize) + described
    verify_cache(params, is_repairing=False)
    assert "6 rows, all whole" in capsys.readouterr().out
    damaged_key(bucket)
    with pytest.raises(ContractError, match="1 damaged rows"):
        verify_cache(params, is_repairing=False)
    verify_cache(params, is_repairing=True)
    assert len(open_cache(params).rows(SPACE)) == 0
    assert len(first.rows(SPACE)) == 0
    assert [key.rpartition("/")[2] for key in bucket.names("cache")] == ["space.json"]


def test_gc_wants_a_ledger_that_all_machines_share(bucket, tmp_path, capsys):
    params = read_params(tmp_path)
    add(open_cache(params), range(3))
    with pytest.raises(ContractError, match=r"set cache\.ledger to the PostgreSQL"):
        collect_garbage(params, [], days=0, is_removing=True)
    shared = read_params(tmp_path, ledger=sqlite_url(tmp_path))
    collect_garbage(shared, [], days=0, is_removing=True)
    assert bucket.names("cache") == []


def test_many_processes_at_once_lose_nothing(cache, bucket, tmp_path):
    code = (
        "import sys; sys.path[:0] = ['tests']; from test_remote_cache import *;"
        "folder = Path(sys.argv[1]); start = int(sys.argv[2]);"
        "cache = Cache(folder, Ledger(sqlite_url(folder)), ObjectStore(URL), 'allowed');"
        "[add(cache, range(n, n + 5)) for n in range(start, start + 20, 5)];"
        "read(cache, range(start, start + 20))"
    )
    words = [sys.executable, "-c", code, str(cache.folder)]
    children = [subprocess.Popen([*words, str(20 * n)], cwd=ROOT) for n in range(3)]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0]
    assert np.array_equal(read(cache, range(60)), rows_of(range(60)))
    assert np.array_equal(read(open_machine(tmp_path / "two"), range(60)), rows_of(range(60)))
    assert not list(cache.space_folder(SPACE).glob("*.rows"))

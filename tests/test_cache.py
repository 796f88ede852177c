"""The cache: what is added is found and whole, whoever writes and whenever it is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_cache import SPACE, add, hash_of, make_cache, put_rows, row_of, rows_of
from tiny_mimic import tiny_params

from cxrfuture_data.cache_rows import (
    ENTRY,
    CacheRows,
    Space,
    map_rows,
    open_stage_rows,
    parse_keys,
    read_index,
)
from cxrfuture_data.schema import ContractError
from etl import cache_care
from etl.cache import open_cache
from etl.cache_ledger import FileSeen
from etl.cache_print import collect_garbage, print_stats, verify_cache

ROOT = Path(__file__).resolve().parent.parent


def shards_of(cache, suffix=".rows"):
    return sorted(cache.space_folder(SPACE).glob(f"*{suffix}"))


@pytest.fixture
def cache(tmp_path):
    return make_cache(tmp_path / "cache")


def test_rows_are_found_by_their_keys_in_the_order_asked(cache):
    add(cache, range(10))
    add(cache, range(10, 25))
    rows = cache.rows(SPACE)
    asked = [24, 0, 9, 10, 10, 3]
    found = rows.read([hash_of(n) for n in asked])
    assert (found == rows_of(asked)).all()
    assert rows.find([hash_of(99), hash_of(3)]).tolist()[0] == -1
    assert rows.read([]).shape == (0, 4, 4)
    assert len(rows) == 25


def test_nothing_is_made_of_a_space_before_its_first_row(cache):
    with cache.write(SPACE) as writer:
        writer.add([], np.zeros((0, 4, 4), np.uint8))
    assert not shards_of(cache)
    assert len(cache.rows(SPACE)) == 0
    assert cache.rows(SPACE).find([hash_of(1)]).tolist() == [-1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.lists(st.integers(0, 60), max_size=40))
def test_find_equals_a_dictionary(tmp_path_factory, held, asked):
    """Keys that share their high half too."""
    cache = make_cache(tmp_path_factory.mktemp("cache"))
    space = Space("image", {}, (1,), "int64")

    def key(number):
        return f"{number % 5:016x}{number:016x}" + "0" * 32

    with cache.write(space) as writer:
        for number in held:
            writer.add([key(number)], np.array([[number]]))
    rows = cache.rows(space)
    assert (rows.find([key(n) for n in asked]) >= 0).tolist() == [n in held for n in asked]
    there = [n for n in asked if n in held]
    assert rows.read([key(n) for n in there])[:, 0].tolist() == there


def test_other_facts_shapes_and_types_are_other_spaces(cache):
    spaces = [
        SPACE,
        Space("image", {"size": 5}, (4, 4), "uint8"),
        Space("image", {"size": 4}, (4, 5), "uint8"),
        Space("image", {"size": 4}, (4, 4), "int8"),
        Space("latent", {"size": 4}, (4, 4), "uint8"),
    ]
    assert len({space.name for space in spaces}) == 5
    assert cache.rows(SPACE).space == SPACE  # read back from its file


def test_rows_of_another_shape_or_type_are_refused(cache):
    with cache.write(SPACE) as writer:
        for rows in (np.zeros((1, 4, 5), np.uint8), np.zeros((1, 4, 4)), np.zeros((2, 4, 4), "u1")):
            with pytest.raises(ContractError, match=r"the space image/.* takes uint8"):
                writer.add([hash_of(1)], rows)
    assert not shards_of(cache)


def test_many_writers_at_once_lose_nothing(cache):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: add(cache, range(k * 50, k * 50 + 60)), range(8)))
    rows = cache.rows(SPACE)
    assert len(rows) == 480  # ten of each neighbour's are there twice
    assert (rows.read([hash_of(n) for n in range(410)])[409] == row_of(409)).all()
    assert len(shards_of(cache)) == 8
    assert not cache.ledger.open_shards()


CHILD = """
import sys
import numpy as np
from tests.tiny_cache import SPACE, hash_of, make_cache, row_of
from pathlib import Path
cache = make_cache(Path(sys.argv[1]))
with cache.write(SPACE) as writer:
    known, has_begun = cache.rows(SPACE), False
    for number in range(int(sys.argv[2])):
        if known.find([hash_of(number)])[0] < 0:
            writer.add([hash_of(number)], row_of(number)[None])
            if not has_begun:
                print("begun", flush=True)
            has_begun = True
"""


def test_killed_eight_times_it_ends_with_every_row_whole(tmp_path):
    """kill -9 at random moments; each run goes on, and the end holds the same rows."""
    folder, count, chance = tmp_path / "cache", 20000, random.Random(7)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-c", CHILD, str(folder), str(count)]
    kills = 0
    while kills < 8:
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(chance.random() * 0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        kills += 1
    cache = make_cache(folder)
    assert len(cache.rows(SPACE)) < count  # or the kills came too late to mean anything
    subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    rows = cache.rows(SPACE)
    found = rows.read([hash_of(n) for n in range(count)])
    assert (found == rows_of(range(count))).all()
    assert len(rows) == count
    assert not list(cache_care.find_damage(cache, SPACE, lambda _: None))


def test_half_an_entry_and_rows_without_one_are_not_there(cache):
    add(cache, range(3))
    rows, index = shards_of(cache)[0], shards_of(cache, ".index")[0]
    with index.open("ab") as handle:
        handle.write(b"\0" * (ENTRY.itemsize - 1))
    with rows.open("ab") as handle:
        handle.write(b"\0" * 23)
    assert len(cache.rows(SPACE)) == 3
    assert cache_care.cut_waste(cache, SPACE) == ENTRY.itemsize - 1 + 23
    assert rows.stat().st_size == 48
    assert index.stat().st_size == 3 * ENTRY.itemsize
    assert (cache.rows(SPACE).read([hash_of(2)])[0] == row_of(2)).all()


def test_a_living_writer_s_shard_is_left_alone(cache):
    with cache.write(SPACE) as writer:
        writer.add([hash_of(1)], row_of(1)[None])
        with shards_of(cache)[0].open("ab") as handle:
            handle.write(b"\0" * 7)  # a row it is about to finish
        assert cache_care.cut_waste(cache, SPACE) == 0
    assert cache_care.cut_waste(cache, SPACE) == 7


def test_writers_of_other_machines_count_as_alive():
    assert cache_care.is_alive("another-host:1")


def damage(cache):
    """Row 2 of 5 gets another byte."""
    add(cache, range(5))
    path = shards_of(cache)[0]
    data = bytearray(path.read_bytes())
    data[2 * 16 + 3] ^= 1
    path.write_bytes(data)


def test_a_damaged_row_is_refused_and_others_are_not(cache):
    damage(cache)
    rows = cache.rows(SPACE)
    rows.read([hash_of(n) for n in (0, 1, 3, 4)])
    with pytest.raises(ContractError, match=r"damaged; run `cxrfuture cache verify --repair`"):
        rows.read([hash_of(2)])


def test_rows_that_were_cut_off_are_refused(cache):
    add(cache, range(5))
    os.truncate(shards_of(cache)[0], 40)
    rows = cache.rows(SPACE)
    rows.read([hash_of(1)])
    with pytest.raises(ContractError, match="ends before row 3"):
        rows.read([hash_of(3)])


def test_a_space_that_is_gone_or_not_described_is_named(cache):
    add(cache, range(2))
    (cache.space_folder(SPACE) / "space.json").write_text("{}")
    with pytest.raises(ContractError, match="does not describe rows"):
        CacheRows(cache.folder / SPACE.name)
    with pytest.raises(ContractError, match="the cache was moved or removed"):
        CacheRows(cache.folder / "image" / "gone")


def test_a_missing_row_is_named_with_what_to_do(tmp_path, cache):
    stage = tmp_path / "image"
    put_rows(stage, cache, [hash_of(1)], row_of(1)[None])
    with pytest.raises(ContractError, match=r"1 of 2 are missing.*run the stage again"):
        open_stage_rows(stage).read([hash_of(1), hash_of(2)])


def test_the_ledger_remembers_files_and_attempts(cache):
    file = FileSeen("p10/a.jpg", 5, 7, hash_of(1))
    facts = {hash_of(1): {"outcome": "ok"}, hash_of(2): {"outcome": "constant"}}
    cache.ledger.record(SPACE, facts, "/films", [file])
    cache.ledger.record(SPACE, {hash_of(2): {"outcome": "ok"}}, "/films", [])
    assert cache.ledger.files("/films") == {"p10/a.jpg": file}
    assert cache.ledger.files("/other") == {}
    assert cache.ledger.attempt(SPACE, hash_of(2)) == {"outcome": "ok"}
    assert len(cache.ledger.attempts(SPACE)) == 2
    cache.ledger.forget(SPACE, [hash_of(2)])
    assert cache.ledger.attempt(SPACE, hash_of(2)) is None


def test_a_lost_ledger_does_not_lead_to_shards_that_are_there(cache, tmp_path):
    add(cache, range(3))
    other = type(cache)(cache.folder, type(cache.ledger)(f"sqlite:///{tmp_path}/new.sqlite"))
    add(other, range(3, 6))
    assert len(other.rows(SPACE)) == 6
    assert len(shards_of(cache)) == 2


@pytest.fixture
def params(tmp_path):
    return tiny_params(tmp_path)


def test_stats_say_what_a_space_holds(params, capsys):
    cache = open_cache(params)
    add(cache, range(5))
    add(cache, range(3))
    cache.ledger.register(SPACE)
    print_stats(params, as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["repeated"], found["shards"]) == (8, 3, 2)
    assert found["waste"] == 0
    assert abs(found["used_at"] - time.time()) < 60
    print_stats(params, as_json=False)
    assert SPACE.name in capsys.readouterr().out


def test_verify_finds_and_repairs_what_is_damaged(params, capsys):
    cache = open_cache(params)
    damage(cache)
    with pytest.raises(ContractError, match="1 damaged rows"):
        verify_cache(params, is_repairing=False)
    assert "first 2" in capsys.readouterr().out
    verify_cache(params, is_repairing=True)
    verify_cache(params, is_repairing=False)
    assert "4 rows, all whole" in capsys.readouterr().out
    rows = cache.rows(SPACE)
    assert (rows.read([hash_of(4)])[0] == row_of(4)).all()
    assert rows.find([hash_of(2)]).tolist() == [-1]
    add(cache, [2])
    assert (cache.rows(SPACE).read([hash_of(2)])[0] == row_of(2)).all()


def test_gc_removes_only_what_no_build_uses(params, tmp_path, capsys):
    cache = open_cache(params)
    used, other = params.build("ddl_cxr", "image"), tmp_path / "other" / "ddl_cxr" / "image"
    put_rows(used, cache, [hash_of(1)], row_of(1)[None])
    for stage, width in ((other, 2), (tmp_path / "image", 3)):
        rows = np.zeros((1, width), np.uint8)
        put_rows(stage, cache, [hash_of(1)], rows)
    assert len(cache.spaces()) == 3
    builds = [tmp_path / "other"]
    collect_garbage(params, builds, days=0, is_removing=False)
    assert "--remove" in capsys.readouterr().out
    assert len(cache.spaces()) == 3
    for space in cache.spaces():
        cache.ledger.register(space)
    collect_garbage(params, builds, days=1, is_removing=True)
    assert len(cache.spaces()) == 3  # used today
    collect_garbage(params, builds, days=0, is_removing=True)
    assert {space.shape for space in cache.spaces()} == {(2,), (4, 4)}
    with pytest.raises(ContractError, match="no such build"):
        collect_garbage(params, [tmp_path / "nowhere"], days=0, is_removing=True)


def test_a_ledger_that_cannot_be_reached_is_named_without_its_password(params):
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/none"
    cache = params.cache.model_copy(update={"ledger": url})
    with pytest.raises(ContractError, match="no ledger at") as error:
        open_cache(params.model_copy(update={"cache": cache})).ledger.spaces()
    assert "secret" not in str(error.value)


def test_keys_are_the_first_half_of_the_hash():
    assert parse_keys(["0" * 15 + "1" + "f" * 48]).tolist() == [[1, 2**64 - 1]]
    assert parse_keys([]).shape == (0, 2)


def test_map_rows_ends_with_the_last_whole_row(tmp_path):
    path = tmp_path / "x.rows"
    path.write_bytes(bytes(10))
    assert map_rows(path, 4).shape == (2, 4)
    assert map_rows(tmp_path / "none", 4).shape == (0, 4)
    (tmp_path / "x.index").write_bytes(bytes(ENTRY.itemsize + 3))
    assert len(read_index(tmp_path / "x.index")) == 1

"""What a stage took, what it says meanwhile, and what it says when it cannot write."""

import json
import os
import subprocess

import pytest
from tiny_stages import build, film, heart_rates

from cxrfuture_data import ContractError, console
from etl import cohort, event, window
from etl.params import SqlParams
from etl.sqlfile import open_sql, write_parquet
from etl.stage_cost import OF_PROCESS, OF_STAGE, measured

TABLES = {
    "cxr_metadata": [film("first", 1, 51), film("second", 20, 52)],
    "chartevents": heart_rates(*(hour + 0.5 for hour in range(1, 12))),
}
MEGABYTES = 200


def test_the_record_lies_beside_the_stages_and_counts_their_rows(tmp_path):
    built = build(tmp_path, "ddl_cxr", TABLES)
    folder = built.params.build("ddl_cxr")
    before = {path: path.read_bytes() for path in folder.glob("window/*")}
    with measured(folder, "window"):
        window.run(built.params, built.recipe)
    record = json.loads((folder / "metrics" / "window.json").read_text())
    # Three windows, of pair, stay and generation; no event; and their hours.
    hours = len(built.rows("window", "hourly"))
    assert record["rows_written"] == 3 + hours
    assert record["seconds"] > 0
    assert record["rows_per_second"] == pytest.approx(
        record["rows_written"] / record["seconds"], rel=0.05
    )
    assert record["peak_is"] in (OF_STAGE, OF_PROCESS)
    # Time is in no file of the stage: the same input still gives the same bytes.
    assert {path: path.read_bytes() for path in folder.glob("window/*")} == before


def test_rows_kept_from_an_earlier_run_are_not_counted(tmp_path):
    built = build(tmp_path, "ddl_cxr", TABLES)
    folder = built.params.build("ddl_cxr")
    for path in (folder / "window").glob("*.parquet"):
        os.utime(path, (0, 0))
    with measured(folder, "window"):
        pass
    record = json.loads((folder / "metrics" / "window.json").read_text())
    assert (record["rows_written"], record["rows_per_second"]) == (0, 0.0)


def test_the_peak_is_that_of_the_stage_where_the_kernel_can_forget(tmp_path):
    bytearray(MEGABYTES << 20)[::4096]  # an earlier stage's
    with measured(tmp_path, "small"):
        pass
    small = json.loads((tmp_path / "metrics" / "small.json").read_text())
    with measured(tmp_path, "large"):
        held = bytearray(MEGABYTES << 20)
        held[::4096] = b"x" * len(held[::4096])
    large = json.loads((tmp_path / "metrics" / "large.json").read_text())
    if small["peak_is"] == OF_PROCESS:
        pytest.skip("the kernel keeps the peak of the process")
    assert large["peak_mb"] - small["peak_mb"] > 0.9 * MEGABYTES
    assert large["largest_child_mb"] is None


def test_a_stage_that_fails_leaves_no_record(tmp_path):
    with pytest.raises(ValueError, match="cut"), measured(tmp_path, "event"):
        raise ValueError("cut")
    assert not (tmp_path / "metrics").exists()


def test_long_steps_are_named_with_their_place_and_rows(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    built = build(tmp_path, "ddl_cxr", TABLES, until="event")
    capsys.readouterr()
    cohort.run(built.params, built.recipe)
    said = capsys.readouterr().err
    # admission and taken_film come first; both films of the list are rows of step 2.
    assert "cohort: step 2 of " in said
    assert ", cohort/taken_film: 2 rows in " in said
    window.run(built.params, built.recipe)
    assert "window: 3 of 3 windows" in capsys.readouterr().err


def test_short_steps_say_nothing_and_silence_holds(tmp_path, capsys, monkeypatch):
    built = build(tmp_path, "ddl_cxr", TABLES, until="event")
    capsys.readouterr()
    event.run(built.params, built.recipe)
    assert len(capsys.readouterr().err.splitlines()) == 1
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with console.silence():
        event.run(built.params, built.recipe)
        cohort.run(built.params, built.recipe)
        window.run(built.params, built.recipe)
    assert capsys.readouterr().err == ""


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def write_split(folder, spill, rows):
    """What stage cohort does with so many patients of random ids, about 8 bytes each."""
    with open_sql(SqlParams(memory_limit="1GB", threads=1), spill) as connection:
        connection.execute(
            "CREATE TEMP TABLE assigned AS SELECT CAST(RANDOM() * 1e15 AS BIGINT) AS subject_id"
            f", 'train' AS split, range AS position FROM RANGE({rows})"
        )
        write_parquet(connection, folder / "split.parquet", "cohort/split")


def test_a_full_disk_is_one_line_and_nothing_is_published(tmp_path, small_disk):
    folder = small_disk / "cohort"
    with pytest.raises(ContractError, match=r"/split\.parquet\.part: No space left .*; free some"):
        write_split(folder, tmp_path / ".spill", 1_000_000)
    assert list(folder.iterdir()) == []
    write_split(folder, tmp_path / ".spill", 1000)
    assert [path.name for path in folder.iterdir()] == ["split.parquet"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, small_disk):
    folder = small_disk / "cohort"
    folder.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ContractError, match=r"Read-only file system; set paths\.build"):
        write_split(folder, tmp_path / ".spill", 1000)


def spill_over(spill):
    with open_sql(SqlParams(memory_limit="60MB", threads=1), spill) as connection:
        connection.execute("CREATE TEMP TABLE t AS SELECT RANDOM() AS x FROM RANGE(30000000)")


def test_a_full_spill_folder_is_one_line(small_disk):
    with pytest.raises(ContractError, match=r"\.spill: no space left to spill to; free some"):
        spill_over(small_disk / ".spill")
    assert list(small_disk.iterdir()) == []

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest
from tiny_mimic import (
    ITEM,
    REPOSITORY,
    chart,
    demo_root,
    long_table,
    read_ingested,
    read_notes,
    tiny_params,
    write_table,
    write_tree,
)

from cxrfuture_data.publish import file_sha256
from cxrfuture_data.schema import ContractError
from etl import ingest, sorted_parquet, source_file
from etl.mimic_schema import RECIPE_TABLES, TABLES


def bytes_of(folder: Path) -> dict[str, str]:
    """Hash of each file but the done records, which hold the source's modification time."""
    return {
        str(path.relative_to(folder)): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "done" and path.name != "source.json"
    }


def test_values_come_out_typed_and_rows_sorted_with_their_row_in_the_file(tmp_path):
    rows = [
        chart(2, 1, "80", valuenum=80, warning=0),
        chart(1, 5, "later"),
        chart(1, 3, "b"),  # same time as the next: order of the file decides
        chart(1, 3, "a"),
    ]
    params = write_tree(tmp_path, {"chartevents": rows})
    ingest.run(params)
    table = read_ingested(params, "chartevents")
    assert table["source_row"].to_list() == [3, 4, 2, 1]
    assert table["value"].to_list() == ["b", "a", "later", "80"]
    assert table["valuenum"].to_list() == [None, None, None, 80.0]
    assert table.schema["charttime"] == pl.Datetime("us")
    assert table.schema["hadm_id"] == pl.Int64
    assert table.columns == [*TABLES["chartevents"].names, "source_row"]


def test_all_tables_of_the_recipes_are_there_even_when_empty(tmp_path):
    params = write_tree(tmp_path, {})
    ingest.run(params)
    for name in RECIPE_TABLES:
        assert read_ingested(params, name).height == 0
    metrics = json.loads(params.build("ingest", "metrics.json").read_text())
    assert set(metrics["tables"]) == set(RECIPE_TABLES)
    assert not params.build("ingest", "tmp").exists()


def test_labels_and_film_times_are_kept_raw(tmp_path):
    metadata = {"dicom_id": "a", "subject_id": 1, "study_id": 5, "Rows": 3056}
    tables = {
        "cxr_metadata": [metadata | {"StudyDate": 21800506, "StudyTime": "80556.875"}],
        "cxr_chexpert": [{"subject_id": 1, "study_id": 5, "Edema": "-1.0", "Fracture": "1.0"}],
    }
    params = write_tree(tmp_path, tables)
    ingest.run(params)
    film = read_ingested(params, "cxr_metadata").row(0, named=True)
    assert (film["studydate"], film["studytime"], film["rows"]) == (21800506, 80556.875, 3056)
    labels = read_ingested(params, "cxr_chexpert").row(0, named=True)
    assert (labels["Edema"], labels["Fracture"], labels["Pneumonia"]) == (-1.0, 1.0, None)


def test_only_wanted_tables_are_read_and_others_removed(tmp_path):
    params = write_tree(tmp_path, {"transfers": [{"subject_id": 1, "careunit": "MICU"}]})
    wide = tiny_params(tmp_path, ingest={"tables": "all"})
    ingest.run(wide)
    assert read_ingested(params, "transfers").height == 1
    ingest.run(params)
    assert not params.build("ingest", "transfers.parquet").exists()


def test_optional_tables_are_read_where_they_are_found(tmp_path):
    params = write_tree(tmp_path, {"omr": [{"subject_id": 1, "result_name": "Weight (Lbs)"}]})
    ingest.run(params)
    assert read_ingested(params, "omr").height == 1
    assert not params.build("ingest", "cxr_split.parquet").exists()


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_csv_and_parquet_give_the_bytes_that_csv_gz_gives(tmp_path, extension):
    tables = {
        "chartevents": [chart(1, 2, "x, y"), chart(1, 1, 'say "no"'), chart(3, 1, "two\nlines")],
        "patients": [{"subject_id": 1, "gender": "F", "dod": "2181-01-01"}, {"subject_id": 3}],
        "d_items": [ITEM],
    }
    ingest.run(write_tree(tmp_path / "gz", tables))
    ingest.run(write_tree(tmp_path / "other", tables, extension))
    one, other = (bytes_of(tmp_path / at / "build" / "ingest") for at in ("gz", "other"))
    del one["metrics.json"], other["metrics.json"]  # sizes of the sources differ
    assert one == other


def test_a_missing_table_is_refused_by_name(tmp_path):
    params = write_tree(tmp_path, {})
    (tmp_path / "mimic-iv" / "icu" / "icustays.csv.gz").unlink()
    with pytest.raises(ContractError, match=r"icustays: no icustays\.csv\.gz.*mimic-iv/icu"):
        ingest.run(params)


def test_a_simulated_tree_that_was_not_made_is_refused(tmp_path):
    params = tiny_params(
        tmp_path, paths={"mimic_iv": "simulate", "mimic_cxr_jpg": "simulate", "build": tmp_path}
    )
    with pytest.raises(ContractError, match="run `cxrfuture simulate` first"):
        ingest.run(params)


def in_many_blocks(monkeypatch):
    """Blocks of about ten rows, row groups of 64."""
    blocks = source_file.SourceFile.blocks
    monkeypatch.setattr(
        source_file.SourceFile, "blocks", lambda self, block_bytes=400: blocks(self, block_bytes)
    )
    monkeypatch.setattr(source_file, "READ_BYTES", 100)
    monkeypatch.setattr(sorted_parquet, "ROWS_PER_GROUP", 64)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("order", ["sorted", "grouped", "shuffled"])
def test_the_bytes_do_not_depend_on_blocks_threads_or_the_order_s_cost(
    tmp_path, monkeypatch, threads, order
):
    """Rows in any order, read in one block or many, sorted on the way or afterwards."""
    rows = [
        chart(n // 50, (n * 7) % 24 if order != "sorted" else n % 50 // 3, n) for n in range(500)
    ]
    if order == "shuffled":
        rows = rows[250:] + rows[:250]
    write_tree(tmp_path, {"chartevents": rows})
    monkeypatch.setattr(sorted_parquet, "ROWS_PER_GROUP", 64)
    paths = tiny_params(tmp_path).paths.model_dump()
    whole = tiny_params(tmp_path, paths=paths | {"build": tmp_path / "whole"})
    ingest.run(whole)
    in_many_blocks(monkeypatch)
    pieces = tiny_params(
        tmp_path,
        paths=paths | {"build": tmp_path / "pieces"},
        ingest={"threads": threads},
    )
    ingest.run(pieces)
    one, other = (file_sha256(at.build("ingest", "chartevents.parquet")) for at in (whole, pieces))
    assert one == other
    table = read_ingested(pieces, "chartevents")
    keys = table.select("subject_id", "charttime", "source_row").rows()
    assert keys == sorted(keys)
    values = [str(rows[row - 1]["value"]) for row in table["source_row"]]
    assert table["value"].to_list() == values
    notes = read_notes(pieces, "chartevents")
    assert notes == ({"rows regrouped by patient": 500} if order == "shuffled" else {})


def test_rows_of_a_keyed_table_that_repeat_word_for_word_are_dropped_and_counted(tmp_path):
    stays = [
        {"subject_id": 1, "hadm_id": 10, "admittime": "2180-01-02 00:00:00"},
        {"subject_id": 1, "hadm_id": 11, "admittime": "2180-03-02 00:00:00"},
    ]
    params = write_tree(tmp_path, {"admissions": [*stays, stays[0]], "d_items": [ITEM, ITEM]})
    ingest.run(params)
    assert read_ingested(params, "admissions").select("hadm_id", "source_row").rows() == [
        (10, 1),
        (11, 2),
    ]
    assert read_ingested(params, "d_items").height == 1
    assert read_notes(params, "admissions") == {"rows repeated word for word, dropped": 1}


@pytest.mark.parametrize(
    ("name", "row", "column"),
    [
        ("patients", {"subject_id": 1}, "gender"),
        ("admissions", {"subject_id": 1, "hadm_id": 2}, "race"),
        ("icustays", {"subject_id": 1, "stay_id": 2}, "los"),
        ("d_items", {"itemid": 2}, "lownormalvalue"),
        ("cxr_metadata", {"subject_id": 1, "dicom_id": "a"}, "Rows"),
    ],
)
def test_a_key_on_two_rows_that_differ_is_refused(tmp_path, name, row, column):
    params = write_tree(tmp_path, {name: [row | {column: 1}, row | {column: 2}]})
    with pytest.raises(ContractError, match=rf"{name}: 1 values of .* that differ"):
        ingest.run(params)


def test_a_discharge_before_its_admission_is_kept_and_counted(tmp_path):
    """Known of MIMIC-IV: it is the data."""
    times = {"admittime": "2180-01-02 10:00:00", "dischtime": "2180-01-02 09:00:00"}
    params = write_tree(tmp_path, {"admissions": [{"subject_id": 1, "hadm_id": 2, **times}]})
    ingest.run(params)
    assert read_ingested(params, "admissions").height == 1
    assert read_notes(params, "admissions") == {"dischtime before admittime, kept": 1}


def test_finished_tables_are_skipped_and_changed_ones_made_again(tmp_path):
    params = write_tree(tmp_path, {"d_items": [ITEM], "patients": [{"subject_id": 1}]})
    ingest.run(params)
    made = {p.name: p.stat().st_mtime_ns for p in params.build("ingest").glob("*.parquet")}
    write_table(tmp_path / "mimic-iv", "d_items", [ITEM, ITEM | {"itemid": 5}])
    ingest.run(params)
    now = {p.name: p.stat().st_mtime_ns for p in params.build("ingest").glob("*.parquet")}
    assert {name for name in made if now[name] != made[name]} == {"d_items.parquet"}
    assert read_ingested(params, "d_items")["itemid"].to_list() == [5, 220045]


def test_the_source_is_described_and_its_digest_follows_its_bytes(tmp_path):
    params = write_tree(tmp_path, {"d_items": [ITEM]})
    marker = tmp_path / "mimic-cxr-jpg" / "SIMULATED.json"
    marker.write_text(json.dumps({"seed": 1, "patients": 2, "version": "2.1.0"}))
    ingest.run(params)
    source = json.loads(params.build("ingest", "source.json").read_text())
    root = str((tmp_path / "mimic-iv").resolve())
    version = "3.x, a subset: 0 patients"
    assert source["mimic_iv"] == {"root": root, "version": version, "simulated": False}
    assert source["mimic_cxr_jpg"]["simulated"] is True
    assert source["mimic_cxr_jpg"]["version"] == "2.1.0"
    os.utime(tmp_path / "mimic-iv" / "icu" / "d_items.csv.gz", (0, 0))  # copied, not changed
    ingest.run(params)
    again = json.loads(params.build("ingest", "source.json").read_text())
    assert again["manifest_digest"] == source["manifest_digest"]
    write_table(tmp_path / "mimic-iv", "d_items", [ITEM | {"label": "Pulse"}])
    ingest.run(params)
    changed = json.loads(params.build("ingest", "source.json").read_text())
    assert changed["manifest_digest"] != source["manifest_digest"]


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from tiny_mimic import tiny_params
from etl import ingest
ingest.run(tiny_params(Path(sys.argv[1])))
"""


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    """kill -9 after so many finished tables, then a run to the end."""
    text = long_table(60_000)
    for at in ("whole", "killed"):
        write_tree(tmp_path / at, {})
        for name in ("chartevents",):
            path = tmp_path / at / "mimic-iv" / "icu" / f"{name}.csv.gz"
            path.write_bytes(gzip.compress(text.encode(), 1, mtime=0))
    ingest.run(tiny_params(tmp_path / "whole"))
    done = tmp_path / "killed" / "build" / "ingest" / "done"
    for finished in (1, 8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "killed")],
            cwd=REPOSITORY,
            stderr=subprocess.DEVNULL,
        )
        while child.poll() is None and len(list(done.glob("*.json"))) < finished:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait()
    ingest.run(tiny_params(tmp_path / "killed"))
    one, other = (bytes_of(tmp_path / at / "build" / "ingest") for at in ("whole", "killed"))
    assert one == other


@pytest.mark.demo
def test_the_open_demo_is_read_row_for_row(tmp_path):
    root = demo_root()
    (tmp_path / "mimic-iv").symlink_to(root)
    for name in ("cxr_metadata", "cxr_chexpert", "cxr_split"):
        write_table(tmp_path / "mimic-cxr-jpg", name, [])
    params = tiny_params(tmp_path, ingest={"tables": "all"})
    ingest.run(params)
    metrics = json.loads(params.build("ingest", "metrics.json").read_text())["tables"]
    for path in sorted(root.glob("*/*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        lines = pl.read_csv(path, infer_schema=False).height
        assert metrics[name]["rows"] == lines, name
        assert metrics[name]["rejects"] == 0
        table = read_ingested(params, name)
        assert table.height == lines
        if TABLES[name].has_source_row:
            assert table["subject_id"].is_sorted()
            in_file_order = table.sort("source_row").drop("source_row")
            assert in_file_order.equals(read_with_duckdb(name, path)), name


def read_with_duckdb(name, path):
    """Another reader of the same csv, by the types alone."""
    types = dict(zip(TABLES[name].names, TABLES[name].columns.values(), strict=True))
    columns = ", ".join(f"'{column}': '{kind}'" for column, kind in types.items())
    return duckdb.sql(
        f"SELECT * FROM read_csv('{path}', header = true, columns = {{{columns}}})"
    ).pl()

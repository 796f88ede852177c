"""The metadata table from DICOM headers: literal headers, and every file that gives no row."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pydicom
import pytest
from tiny_film import dicom_id, release_path, write_header
from tiny_mimic import read_ingested, tiny_params, write_tree

from cxrfuture_data.schema import ContractError
from etl import film_metadata, ingest
from etl.film_header import date_of, read_row, time_of
from etl.film_list import list_films
from etl.film_tree import find_films
from etl.mimic_schema import TABLES

ROOT = Path(__file__).resolve().parent.parent

# subject_id, study_id, film; out of the order of the csv on purpose.
FILMS = [
    (19999987, 55368167, 4),
    (10000032, 53189527, 3),
    (10000032, 50414267, 2),
    (10000032, 50414267, 1),
]
IN_ORDER = [1, 2, 3, 4]


def write_release(root: Path, films=FILMS, record_list=False):
    """MIMIC-CXR's DICOM films with the label csv beside them and no metadata; params for it."""
    params = write_tree(root, {})
    cxr = root / "mimic-cxr-jpg"
    (cxr / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    for film in films:
        write_header(cxr / release_path(*film), *film)
    if record_list:
        write_record_list(cxr, films)
    return params


def write_record_list(cxr: Path, films) -> None:
    lines = [f"{film[0]},{film[1]},{dicom_id(film[2])},{release_path(*film)}\n" for film in films]
    text = "subject_id,study_id,dicom_id,path\n" + "".join(lines)
    (cxr / "cxr-record-list.csv.gz").write_bytes(gzip.compress(text.encode()))


def read_headers(params):
    """What source.json says was read."""
    source = json.loads(params.build("ingest", "source.json").read_text())
    return source["mimic_cxr_jpg"]["headers"]


def read_rejects(params):
    path = params.build("ingest", "rejects", "cxr_header.parquet")
    return pl.read_parquet(path).rows() if path.exists() else []


def change_header(path: Path, **changes):
    dataset = pydicom.dcmread(path)
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


# --- one header


def test_a_header_becomes_the_row_of_the_csv(tmp_path):
    path = write_header(tmp_path / "film.dcm", 1, 2, 3)
    assert read_row(path) == (
        *("CHEST (PORTABLE AP)", "AP", 10, 8, 21800506, 80556.875),
        *("CHEST (PORTABLE AP)", "antero-posterior", None),
    )


def test_what_a_header_leaves_out_is_empty(tmp_path):
    path = write_header(tmp_path / "film.dcm", 1, 2, 3)
    absent = dict.fromkeys(["PerformedProcedureStepDescription", "ViewCodeSequence"])
    change_header(path, ViewPosition="", StudyDate="", StudyTime="", **absent)
    change_header(path, ProcedureCodeSequence=[])
    assert read_row(path) == (None, None, 10, 8, None, None, None, None, None)


@pytest.mark.parametrize(
    ("spelt", "read"),
    [
        ("080556.875", 80556.875),
        ("000012.000", 12.0),
        ("000012", 12.0),
        ("0805", 80500.0),  # DICOM allows to leave out what is not known
        ("08", 80000.0),
        ("08:05:56.875", 80556.875),
        ("213014.531000", 213014.531),
        ("8:05", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_the_csv_s_number(spelt, read):
    assert time_of(spelt) == read


@pytest.mark.parametrize(
    ("spelt", "read"),
    [("21800506", 21800506), ("2180.05.06", 21800506), ("2180", None), ("", None), (None, None)],
)
def test_a_date_is_the_csv_s_number(spelt, read):
    assert date_of(spelt) == read


# --- the table


@pytest.mark.parametrize("record_list", [False, True])
def test_the_table_has_the_csv_s_columns_and_order(tmp_path, record_list):
    params = write_release(tmp_path, record_list=record_list)
    ingest.run(params)
    table = read_ingested(params, "cxr_metadata").sort("source_row")
    assert table.columns == [*TABLES["cxr_metadata"].names, "source_row"]
    assert table["source_row"].to_list() == [1, 2, 3, 4]
    assert table["dicom_id"].to_list() == [dicom_id(number) for number in IN_ORDER]
    assert table["subject_id"].to_list() == [10000032] * 3 + [19999987]
    assert table["study_id"].to_list() == [50414267, 50414267, 53189527, 55368167]
    name = "cxr-record-list.csv.gz" if record_list else "folders"
    assert read_headers(params) == {"listed_by": name, "films": 4, "absent": 0, "rejects": 0}


def test_a_csv_of_the_same_rows_gives_the_same_bytes(tmp_path):
    params = write_release(tmp_path / "dicom")
    ingest.run(params)
    made = params.build("ingest", "cxr_metadata.parquet")
    rows = pl.read_parquet(made).sort("source_row").drop("source_row").to_dicts()
    by_csv = write_tree(tmp_path / "csv", {"cxr_metadata": rows})
    ingest.run(by_csv)
    assert by_csv.build("ingest", "cxr_metadata.parquet").read_bytes() == made.read_bytes()


def test_a_metadata_csv_is_read_instead_of_headers(tmp_path):
    params = write_tree(tmp_path, {"cxr_metadata": [{"dicom_id": "a", "subject_id": 1}]})
    film = (10000032, 50414267, 1)
    write_header(tmp_path / "mimic-cxr-jpg" / release_path(*film), *film)
    ingest.run(params)
    assert read_ingested(params, "cxr_metadata")["dicom_id"].to_list() == ["a"]
    assert read_headers(params) is None


def test_films_may_lie_elsewhere_than_the_csvs(tmp_path):
    params = write_release(tmp_path)
    films = tmp_path / "disk" / "dicom"
    films.mkdir(parents=True)
    (tmp_path / "mimic-cxr-jpg" / "files").rename(films / "files")
    paths = params.paths.model_copy(update={"films": str(tmp_path / "disk" / "dicom")})
    ingest.run(params.model_copy(update={"paths": paths}))
    assert read_ingested(params, "cxr_metadata").height == 4


def test_a_flat_folder_needs_the_record_list(tmp_path):
    params = write_release(tmp_path, [])
    cxr = tmp_path / "mimic-cxr-jpg"
    for film in FILMS:
        write_header(cxr / "dicom" / f"{dicom_id(film[2])}.dcm", *film)
    with pytest.raises(ContractError, match=r"dicom: one flat folder.*cxr-record-list\.csv\.gz"):
        ingest.run(params)
    write_record_list(cxr, FILMS)
    ingest.run(params)
    assert read_ingested(params, "cxr_metadata")["subject_id"].to_list()[-1] == 19999987


# --- films that give no row


def test_a_film_that_is_listed_and_not_there_is_counted(tmp_path):
    params = write_release(tmp_path, record_list=True)
    (tmp_path / "mimic-cxr-jpg" / release_path(*FILMS[2])).unlink()
    ingest.run(params)
    assert read_headers(params)["absent"] == 1
    assert read_ingested(params, "cxr_metadata")["dicom_id"].to_list() == [
        dicom_id(number) for number in (1, 3, 4)
    ]


def test_files_that_are_no_film_are_listed_up_to_max_rejects(tmp_path):
    params = write_release(tmp_path)
    cxr = tmp_path / "mimic-cxr-jpg"
    study = cxr / "files" / "p10" / "p10000032" / "s50414267"
    whole = (cxr / release_path(*FILMS[0])).read_bytes()
    (study / "a.dcm").write_bytes(b"")
    (study / "b.dcm").write_bytes(b"not DICOM at all" * 20)
    (study / "c.dcm").write_bytes(whole[:600])
    (study / "d.dcm").mkdir()
    (study / "index.html").write_text("what wget leaves")
    message = (
        r"cxr_metadata: DICOM files without a row \(1 cannot be opened, 1 ends before its pixel"
        r" data, 2 not a DICOM file\) exceed ingest\.max_rejects 0, first files/p10/.*/a\.dcm"
    )
    with pytest.raises(ContractError, match=message):
        ingest.run(params)
    lenient = tiny_params(tmp_path, ingest={"max_rejects": 4})
    ingest.run(lenient)
    assert read_ingested(params, "cxr_metadata").height == 4
    assert read_headers(params)["rejects"] == 4
    assert [(Path(path).name, kind) for path, kind in read_rejects(params)] == [
        ("a.dcm", "not a DICOM file"),
        ("b.dcm", "not a DICOM file"),
        ("c.dcm", "ends before its pixel data"),
        ("d.dcm", "cannot be opened"),
    ]
    for name in "abc":
        (study / f"{name}.dcm").unlink()
    (study / "d.dcm").rmdir()
    ingest.run(params)  # mended: nothing is left to list
    assert read_rejects(params) == []


def test_a_header_cut_anywhere_gives_a_whole_row_or_none(tmp_path):
    params = write_release(tmp_path, FILMS[:1])
    path = tmp_path / "mimic-cxr-jpg" / release_path(*FILMS[0])
    whole = path.read_bytes()
    row = read_row(path)
    pixels = whole.index(b"\xe0\x7f\x10\x00")
    lenient = tiny_params(tmp_path, ingest={"max_rejects": 1})
    rows = []
    for end in range(150, pixels + 100, 41):
        path.write_bytes(whole[:end])
        listed, facts = film_metadata.add_metadata(
            lenient, ingest.find_source(params, "mimic_cxr_jpg")
        )
        table = pl.read_parquet(listed.tables["cxr_metadata"])
        assert table.height + facts["rejects"] == 1
        assert table.height == (end >= pixels + 2), end
        rows += table.rows()
    assert {found[3:] for found in rows} == {row}


def test_of_two_files_of_one_film_the_first_is_read(tmp_path):
    again = (19999987, 55368167, 1)
    params = write_release(tmp_path, [*FILMS, again])
    with pytest.raises(ContractError, match=r"1 repeats a dicom_id.*p19999987/s55368167"):
        ingest.run(params)
    ingest.run(tiny_params(tmp_path, ingest={"max_rejects": 1}))
    table = read_ingested(params, "cxr_metadata")
    assert table["subject_id"].to_list() == [10000032] * 3 + [19999987]
    assert read_rejects(params) == [(release_path(*again), "repeats a dicom_id")]


def test_links_that_lead_back_end_the_walk(tmp_path):
    params = write_release(tmp_path)
    cxr = tmp_path / "mimic-cxr-jpg"
    subject = cxr / "files" / "p10" / "p10000032"
    (subject / "s99999999").symlink_to(subject)
    (cxr / "files" / "p11").symlink_to(cxr / "files")
    (cxr / "back").symlink_to(cxr)
    (cxr / "self").symlink_to(cxr / "self")
    (subject / "s88888888").symlink_to(subject / "s88888888")
    ingest.run(params)
    assert read_ingested(params, "cxr_metadata").height == 4


def test_a_read_only_tree_stays_as_it_is(tmp_path):
    params = write_release(tmp_path, record_list=True)
    cxr = tmp_path / "mimic-cxr-jpg"
    folders = [cxr, *(path for path in cxr.rglob("*") if path.is_dir())]
    before = sorted(cxr.rglob("*"))
    for folder in folders:
        folder.chmod(0o555)
    try:
        ingest.run(params)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert read_ingested(params, "cxr_metadata").height == 4
    assert sorted(cxr.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject_id,study_id,path\n1,2,x\n", "no column 'dicom_id'"),
        ("subject_id,study_id,dicom_id,path\n1,2,a,b\n1,,c,d\n", "data row 2 lacks"),
    ],
)
def test_a_broken_record_list_is_refused(tmp_path, text, message):
    params = write_release(tmp_path)
    (tmp_path / "mimic-cxr-jpg" / "cxr-record-list.csv").write_text(text)
    with pytest.raises(ContractError, match=message):
        ingest.run(params)


def test_a_record_list_cut_short_is_refused(tmp_path):
    params = write_release(tmp_path, record_list=True)
    path = tmp_path / "mimic-cxr-jpg" / "cxr-record-list.csv.gz"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ContractError, match="truncated gzip"):
        ingest.run(params)


# --- what else is missing


def test_neither_metadata_nor_dicom_says_so(tmp_path):
    params = write_release(tmp_path, [])
    with pytest.raises(ContractError, match=r"cxr_metadata: no .*nor DICOM films to make it from"):
        ingest.run(params)


def test_no_labels_at_all_is_one_line(tmp_path):
    params = write_release(tmp_path)
    cxr = tmp_path / "mimic-cxr-jpg"
    (cxr / "mimic-cxr-2.0.0-chexpert.csv.gz").unlink()
    with pytest.raises(
        ContractError, match=r"labels come with MIMIC-CXR-JPG only.*paths\.films"
    ) as e:
        ingest.run(params)
    assert "\n" not in str(e.value)
    with gzip.open(cxr / "mimic-cxr-2.0.0-negbio.csv.gz", "wt", newline="") as file:
        csv.writer(file).writerow(TABLES["cxr_negbio"].columns)
    ingest.run(params)  # one labeler's are enough
    assert read_ingested(params, "cxr_negbio").height == 0


def test_films_of_a_folder_that_is_not_there(tmp_path):
    params = write_release(tmp_path)
    for update, message in [
        ({"films": str(tmp_path / "gone")}, r"gone: no such folder; set paths\.films"),
        ({"films": str(tmp_path), "mimic_cxr_jpg": "simulate"}, "set both or neither"),
    ]:
        paths = params.paths.model_copy(update=update)
        (params.build("simulate", "mimic-cxr-jpg", "files", "p10")).mkdir(
            parents=True, exist_ok=True
        )
        with pytest.raises(ContractError, match=message):
            ingest.run(params.model_copy(update={"paths": paths}))


# --- parts


def many(count):
    return [(10000032 + number // 3, 50000000 + number // 2, number) for number in range(count)]


def test_the_bytes_do_not_depend_on_workers_or_parts(tmp_path, monkeypatch):
    made = []
    for workers, films_per_part in ((1, 2048), (2, 3), (1, 1)):
        monkeypatch.setattr(film_metadata, "FILMS_PER_PART", films_per_part)
        root = tmp_path / f"{workers}-{films_per_part}"
        write_release(root, many(10))
        params = tiny_params(root, ingest={"threads": workers})
        ingest.run(params)
        made.append(params.build("ingest", "cxr_metadata.parquet").read_bytes())
    assert len(set(made)) == 1


def test_only_the_part_of_a_changed_film_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(film_metadata, "FILMS_PER_PART", 4)
    params = write_release(tmp_path, many(10))
    ingest.run(params)
    folder = params.build("ingest", "header")
    parts = sorted(folder.glob("part-*.parquet"))
    assert len(parts) == 3
    before = [path.stat().st_mtime_ns for path in parts]
    table = params.build("ingest", "cxr_metadata.parquet")
    made = table.stat().st_mtime_ns
    ingest.run(params)
    assert [path.stat().st_mtime_ns for path in parts] == before
    assert table.stat().st_mtime_ns == made
    film = many(10)[5]
    path = tmp_path / "mimic-cxr-jpg" / release_path(*film)
    write_header(path, *film, ViewPosition="PA", StudyTime="12.0")
    ingest.run(params)
    after = [path.stat().st_mtime_ns for path in parts]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
    row = read_ingested(params, "cxr_metadata").filter(dicom_id=dicom_id(5))
    assert row.select("viewposition", "studytime").row(0) == ("PA", 12.0)
    (tmp_path / "mimic-cxr-jpg" / release_path(*many(10)[9])).unlink()
    (tmp_path / "mimic-cxr-jpg" / release_path(*many(10)[8])).unlink()
    ingest.run(params)
    assert len(list(folder.glob("part-*.parquet"))) == 2
    assert read_ingested(params, "cxr_metadata").height == 8


RUN_IN_A_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from tiny_mimic import tiny_params
from etl import film_metadata, ingest
film_metadata.FILMS_PER_PART = 2
if __name__ == "__main__":
    ingest.run(tiny_params(Path(sys.argv[1]), ingest={"threads": 1}))
"""


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(film_metadata, "FILMS_PER_PART", 2)
    films = many(200)
    for name in ("killed", "whole"):
        write_release(tmp_path / name, films)
    script = tmp_path / "child.py"
    script.write_text(RUN_IN_A_CHILD)
    child = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "killed")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    done = tmp_path / "killed" / "build" / "ingest" / "header" / "done"
    give_up = time.monotonic() + 60
    while len(list(done.glob("*.json"))) < 3 and time.monotonic() < give_up:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = {path: path.stat().st_mtime_ns for path in done.glob("part-*.json")}
    assert 3 <= len(kept) < 100
    assert not (done.parent / "done.json").exists()
    tables = []
    for name in ("killed", "whole"):
        params = tiny_params(tmp_path / name)
        ingest.run(params)
        tables.append(params.build("ingest", "cxr_metadata.parquet").read_bytes())
    assert tables[0] == tables[1]
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())


def test_header_workers_start_without_the_heavy_libraries():
    listed = subprocess.run(
        [sys.executable, "-c", "import sys, etl.film_header; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"torch", "polars", "duckdb", "pyarrow"} & set(listed)


def test_a_walk_goes_no_deeper_than_studies(tmp_path):
    film = (10000032, 50414267, 1)
    write_header(tmp_path / release_path(*film), *film)
    study = (tmp_path / release_path(*film)).parent
    write_header(study / "s1" / f"{dicom_id(2)}.dcm", *film)
    write_header(study.parent / f"{dicom_id(3)}.dcm", *film)
    (study / f"{dicom_id(4)}.jpg").touch()
    listed = list_films(find_films(tmp_path), [tmp_path])
    assert [film.path for film in listed.films] == [release_path(*film)]

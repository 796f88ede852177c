"""The image stage: one row an attempt, and the same bytes however the work is cut or broken off."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import parse_settings, read_yaml
from etl import image
from etl.ledger import read_ledger
from etl.params import Params
from etl.recipe import read_recipe

ROOT = Path(__file__).resolve().parent.parent
RECIPE = read_recipe("ddl_cxr")


def read_test_params(build, workers=1, films_per_part=4):
    value = read_yaml(ROOT / "params.yaml")
    value["paths"] |= {"build": str(build)}
    value["image"] = {"workers": workers, "films_per_part": films_per_part}
    return parse_settings(Params, value, "test")


def write_cohort(build, films, root):
    """``films``: (subject_id, dicom_id); even subjects are in train, odd ones in test."""
    cohort = build / RECIPE.name / "cohort"
    cohort.mkdir(parents=True, exist_ok=True)
    subjects = sorted({subject for subject, _ in films})
    pl.DataFrame(
        {"subject_id": subjects, "split": ["test" if one % 2 else "train" for one in subjects]}
    ).write_parquet(cohort / "split.parquet")
    pl.DataFrame(
        {
            "dicom_id": [dicom for _, dicom in films],
            "subject_id": [subject for subject, _ in films],
            "path": [f"files/{dicom}.jpg" for _, dicom in films],
        }
    ).write_parquet(cohort / "film.parquet")
    (build / "ingest").mkdir(parents=True, exist_ok=True)
    source = {"mimic_cxr_jpg": {"root": str(root), "version": "2.1.0", "simulated": False}}
    (build / "ingest" / "source.json").write_text(json.dumps(source))


def write_film(path, seed, width=320, height=400):
    y, x = np.mgrid[0:height, 0:width]
    grey = 128 + 60 * np.sin(x / (20 + seed)) + 60 * np.cos(y / (15 + seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey.astype(np.uint8)).save(path)


def result_bytes(build):
    """What the stage promises: arrays, the film table and the ledger."""
    folder = build / RECIPE.name / "image"
    paths = [*sorted(folder.glob("part-*.npy")), folder / "film.parquet", folder / "ledger.json"]
    return {path.name: path.read_bytes() for path in paths}


def read_table(build):
    return pl.read_parquet(build / RECIPE.name / "image" / "film.parquet")


@pytest.fixture
def ten_films(tmp_path):
    """Ten films of three patients; the films root is shared by the builds of a test."""
    films = [(100 + number // 4, f"d{number}") for number in range(10)]
    for number, (_, dicom) in enumerate(films):
        write_film(tmp_path / "cxr" / "files" / f"{dicom}.jpg", number)
    return films


def test_every_attempt_has_a_row_in_the_cohort_s_order(tmp_path, ten_films):
    files = tmp_path / "cxr" / "files"
    (files / "d1.jpg").unlink()
    (files / "d3.jpg").write_bytes((files / "d3.jpg").read_bytes()[:-500])
    (files / "d4.jpg").write_text("no film")
    Image.new("L", (64, 64), 7).save(files / "d8.jpg")
    films = ten_films[::-1]
    write_cohort(tmp_path, films, tmp_path / "cxr")
    image.run(read_test_params(tmp_path), RECIPE)

    table = read_table(tmp_path)
    assert table["dicom_id"].to_list() == [dicom for _, dicom in films]
    assert table["outcome"].to_list() == [
        *("ok", "constant", "ok", "ok", "ok", "unreadable", "truncated", "ok", "missing", "ok")
    ]
    # Parts of four in that order; d8 of the first part and d4, d3 of the second have no image.
    assert table["part"].to_list() == [0, None, 0, 0, 1, None, None, 1, None, 2]
    assert table["row"].to_list() == [0, None, 1, 2, 0, None, None, 1, None, 0]
    assert table["split"].to_list() == ["train"] * 2 + ["test"] * 4 + ["train"] * 4
    assert table.filter(dicom_id="d0").select("width", "height").row(0) == (320, 400)
    assert table.filter(dicom_id="d1")["sha256"].to_list() == [None]
    arrays = [np.load(tmp_path / RECIPE.name / "image" / f"part-0000{n}.npy") for n in range(3)]
    assert [array.shape for array in arrays] == [(3, 224, 224), (2, 224, 224), (1, 224, 224)]
    assert {array.dtype for array in arrays} == {np.dtype(np.uint8)}


def test_lost_films_are_in_the_ledger(tmp_path, ten_films):
    (tmp_path / "cxr" / "files" / "d1.jpg").unlink()
    (tmp_path / "cxr" / "files" / "d4.jpg").write_bytes(b"")
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    image.run(read_test_params(tmp_path), RECIPE)
    drops = read_ledger(tmp_path / RECIPE.name / "image")
    assert [(drop.unit, drop.reason, drop.before, drop.removed) for drop in drops] == [
        ("film", "missing", 10, 1),
        ("film", "unreadable", 9, 0),
        ("film", "truncated", 9, 1),
        ("film", "constant", 8, 0),
    ]


def test_one_and_two_workers_give_the_same_bytes(tmp_path, ten_films):
    for workers in (1, 2):
        build = tmp_path / f"workers{workers}"
        write_cohort(build, ten_films, tmp_path / "cxr")
        image.run(read_test_params(build, workers=workers), RECIPE)
    assert result_bytes(tmp_path / "workers1") == result_bytes(tmp_path / "workers2")


def test_a_second_run_reads_nothing_and_a_changed_film_only_its_part(tmp_path, ten_films):
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    params = read_test_params(tmp_path)
    image.run(params, RECIPE)
    parts = sorted((tmp_path / RECIPE.name / "image").glob("part-*.npy"))
    before = [path.stat().st_mtime_ns for path in parts]
    image.run(params, RECIPE)
    assert [path.stat().st_mtime_ns for path in parts] == before
    write_film(tmp_path / "cxr" / "files" / "d5.jpg", 99)
    image.run(params, RECIPE)
    after = [path.stat().st_mtime_ns for path in parts]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_a_film_that_appears_later_is_read(tmp_path, ten_films):
    film = tmp_path / "cxr" / "files" / "d9.jpg"
    film.rename(tmp_path / "away.jpg")
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    image.run(read_test_params(tmp_path), RECIPE)
    assert read_table(tmp_path)["outcome"].to_list()[9] == "missing"
    (tmp_path / "away.jpg").rename(film)
    image.run(read_test_params(tmp_path), RECIPE)
    assert read_table(tmp_path)["outcome"].to_list()[9] == "ok"


def test_parts_of_a_longer_run_are_removed(tmp_path, ten_films):
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    image.run(read_test_params(tmp_path), RECIPE)
    write_cohort(tmp_path, ten_films[:4], tmp_path / "cxr")
    image.run(read_test_params(tmp_path), RECIPE)
    folder = tmp_path / RECIPE.name / "image"
    assert [path.name for path in folder.glob("part-*")] == ["part-00000.npy"]
    assert [path.name for path in (folder / "done").iterdir()] == ["part-00000.json"]


RUN_IN_A_CHILD = """
import sys
from tests.test_image import RECIPE, read_test_params
from etl import image
if __name__ == "__main__":
    image.run(read_test_params(sys.argv[1], workers=2), RECIPE)
"""


def processes_of(group):
    """How many processes of a group run; those that wait to be reaped do not count."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return sum(row[0] == str(group) and not row[1].startswith("Z") for row in rows)


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    films = [(1, f"d{number}") for number in range(120)]
    files = tmp_path / "cxr" / "files"
    for number in range(3):
        write_film(files / f"d{number}.jpg", number, 1500, 1800)
    for number in range(3, 120):
        (files / f"d{number}.jpg").hardlink_to(files / f"d{number % 3}.jpg")
    for name in ("killed", "whole"):
        write_cohort(tmp_path / name, films, tmp_path / "cxr")
    script = tmp_path / "child.py"
    script.write_text(RUN_IN_A_CHILD)
    folder = tmp_path / "killed" / RECIPE.name / "image"
    child = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "killed")],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while len(list(folder.glob("done/*.json"))) < 3 and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (folder / "film.parquet").exists()
    assert not (folder / "done.json").exists()
    deadline = time.monotonic() + 20
    while processes_of(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(child.pid) == 0  # its workers noticed and stopped
    assert 3 <= len(list(folder.glob("done/*.json"))) < 30

    for name in ("killed", "whole"):
        image.run(read_test_params(tmp_path / name), RECIPE)
    assert result_bytes(tmp_path / "killed") == result_bytes(tmp_path / "whole")
    assert not list(folder.rglob("*.part"))


def test_workers_start_without_the_heavy_libraries():
    listed = subprocess.run(
        [sys.executable, "-c", "import sys, etl.film_part; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"torch", "polars", "duckdb", "pyarrow", "pydicom"} & set(listed)


def test_no_films_at_all_names_the_root_and_the_setting(tmp_path, ten_films):
    (tmp_path / "empty").mkdir()
    write_cohort(tmp_path, ten_films, tmp_path / "empty")
    with pytest.raises(ContractError, match=r"empty: none of 10 films .*10 missing.*MIMIC_CXR"):
        image.run(read_test_params(tmp_path), RECIPE)


def test_a_root_that_is_not_there_is_named(tmp_path, ten_films):
    write_cohort(tmp_path, ten_films, tmp_path / "nowhere")
    with pytest.raises(ContractError, match=r"nowhere: no such folder.*MIMIC_CXR_JPG_DIR"):
        image.run(read_test_params(tmp_path), RECIPE)


def test_image_before_ingest_or_cohort_says_so(tmp_path, ten_films):
    with pytest.raises(ContractError, match="cxrfuture ingest"):
        image.run(read_test_params(tmp_path), RECIPE)
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    (tmp_path / RECIPE.name / "cohort" / "film.parquet").unlink()
    with pytest.raises(ContractError, match="cxrfuture cohort"):
        image.run(read_test_params(tmp_path), RECIPE)


def test_a_cohort_without_films_gives_an_empty_table(tmp_path):
    (tmp_path / "cxr").mkdir()
    write_cohort(tmp_path, [(1, "d1")], tmp_path / "cxr")
    path = tmp_path / RECIPE.name / "cohort" / "film.parquet"
    pl.read_parquet(path).clear().write_parquet(path)
    image.run(read_test_params(tmp_path), RECIPE)
    assert read_table(tmp_path).shape == (0, 9)

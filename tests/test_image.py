"""The image stage: one row an attempt, and the same bytes however the work is cut or broken off."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cxrfuture_data.cache_rows import open_stage_rows, read_index
from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import parse_settings, read_yaml
from etl import cache_ledger, film_task, image
from etl.film_reader import load_film, read_bytes
from etl.ledger import read_ledger
from etl.params import Params
from etl.recipe import read_recipe

ROOT = Path(__file__).resolve().parent.parent
RECIPE = read_recipe("ddl_cxr")


def read_test_params(build, workers=1, films_per_shard=4, kept_size=0):
    value = read_yaml(ROOT / "params.yaml")
    value["paths"] |= {"build": str(build)}
    value["image"] |= {"workers": workers, "films_per_shard": films_per_shard}
    value["image"] |= {"kept_size": kept_size}
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
            "study_id": [500 + subject for subject, _ in films],
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
    """What the stage promises: table, ledger, and an image of each film that is ok."""
    folder = build / RECIPE.name / "image"
    paths = [folder / "film.parquet", folder / "ledger.json"]
    table = pl.read_parquet(folder / "film.parquet").filter(outcome="ok")
    images = open_stage_rows(folder).read(table["sha256"].to_list())
    return {path.name: path.read_bytes() for path in paths} | {"images": images.tobytes()}


def shards_of(build):
    return sorted((build / "cache" / "image").glob("*/*.rows"))


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
    assert table["split"].to_list() == ["train"] * 2 + ["test"] * 4 + ["train"] * 4
    assert table.filter(dicom_id="d0").select("width", "height").row(0) == (320, 400)
    assert table.filter(dicom_id="d1")["sha256"].to_list() == [None]
    is_ok = table["outcome"] == "ok"
    assert table["dhash"].is_null().to_list() == (~is_ok).to_list()
    images = open_stage_rows(tmp_path / RECIPE.name / "image").read(
        table.filter(is_ok)["sha256"].to_list()
    )
    assert (images.shape, images.dtype) == ((6, 224, 224), np.uint8)


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


def opened(monkeypatch):
    """The names of the files that are read from now on, in this process."""
    names = []

    def load(path):
        names.append(path.name)
        return load_film(path)

    monkeypatch.setattr(film_task, "load_film", load)
    return names


def test_a_second_run_opens_no_film_and_a_changed_one_alone_is_read(
    tmp_path, ten_films, monkeypatch
):
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    params = read_test_params(tmp_path)
    names = opened(monkeypatch)
    image.run(params, RECIPE)
    assert sorted(names) == sorted(f"{dicom}.jpg" for _, dicom in ten_films)
    before = result_bytes(tmp_path)
    names.clear()
    monkeypatch.setattr(image, "measure_films", None)  # looks into headers
    image.run(params, RECIPE)
    assert names == []
    monkeypatch.undo()
    names = opened(monkeypatch)
    write_film(tmp_path / "cxr" / "files" / "d5.jpg", 99)
    image.run(params, RECIPE)
    assert names == ["d5.jpg"]
    assert result_bytes(tmp_path)["images"] != before["images"]


def test_bytes_that_were_read_before_are_not_decoded_again(tmp_path, ten_films, monkeypatch):
    files = tmp_path / "cxr" / "files"
    (files / "d1.jpg").write_bytes((files / "d0.jpg").read_bytes())
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    decoded = []

    def read(data, rule, sha256):
        decoded.append(sha256)
        return read_bytes(data, rule, sha256)

    monkeypatch.setattr(film_task, "read_bytes", read)
    image.run(read_test_params(tmp_path), RECIPE)
    assert len(decoded) == len(set(decoded)) == 9
    table = read_table(tmp_path)
    assert table["sha256"][0] == table["sha256"][1]
    assert table["near_duplicate_of"].to_list()[:2] == [None, "d0"]
    assert table["outcome"].to_list() == ["ok"] * 10
    decoded.clear()
    for path in files.iterdir():  # copied again: other times, the same bytes
        os.utime(path, (1, 1))
    image.run(read_test_params(tmp_path), RECIPE)
    assert decoded == []


def test_another_build_and_recipe_share_the_images(tmp_path, ten_films, monkeypatch):
    for name in ("one", "two"):
        write_cohort(tmp_path / name, ten_films, tmp_path / "cxr")
        params = read_test_params(tmp_path / name)
        shared = params.cache.model_copy(update={"folder": str(tmp_path / "cache")})
        names = opened(monkeypatch)
        image.run(params.model_copy(update={"cache": shared}), RECIPE)
        assert len(names) == (10 if name == "one" else 0)
    assert result_bytes(tmp_path / "one") == result_bytes(tmp_path / "two")


def test_films_are_kept_in_another_size_if_asked(tmp_path, ten_films):
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    image.run(read_test_params(tmp_path, kept_size=320), RECIPE)
    folder = tmp_path / RECIPE.name / "image"
    hashes = read_table(tmp_path)["sha256"].to_list()
    assert open_stage_rows(folder).read(hashes).shape == (10, 224, 224)
    assert open_stage_rows(folder, "kept").read(hashes).shape == (10, 320, 320)
    image.run(read_test_params(tmp_path), RECIPE)
    assert open_stage_rows(folder, "kept").read(hashes).shape == (10, 224, 224)


def test_images_that_the_cache_lost_are_read_again(tmp_path, ten_films):
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    image.run(read_test_params(tmp_path), RECIPE)
    whole = result_bytes(tmp_path)
    shards_of(tmp_path)[1].with_suffix(".index").unlink()
    with pytest.raises(ContractError, match="are missing; the cache has lost rows"):
        result_bytes(tmp_path)
    image.run(read_test_params(tmp_path), RECIPE)
    assert result_bytes(tmp_path) == whole


def test_a_lost_ledger_costs_time_and_nothing_else(tmp_path, ten_films):
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    image.run(read_test_params(tmp_path), RECIPE)
    whole = result_bytes(tmp_path)
    for path in (tmp_path / "cache").glob("ledger.sqlite*"):
        path.unlink()
    cache_ledger._open.cache_clear()
    image.run(read_test_params(tmp_path), RECIPE)
    assert result_bytes(tmp_path) == whole


def test_a_film_that_appears_later_is_read(tmp_path, ten_films):
    film = tmp_path / "cxr" / "files" / "d9.jpg"
    film.rename(tmp_path / "away.jpg")
    write_cohort(tmp_path, ten_films, tmp_path / "cxr")
    image.run(read_test_params(tmp_path), RECIPE)
    assert read_table(tmp_path)["outcome"].to_list()[9] == "missing"
    (tmp_path / "away.jpg").rename(film)
    image.run(read_test_params(tmp_path), RECIPE)
    assert read_table(tmp_path)["outcome"].to_list()[9] == "ok"


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


def rows_of(build):
    return sum(len(read_index(path)) for path in (build / "cache" / "image").glob("*/*.index"))


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    films = [(1, f"d{number}") for number in range(120)]
    files = tmp_path / "cxr" / "files"
    write_film(files / "d0.jpg", 0, 1500, 1800)
    for number in range(1, 120):  # the same film, other bytes
        (files / f"d{number}.jpg").write_bytes((files / "d0.jpg").read_bytes() + bytes([number]))
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
    while rows_of(tmp_path / "killed") < 20 and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (folder / "film.parquet").exists()
    assert not (folder / "done.json").exists()
    deadline = time.monotonic() + 20
    while processes_of(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(child.pid) == 0  # its workers noticed and stopped
    assert 20 <= rows_of(tmp_path / "killed") < 120

    for name in ("killed", "whole"):
        image.run(read_test_params(tmp_path / name), RECIPE)
    assert result_bytes(tmp_path / "killed") == result_bytes(tmp_path / "whole")
    assert not list(folder.rglob("*.part"))


def test_workers_start_without_the_heavy_libraries():
    listed = subprocess.run(
        [sys.executable, "-c", "import sys, etl.film_task; print(*sys.modules)"],
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
    assert read_table(tmp_path).shape == (0, len(image.FILM_COLUMNS) + 2)

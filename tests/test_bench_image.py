"""The image bench: its JSON, its own films and given ones, and what it refuses."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import cxrfuture
from cxrfuture_data.schema import ContractError
from etl import bench_image, bench_image_films
from etl.bench_image_films import DICOMS, list_films, simulate_film, write_dicoms
from etl.film_reader import read_film

PATHS = {"JPEG scaled", "JPEG exact", *DICOMS}


@pytest.fixture
def folder(tmp_path):
    """Two small films."""
    films = tmp_path / "films"
    films.mkdir()
    y, x = np.mgrid[0:1200, 0:1100]  # is halved by either decoder
    grey = (128 + 60 * np.sin(x / 31) + 60 * np.cos(y / 17)).astype(np.uint8)
    Image.fromarray(grey).save(films / "a.jpg", quality=95)
    Image.fromarray(grey).save(films / "b.png")
    return films


def test_every_path_is_measured_against_the_bare_decoder(folder, monkeypatch):
    monkeypatch.setattr(bench_image, "ROUNDS", 1)
    monkeypatch.setattr(bench_image, "DICOM_FILMS", 1)
    command = ["bench", "image", "--films", str(folder), "--json"]
    result = json.loads(CliRunner().invoke(cxrfuture.app, command).stdout)
    assert result["paths"].keys() == PATHS
    assert result["ratio"] == result["paths"]["JPEG scaled"]["ratio"]
    assert (result["films"], result["paths"]["DICOM JPEG 2000"]["films"]) == (2, 1)
    for facts in result["paths"].values():
        assert facts["ratio"] == pytest.approx(
            facts["films_per_second"] / facts["bare_films_per_second"]
        )
        assert facts["peak_mb"] > 10
    assert "libjpeg-turbo by simplejpeg" in result["bare"]
    assert 0 < result["quality_share"] < result["sha256_share"] + 1
    assert result["source"] == str(folder)


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("name", ["JPEG scaled", "JPEG exact"])
def test_the_bare_decoder_does_the_same_work(folder, name, is_there, monkeypatch):
    if not is_there:
        monkeypatch.setattr(bench_image, "find_spec", lambda _: None)
        assert "for want of simplejpeg" in bench_image.name_of_bare()
    bare = bench_image.bare_way(name)(folder / "a.jpg")
    ours = read_film(folder / "a.jpg", bench_image.rule_of(name)).pixels
    assert np.array_equal(np.asarray(bare), ours)


def test_simulated_films_are_of_real_size_and_weight(tmp_path, monkeypatch):
    film = simulate_film(0)
    assert film.shape == (3056, 2544)
    assert np.array_equal(film, simulate_film(0))
    size = bench_image_films.save_jpeg(film, tmp_path / "film.jpg").stat().st_size
    assert 1.2e6 < size < 1.9e6


def test_its_dicoms_hold_one_film(folder, tmp_path):
    rule = bench_image.rule_of("DICOM uncompressed")
    readings = [read_film(path, rule) for path in write_dicoms(folder / "a.jpg", tmp_path).values()]
    assert len(readings) == 3
    assert {reading.bits for reading in readings} == {12}
    for reading in readings:
        assert np.array_equal(reading.pixels, readings[0].pixels)
    assert len({reading.sha256 for reading in readings}) == 3


def test_a_film_that_cannot_be_read_and_a_folder_without_films_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContractError, match="no film"):
        list_films(tmp_path / "empty", 3)
    (folder / "a.jpg").write_bytes(b"no film")
    with pytest.raises(ContractError, match=r"a\.jpg: .*give other --films"):
        bench_image.bench_image(folder, 1, tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["cxrfuture", "bench", "image", "--films", str(tmp_path / "x")]
    )
    with pytest.raises(SystemExit):
        cxrfuture.main()
    assert "x: no such folder; give --films a folder of films" in capsys.readouterr().err

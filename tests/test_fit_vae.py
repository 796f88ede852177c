"""The autoencoder's trainer on sixteen films of two shapes."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny_cache import make_cache, put_rows
from tiny_train import vae_config

from cxrfuture_data.codec import load_codec
from cxrfuture_data.schema import ContractError
from train.fit_vae import crop, fit_vae, open_films
from train.settings import VaeConfig, read_config


def write_images(folder, size=32):
    """Films 0..15: bright on the left (even) or on the right (odd). 14, 15: valid.

    Film 16 could not be read, and film 17 is a test patient's.
    """
    films = np.zeros((17, size, size), np.uint8)
    films[0::2, :, : size // 2] = 255
    films[1::2, :, size // 2 :] = 255
    hashes = [f"{number:02d}" * 32 for number in range(18)]
    rows_made = hashes[:16] + hashes[17:]
    put_rows(folder, make_cache(folder.parent / "cache"), rows_made, films)
    rows = {
        "dicom_id": [f"d{number}" for number in range(18)],
        "outcome": ["ok"] * 16 + ["truncated", "ok"],
        "split": ["train"] * 14 + ["valid"] * 2 + ["train", "test"],
        "sha256": hashes,
    }
    pq.write_table(pa.table(rows), folder / "film.parquet")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("vae") / "image")


def test_films_are_those_of_the_split_that_could_be_read(images):
    assert len(open_films(images, "train")) == 14
    assert len(open_films(images, "test")) == 1
    valid = open_films(images, "valid")
    assert valid.read(0)[0, 0] == 255  # film 14, bright on the left
    assert valid.read(1)[0, 0] == 0  # film 15


def test_the_loss_falls_and_films_come_back(images, tmp_path):
    fit_vae(images, tmp_path / "out", vae_config(), seed=3)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["steps"] == 40
    assert metrics["train_films"] == 14
    assert metrics["l1_last"] < 0.5 * metrics["l1_first"]
    codec = load_codec(tmp_path / "out")
    film = torch.from_numpy(open_films(images, "valid").read(0).copy())[None]
    drawn = codec.decode(codec.encode(film)[0])[0].float()
    assert drawn[:, :12].mean() > drawn[:, -12:].mean() + 100
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_seed_gives_the_same_bytes_and_replaces_the_old_ones(images, tmp_path):
    config = vae_config(length={"epochs": 1, "steps": None})
    for name, seed in (("a", 1), ("b", 2), ("b", 1)):
        fit_vae(images, tmp_path / name, config, seed)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert json.loads((tmp_path / "a" / "metrics.json").read_text())["steps"] == 3  # 14 // 4


def test_a_crop_is_a_square_of_the_film():
    film = np.arange(64, dtype=np.uint8).reshape(8, 8)
    part = crop(film, 5, np.random.default_rng(1))
    assert part.shape == (5, 5)
    assert (np.diff(part, axis=0) == 8).all()
    assert (crop(film, 8, np.random.default_rng(1)) == film).all()


def test_a_crop_larger_than_the_films_is_refused(images, tmp_path):
    with pytest.raises(ContractError, match=r"crop 64 is larger than the films \(32 x 32\)"):
        fit_vae(images, tmp_path / "out", vae_config(crop=64), seed=1)
    assert not (tmp_path / "out").exists()


def test_no_film_of_a_training_patient_is_refused(tmp_path):
    folder = tmp_path / "image"
    put_rows(folder, make_cache(tmp_path / "cache"), [], np.zeros((0, 32, 32), np.uint8))
    empty = {name: pa.array([], pa.string()) for name in ("outcome", "split", "sha256")}
    pq.write_table(pa.table(empty), folder / "film.parquet")
    with pytest.raises(ContractError, match="no readable film of a training patient"):
        fit_vae(folder, tmp_path / "out", vae_config(), seed=1)


@pytest.mark.parametrize("name", ["tiny", "ddl_cxr"])
def test_shipped_configs_make_latents_of_4_x_28_x_28(name):
    config = read_config(VaeConfig, "fit_vae", name)
    assert config.latent_channels == 4
    assert 224 // 2 ** (len(config.channels) - 1) == 28
    assert all(width % config.norm_groups == 0 for width in config.channels)


def test_an_unknown_config_is_refused_and_the_known_ones_named():
    with pytest.raises(ContractError, match=r"no config 'tniy'; there are ddl_cxr, tiny"):
        read_config(VaeConfig, "fit_vae", "tniy")


def test_a_length_is_epochs_or_steps(tmp_path):
    text = vae_config().model_dump_json().replace('"epochs":null', '"epochs":3')
    (tmp_path / "both.yaml").write_text(text)
    with pytest.raises(ContractError, match="either epochs or steps"):
        read_config(VaeConfig, "fit_vae", str(tmp_path / "both.yaml"))

"""Latents of a tiny autoencoder: every ok film once, in fp16, and all of them finite."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from diffusers import AutoencoderKL

from cxrfuture_data.codec import load_codec, weights_digest
from cxrfuture_data.publish import digest
from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import parse_settings, read_yaml
from etl import latent
from etl.image import preprocessing
from etl.params import Params
from etl.recipe import read_recipe

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = read_recipe("ddl_cxr")
RECIPE = SHIPPED.model_copy(update={"image": SHIPPED.image.model_copy(update={"size": 32})})
RULE = preprocessing(RECIPE.image).facts()
OUTCOMES = ["ok", "missing", "ok", "ok", "truncated", "ok", "ok"]


def read_test_params(build, weights="fit_vae"):
    value = read_yaml(ROOT / "params.yaml")
    value["paths"] |= {"build": str(build)}
    value["latent"] = {"weights": str(weights), "batch_size": 2, "films_per_part": 3}
    return parse_settings(Params, value, "test")


def write_images(build, seed=0):
    """Seven attempts in parts of four; two have no image."""
    folder = build / RECIPE.name / "image"
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(seed).integers(0, 256, (5, 32, 32), np.uint8)
    np.save(folder / "part-00000.npy", images[:3])
    np.save(folder / "part-00001.npy", images[3:])
    is_ok = [outcome == "ok" for outcome in OUTCOMES]
    pl.DataFrame(
        {
            "dicom_id": [f"d{number}" for number in range(7)],
            "outcome": OUTCOMES,
            "sha256": [f"{number:064d}" if number != 1 else None for number in range(7)],
            "part": [number // 4 if is_ok[number] else None for number in range(7)],
            "row": [0, None, 1, 2, None, 0, 1],
        }
    ).write_parquet(folder / "film.parquet")
    (folder / "done.json").write_text(json.dumps({"made_from": "x", "preprocessing": RULE}))
    return images


def save_autoencoder(folder, seed=0, change=None):
    torch.manual_seed(seed)
    model = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=1.0,
    )
    if change is not None:
        with torch.no_grad():
            change(model)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def built(tmp_path):
    """A build with images and weights, and its five images."""
    save_autoencoder(tmp_path / RECIPE.name / "fit_vae")
    return tmp_path, write_images(tmp_path)


def parts_of(build):
    return sorted((build / RECIPE.name / "latent").glob("part-*.npy"))


def test_each_ok_film_has_one_latent(built):
    build, images = built
    latent.run(read_test_params(build), RECIPE)
    table = pl.read_parquet(build / RECIPE.name / "latent" / "latent.parquet")
    assert table["dicom_id"].to_list() == ["d0", "d2", "d3", "d5", "d6"]
    assert table["part"].to_list() == [0, 0, 0, 1, 1]
    assert table["row"].to_list() == [0, 1, 2, 0, 1]
    arrays = [np.load(path, allow_pickle=False) for path in parts_of(build)]
    assert [array.shape for array in arrays] == [(3, 2, 4, 4, 4), (2, 2, 4, 4, 4)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float16)}

    codec = load_codec(build / RECIPE.name / "fit_vae", "cpu")
    mean, logvar = codec.encode(torch.from_numpy(images))
    found = np.concatenate(arrays).astype(np.float32)
    assert np.allclose(found[:, 0], mean.numpy(), atol=2e-3)
    assert np.allclose(found[:, 1], logvar.numpy(), atol=2e-3)


def test_the_cache_key_covers_film_preprocessing_and_weights(built):
    build, _ = built
    latent.run(read_test_params(build), RECIPE)
    folder = build / RECIPE.name / "latent"
    weights = weights_digest(build / RECIPE.name / "fit_vae")
    keys = pl.read_parquet(folder / "latent.parquet")["cache_key"].to_list()
    assert keys[1] == digest(f"{2:064d}", RULE, weights)
    assert len(set(keys)) == 5
    done = json.loads((folder / "done.json").read_text())
    assert done["weights_digest"] == weights
    assert done["preprocessing"] == RULE
    assert done["shape"] == [4, 4, 4]


def test_a_broken_off_run_goes_on_to_the_same_bytes(built):
    build, _ = built
    params = read_test_params(build)
    latent.run(params, RECIPE)
    folder = build / RECIPE.name / "latent"
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    kept = parts_of(build)[0].stat().st_mtime_ns
    for name in ("done/part-00001.json", "latent.parquet", "done.json"):
        (folder / name).unlink()
    latent.run(params, RECIPE)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == whole
    assert parts_of(build)[0].stat().st_mtime_ns == kept


def test_other_weights_encode_again(built, tmp_path):
    build, _ = built
    latent.run(read_test_params(build), RECIPE)
    before = parts_of(build)[0].read_bytes()
    other = save_autoencoder(tmp_path / "other", seed=5)
    latent.run(read_test_params(build, weights=other), RECIPE)
    assert parts_of(build)[0].read_bytes() != before


def test_latents_that_are_not_finite_are_refused(built, tmp_path):
    build, _ = built
    weights = save_autoencoder(
        tmp_path / "nan", change=lambda model: model.quant_conv.bias.fill_(float("nan"))
    )
    with pytest.raises(ContractError, match=r"nan: .*not finite.*fit_vae"):
        latent.run(read_test_params(build, weights=weights), RECIPE)
    assert not parts_of(build)


def test_latents_beyond_fp16_are_refused(built, tmp_path):
    build, _ = built
    weights = save_autoencoder(
        tmp_path / "large", change=lambda model: model.quant_conv.bias.fill_(1e5)
    )
    with pytest.raises(ContractError, match=r"1e\+05.*65504"):
        latent.run(read_test_params(build, weights=weights), RECIPE)
    assert not parts_of(build)


def test_weights_that_are_not_there_are_named(tmp_path):
    write_images(tmp_path)
    with pytest.raises(ContractError, match="fit_vae"):
        latent.run(read_test_params(tmp_path), RECIPE)


def test_images_of_another_rule_are_refused(built):
    build, _ = built
    with pytest.raises(ContractError, match="cxrfuture image"):
        latent.run(read_test_params(build), SHIPPED)


def test_images_that_are_not_whole_are_refused(built):
    build, _ = built
    (build / RECIPE.name / "image" / "done.json").unlink()
    with pytest.raises(ContractError, match="cxrfuture image"):
        latent.run(read_test_params(build), RECIPE)


def test_no_films_give_an_empty_table(built):
    build, _ = built
    path = build / RECIPE.name / "image" / "film.parquet"
    pl.read_parquet(path).clear().write_parquet(path)
    latent.run(read_test_params(build), RECIPE)
    assert pl.read_parquet(build / RECIPE.name / "latent" / "latent.parquet").shape == (0, 4)

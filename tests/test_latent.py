"""Latents of a tiny autoencoder: every ok film once, in fp16, and all of them finite."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from diffusers import AutoencoderKL
from tiny_cache import make_cache, put_rows

from cxrfuture_data.cache_rows import CacheRows, open_stage_rows
from cxrfuture_data.codec import load_codec, weights_digest
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
    value["latent"] = {
        "weights": str(weights),
        "batch_size": 2,
        "films_per_shard": 3,
        "precision": "fp32",
    }
    return parse_settings(Params, value, "test")


def hash_of(number):
    return f"{number:02d}" * 32


def write_images(build, seed=0):
    """Seven attempts; two have no image."""
    folder = build / RECIPE.name / "image"
    images = np.random.default_rng(seed).integers(0, 256, (5, 32, 32), np.uint8)
    table = pl.DataFrame(
        {
            "dicom_id": [f"d{number}" for number in range(7)],
            "outcome": OUTCOMES,
            "sha256": [hash_of(number) if number != 1 else None for number in range(7)],
        }
    )
    hashes = table.filter(outcome="ok")["sha256"].to_list()
    put_rows(folder, make_cache(build / "cache"), hashes, images, {"preprocessing": RULE})
    table.write_parquet(folder / "film.parquet")
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


def read_latents(build):
    """What the stage promises: a row of the cache for each film of its table."""
    folder = build / RECIPE.name / "latent"
    hashes = pl.read_parquet(folder / "latent.parquet")["sha256"].to_list()
    return open_stage_rows(folder).read(hashes)


def shards_of(build):
    return sorted((build / "cache" / "latent").glob("*/*.rows"))


def test_each_ok_film_has_one_latent(built):
    build, images = built
    latent.run(read_test_params(build), RECIPE)
    table = pl.read_parquet(build / RECIPE.name / "latent" / "latent.parquet")
    assert table["dicom_id"].to_list() == ["d0", "d2", "d3", "d5", "d6"]
    found = read_latents(build)
    assert found.shape == (5, 2, 4, 4, 4)
    assert found.dtype == np.float16
    assert len(shards_of(build)) == 2  # of three films each at most

    codec = load_codec(build / RECIPE.name / "fit_vae", "cpu")
    mean, logvar = codec.encode(torch.from_numpy(images))
    assert np.allclose(found[:, 0].astype(np.float32), mean.numpy(), atol=2e-3)
    assert np.allclose(found[:, 1].astype(np.float32), logvar.numpy(), atol=2e-3)


def test_the_record_says_what_the_latents_depend_on(built):
    build, _ = built
    latent.run(read_test_params(build), RECIPE)
    done = json.loads((build / RECIPE.name / "latent" / "done.json").read_text())
    assert done["weights_digest"] == weights_digest(build / RECIPE.name / "fit_vae")
    assert done["preprocessing"] == RULE
    assert (done["scale"], done["dtype"], done["precision"]) == (1.0, "float16", "fp32")
    assert done["shape"] == [4, 4, 4]
    assert open_stage_rows(build / RECIPE.name / "latent").space.facts["scale"] == 1.0


def test_a_second_run_encodes_nothing(built):
    build, _ = built
    params = read_test_params(build)
    latent.run(params, RECIPE)
    before = shards_of(build)
    latent.run(params, RECIPE)
    assert shards_of(build) == before


def test_a_film_s_latent_does_not_depend_on_what_is_left(built):
    """As after a kill: films are encoded in other batches, to the same bytes."""
    build, _ = built
    params = read_test_params(build)
    latent.run(params, RECIPE)
    whole = read_latents(build).tobytes()
    for lost in range(2):
        space = shards_of(build)[lost].parent
        for path in (shards_of(build)[lost], shards_of(build)[lost].with_suffix(".index")):
            path.unlink()
        assert len(CacheRows(space)) < 5
        latent.run(params, RECIPE)
        assert read_latents(build).tobytes() == whole


def test_half_precision_is_another_space(built):
    build, _ = built
    params = read_test_params(build)
    latent.run(params, RECIPE)
    whole = read_latents(build).astype(np.float32)
    lower = params.latent.model_copy(update={"precision": "bf16"})
    latent.run(params.model_copy(update={"latent": lower}), RECIPE)
    assert len({path.parent for path in shards_of(build)}) == 2
    found = read_latents(build).astype(np.float32)
    assert (found != whole).any()
    assert np.allclose(found, whole, atol=0.1)


def test_other_weights_encode_again(built, tmp_path):
    build, _ = built
    latent.run(read_test_params(build), RECIPE)
    before = read_latents(build)
    other = save_autoencoder(tmp_path / "other", seed=5)
    latent.run(read_test_params(build, weights=other), RECIPE)
    assert (read_latents(build) != before).any()


def test_two_devices_share_the_work(built, monkeypatch):
    build, _ = built
    params = read_test_params(build)
    one = latent.load_encoders(build / RECIPE.name / "fit_vae", params)
    monkeypatch.setattr(latent, "load_encoders", lambda *_: one + one)
    latent.run(params, RECIPE)
    both = read_latents(build).tobytes()
    shutil.rmtree(build / "cache" / "latent")
    monkeypatch.setattr(latent, "load_encoders", lambda *_: one)
    latent.run(params, RECIPE)
    assert read_latents(build).tobytes() == both


def test_latents_that_are_not_finite_are_refused(built, tmp_path):
    build, _ = built
    weights = save_autoencoder(
        tmp_path / "nan", change=lambda model: model.quant_conv.bias.fill_(float("nan"))
    )
    with pytest.raises(ContractError, match=r"nan: .*not finite.*fit_vae"):
        latent.run(read_test_params(build, weights=weights), RECIPE)
    assert not shards_of(build)
    assert not (build / RECIPE.name / "latent" / "done.json").exists()


def test_latents_beyond_fp16_are_refused(built, tmp_path):
    build, _ = built
    weights = save_autoencoder(
        tmp_path / "large", change=lambda model: model.quant_conv.bias.fill_(1e5)
    )
    with pytest.raises(ContractError, match=r"1e\+05.*65504"):
        latent.run(read_test_params(build, weights=weights), RECIPE)
    assert not shards_of(build)
    assert not (build / RECIPE.name / "latent" / "done.json").exists()


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
    assert pl.read_parquet(build / RECIPE.name / "latent" / "latent.parquet").shape == (0, 2)

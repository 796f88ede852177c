"""Images and latents: shapes, the scale factor, and what a folder must hold."""

import json
import math

import pytest
import torch
from tiny_train import vae_config

from cxrfuture_data.codec import load_codec, to_images, to_pixels, weights_digest
from cxrfuture_data.schema import ContractError
from train.model.vae import build_autoencoder
from train.vae_run import publish_autoencoder

IMAGES = torch.arange(2 * 32 * 32).reshape(2, 32, 32).to(torch.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("codec") / "weights"
    publish_autoencoder(build_autoencoder(vae_config(), seed=1), path, {})
    return path


def test_pixels_and_images_are_each_others_inverse():
    grey = torch.arange(256).to(torch.uint8).reshape(1, 16, 16)
    assert to_pixels(grey).min() == -1
    assert to_pixels(grey).max() == 1
    assert torch.equal(to_images(to_pixels(grey)), grey)


def test_what_lies_outside_is_clipped():
    assert to_images(torch.tensor([[[[-9.0, 9.0]]]])).tolist() == [[[0, 255]]]


def test_a_latent_is_an_eighth_of_the_film(folder):
    codec = load_codec(folder)
    mean, logvar = codec.encode(IMAGES)
    assert mean.shape == logvar.shape == (2, 4, 4, 4)
    assert codec.channels == 4
    film = codec.decode(mean)
    assert film.shape == (2, 32, 32)
    assert film.dtype == torch.uint8


def test_the_scale_of_the_config_is_applied_and_taken_back(folder, tmp_path):
    """Twice the mean and four times the variance; what is decoded stays the same."""
    raw = load_codec(folder)
    scaled_folder = tmp_path / "scaled"
    raw.autoencoder.register_to_config(scaling_factor=2.0)
    publish_autoencoder(raw.autoencoder, scaled_folder, {})
    raw.autoencoder.register_to_config(scaling_factor=1.0)
    scaled = load_codec(scaled_folder)
    mean, logvar = raw.encode(IMAGES)
    scaled_mean, scaled_logvar = scaled.encode(IMAGES)
    assert torch.allclose(scaled_mean, 2 * mean, atol=1e-5)
    assert torch.allclose(scaled_logvar, logvar + math.log(4), atol=1e-5)
    assert torch.equal(scaled.decode(scaled_mean), raw.decode(mean))


def test_what_is_trained_here_is_left_unscaled(folder):
    assert load_codec(folder).scale == 1.0
    assert load_codec(folder).shift == 0.0


def test_the_digest_is_of_config_and_weights_only(folder, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    publish_autoencoder(build_autoencoder(vae_config(), seed=1), again, {"steps": 9})
    publish_autoencoder(build_autoencoder(vae_config(), seed=2), other, {})
    assert weights_digest(again) == weights_digest(folder)
    assert weights_digest(other) != weights_digest(folder)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"no config\.json"):
        load_codec(tmp_path)


def test_another_model_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text()) | {"_class_name": "VQModel"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ContractError, match="holds a VQModel"):
        weights_digest(tmp_path)

"""The autoencoder's terms against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D
from tiny_train import vae_config

from train.model.vae import Reconstruction, Vae
from train.vae_loss import (
    Critics,
    adaptive_scale,
    generator_terms,
    hinge_loss,
    kl_to_standard,
    label_loss,
)

NAN = math.nan


def test_kl_of_a_unit_shift_and_of_a_standard_normal():
    mean = torch.stack([torch.zeros(4, 2, 2), torch.ones(4, 2, 2)])
    assert kl_to_standard(mean, torch.zeros_like(mean)).tolist() == [0, 8]  # 16 x 0.5
    wide = kl_to_standard(torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), math.log(4)))
    assert wide.item() == pytest.approx(0.5 * (4 - 1 - math.log(4)))


def test_unknown_labels_are_negative_or_masked():
    logits = torch.tensor([[2.0, -1.0, 0.5, 3.0]])
    labels = torch.tensor([[1.0, 0.0, -1.0, NAN]])
    right = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1))]
    wrong = [math.log(1 + math.exp(0.5)), math.log(1 + math.exp(3))]
    negative = label_loss(logits, labels, "negative").item()
    assert negative == pytest.approx(np.mean(right + wrong))
    assert label_loss(logits, labels, "masked").item() == pytest.approx(np.mean(right))


def test_a_batch_of_unknown_labels_gives_zero_and_no_gradient():
    logits = torch.ones((2, 3), requires_grad=True)
    loss = label_loss(logits, torch.full((2, 3), NAN), "masked")
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_the_scale_is_the_ratio_of_the_gradients():
    layer = torch.tensor([1.0, 2.0], requires_grad=True)
    ours, theirs = 6 * layer.sum(), 2 * layer.sum()
    expected = 6 * 2**0.5 / (2 * 2**0.5 + 1e-4)
    assert adaptive_scale(ours, theirs, layer).item() == pytest.approx(expected)
    assert adaptive_scale(ours, 0 * layer.sum(), layer).item() == pytest.approx(1e4)


def test_the_hinge_asks_for_a_margin_on_both_sides():
    assert hinge_loss(torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 0.5])).item() == 0.5 * (
        0.5 + 0.75
    )


def test_the_loss_is_the_sum_of_its_terms():
    """With a stand-in for LPIPS, 0.25 for the first film and 0.75 for the second, and a judge."""
    loss = {"kl_weight": 0.5, "perceptual_weight": 2.0}
    loss |= {"adversarial_weight": 0.5, "label_weight": 3.0, "unknown_labels": "negative"}
    config = vae_config(loss=loss, image_channels=3)
    vae = Vae(config, seed=1)
    random = torch.Generator().manual_seed(1)
    pixels = torch.rand((2, 3, 32, 32), generator=random)
    output = vae(pixels, torch.randn((2, 4, 4, 4), generator=random))
    labels = torch.ones(2, 14)
    distances = torch.tensor([0.25, 0.75])
    critics = Critics(lambda *_: distances, lambda drawn: drawn.square())
    terms = generator_terms(vae, output, pixels, labels, critics, config.loss)

    l1 = (output.pixels - pixels).abs().mean()
    reconstruction = (output.pixels - pixels).abs().sum() / 2 + 2.0 * 0.5 * 3 * 32 * 32
    assert terms["l1"].item() == pytest.approx(l1.item())
    assert terms["perceptual"].item() == 0.5
    assert terms["rec"].item() == pytest.approx(l1.item() + 1.0)
    adversarial = -output.pixels.square().mean()
    cross = torch.nn.functional.binary_cross_entropy(output.logits.sigmoid(), labels)
    autoencoder = vae.autoencoder
    pull = adaptive_scale(reconstruction, adversarial, autoencoder.decoder.conv_out.weight)
    push = adaptive_scale(reconstruction, cross, autoencoder.encoder.conv_out.weight)
    expected = reconstruction + 0.5 * kl_to_standard(output.mean, output.logvar).mean()
    expected = expected + 0.5 * pull * adversarial + 3.0 * push * cross
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_terms_that_are_off_are_zero_and_cost_no_head():
    config = vae_config()
    vae = Vae(config, seed=1)
    assert vae.label_head is None
    output = Reconstruction(*(torch.zeros(1, 1, 32, 32), *torch.zeros(2, 1, 4, 4, 4)), None)
    nothing = Critics(None, None)
    terms = generator_terms(vae, output, torch.ones(1, 1, 32, 32), None, nothing, config.loss)
    assert terms["loss"].item() == 32 * 32
    assert {name: value.item() for name, value in terms.items()} | {"loss": 0} == {
        "loss": 0, "l1": 1, "perceptual": 0, "rec": 1, "kl": 0, "label": 0, "adversarial": 0,
    }  # fmt: skip


def test_dropout_is_in_every_residual_block_and_in_training_alone():
    vae = Vae(vae_config(dropout=0.2), seed=1)
    blocks = [module for module in vae.modules() if isinstance(module, ResnetBlock2D)]
    assert len(blocks) == 4 * 1 + 4 * 2 + 2 * 2  # encoder, decoder, both middles
    assert {block.dropout.p for block in blocks} == {0.2}
    pixels, noise = torch.zeros(1, 1, 32, 32), torch.zeros(1, 4, 4, 4)
    first, second = vae(pixels, noise).pixels, vae(pixels, noise).pixels
    assert not torch.equal(first, second)
    vae.eval()
    assert torch.equal(vae(pixels, noise).pixels, vae(pixels, noise).pixels)

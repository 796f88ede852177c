"""The terms of the autoencoder's loss (specs ddl-cxr 7): tensors in, tensors out.

Sums over a film, means over the batch. Shapes as in train/model/vae.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from train.model.vae import Reconstruction, Vae
from train.settings import VaeLossSettings

# What a step reports. ``rec`` is what a run is selected by: L1 and LPIPS, a mean over pixels.
TERMS = ("loss", "l1", "perceptual", "rec", "kl", "label", "adversarial")
LARGEST_SCALE, SMALL_NORM = 1e4, 1e-4

Distance = Callable[[Tensor, Tensor], Tensor]  # (B, I, H, W) twice -> (B,)
Judge = Callable[[Tensor], Tensor]  # (B, I, H, W) -> how real its patches look


@dataclass(frozen=True)
class Critics:
    """What judges a reconstruction beside its pixels; None where a term is off or not there."""

    perceptual: Distance | None
    judge: Judge | None


def generator_terms(
    vae: Vae,
    output: Reconstruction,
    pixels: Tensor,
    labels: Tensor | None,
    critics: Critics,
    settings: VaeLossSettings,
) -> dict[str, Tensor]:
    """The loss of the autoencoder and its terms, by the names of TERMS; a term that is off is 0.

    The adversarial term is scaled by |gradient of the reconstruction| / |its own gradient| at the
    decoder's last convolution, the label term likewise at the encoder's. Each rank and accumulated
    part has a scale of its own, as in the released code.
    """
    zero = pixels.new_zeros(())
    l1 = (output.pixels - pixels).abs().mean((1, 2, 3))  # (B,)
    unlike = zero.expand(len(pixels))
    if critics.perceptual is not None:
        unlike = critics.perceptual(pixels, output.pixels)
    rec = (l1 + settings.perceptual_weight * unlike).mean()
    reconstruction = rec * pixels[0].numel()  # the distance counts once for each pixel
    kl = kl_to_standard(output.mean, output.logvar).mean()
    loss = reconstruction + settings.kl_weight * kl

    adversarial = zero
    if critics.judge is not None:
        adversarial = -critics.judge(output.pixels).float().mean()
        last = vae.autoencoder.decoder.conv_out.weight
        scale = adaptive_scale(reconstruction, adversarial, last)
        loss = loss + settings.adversarial_weight * scale * adversarial
    label = zero
    if output.logits is not None and labels is not None:
        label = label_loss(output.logits, labels, settings.unknown_labels)
        last = vae.autoencoder.encoder.conv_out.weight
        scale = adaptive_scale(reconstruction, label, last)
        loss = loss + settings.label_weight * scale * label
    values = (loss, l1.mean(), unlike.mean(), rec, kl, label, adversarial)
    return dict(zip(TERMS, values, strict=True))


def kl_to_standard(mean: Tensor, logvar: Tensor) -> Tensor:
    """(B,): from the posterior to a standard normal, summed over a latent."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).flatten(1).sum(1)


def label_loss(logits: Tensor, labels: Tensor, unknown: Literal["negative", "masked"]) -> Tensor:
    """Binary cross-entropy, a mean over the findings that count. labels: (B, L), raw.

    ``negative`` is the papers' rule (4.1): positive where 1; 0, uncertain (-1) and not mentioned
    (NaN) are negative, also of a study without labels. ``masked`` counts 1 and 0 alone; a batch
    without either gives 0.
    """
    each = binary_cross_entropy_with_logits(
        logits.float(), (labels == 1).to(logits.device, torch.float32), reduction="none"
    )
    if unknown == "negative":
        return each.mean()
    is_known = ((labels == 0) | (labels == 1)).to(each)
    return (each * is_known).sum() / is_known.sum().clamp(min=1)


def adaptive_scale(reconstruction: Tensor, term: Tensor, layer: Tensor) -> Tensor:
    """What makes a term pull at a layer as hard as the reconstruction does, at most 10,000."""
    (ours,) = torch.autograd.grad(reconstruction, layer, retain_graph=True)
    (theirs,) = torch.autograd.grad(term, layer, retain_graph=True)
    return (ours.norm() / (theirs.norm() + SMALL_NORM)).clamp(0, LARGEST_SCALE).detach()


def hinge_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Of the discriminator's answers to films and to reconstructions."""
    return 0.5 * (torch.relu(1 - real.float()).mean() + torch.relu(1 + drawn.float()).mean())

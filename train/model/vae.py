"""The KL autoencoder with its label head: diffusers' AutoencoderKL, which is CompVis's.

Same layers in the same order: no attention but one head in both middles, GroupNorm with eps 1e-6,
a stride of 2 after a row and column of zeros right and below, nearest upsampling, a decoder with
one residual block more a level, 1x1 convolutions around the latent. Equal outputs are tested
(tests/test_vae_checkpoint.py). Only the blocks' dropout is no setting of its class.

Shapes: B films, I image channels, H x W pixels, C latent channels, h x w positions, L findings.
"""

from typing import NamedTuple

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from cxrfuture_data.schema import FINDINGS
from train.settings import VaeConfig


class Reconstruction(NamedTuple):
    """What one pass of the autoencoder gives, from a sample of the posterior."""

    pixels: Tensor  # (B, I, H, W)
    mean: Tensor  # (B, C, h, w)
    logvar: Tensor  # (B, C, h, w)
    logits: Tensor | None  # (B, L); None without a label head


class Vae(nn.Module):
    """The autoencoder, and one linear layer from the sampled latent to the findings' logits."""

    def __init__(self, config: VaeConfig, seed: int) -> None:
        super().__init__()
        self.autoencoder = build_autoencoder(config, seed)
        self.label_head = None
        if config.loss.label_weight > 0:
            side = config.crop // 2 ** (len(config.channels) - 1)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.label_head = nn.Linear(config.latent_channels * side**2, len(FINDINGS))

    def forward(self, pixels: Tensor, noise: Tensor) -> Reconstruction:
        """pixels: (B, I, H, W) in [-1, 1]; noise: (B, C, h, w), standard normal."""
        posterior = self.autoencoder.encode(pixels).latent_dist
        latent = posterior.mean + posterior.std * noise
        drawn = self.autoencoder.decode(latent).sample
        logits = None if self.label_head is None else self.label_head(latent.flatten(1))
        return Reconstruction(drawn, posterior.mean, posterior.logvar, logits)


def build_autoencoder(config: VaeConfig, seed: int) -> AutoencoderKL:
    """An autoencoder with weights drawn from ``seed``; its config carries the scale factor."""
    levels = len(config.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = AutoencoderKL(
            in_channels=config.image_channels,
            out_channels=config.image_channels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(config.channels),
            layers_per_block=config.layers_per_level,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_groups,
            sample_size=config.crop,
            scaling_factor=config.scaling_factor,
        )
    with torch.no_grad():  # the encoder's last layer emits C means, then C log-variances
        autoencoder.quant_conv.bias[config.latent_channels :] += config.first_logvar
    for module in autoencoder.modules():
        if isinstance(module, ResnetBlock2D):
            module.dropout.p = config.dropout  # before conv2, as in CompVis's block
    return autoencoder

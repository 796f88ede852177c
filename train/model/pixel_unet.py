"""The U-Net of guided diffusion on pixels, in parts: encoder, and decoder with middle and head.

The blocks are diffusers', in the order and with the widths of specs diff3m 10.2 to 10.4: residual
blocks of two 3x3 convolutions, one-head attention behind those of some levels, a stride-2
convolution between levels on the way down, nearest upsampling and a convolution on the way up.

Shapes: B films of s x s pixels; D the width of the embedding; a level l has side s / 2**l.
"""

from collections.abc import Iterable
from typing import Any

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D, get_down_block, get_up_block
from torch import Tensor, nn
from torch.nn.functional import silu
from torch.utils.checkpoint import checkpoint

from train.diff3m_settings import PixelUnetSettings

EPSILON = 1e-5  # of every normalisation


class TimeEmbedding(nn.Module):
    """Cosines and sines, then two linear layers (10.5)."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.waves = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.layers = TimestepEmbedding(width, embedding)

    def forward(self, timestep: Tensor) -> Tensor:
        """(B,) -> (B, D)."""
        return self.layers(self.waves(timestep).to(self.layers.linear_1.weight.dtype))


class Encoder(nn.Module):
    """One film -> what every block of it gives, for the decoder's skips (10.2)."""

    def __init__(self, settings: PixelUnetSettings, *, has_time: bool = True) -> None:
        """Without time, as in the reference encoder, blocks have no weights for it."""
        super().__init__()
        self.is_checkpointed = settings.gradient_checkpointing
        channels = channels_of(settings)
        self.first = nn.Conv2d(1, channels[0], 3, padding=1)
        self.levels = nn.ModuleList(
            get_down_block(
                "AttnDownBlock2D" if level in settings.attention_levels else "DownBlock2D",
                num_layers=settings.res_blocks,
                in_channels=channels[max(level - 1, 0)],
                out_channels=channels[level],
                add_downsample=level + 1 < settings.levels,
                downsample_padding=1,
                **_block_settings(settings, channels[level], has_time),
            )
            for level in range(settings.levels)
        )
        start_at_zero(self)

    def forward(self, film: Tensor, embedding: Tensor | None = None) -> list[Tensor]:
        """(B, 1, s, s), (B, D) -> the outputs of all blocks, the deepest last."""
        hidden = self.first(film)  # (B, C, s, s)
        skips = [hidden]
        for level in self.levels:
            hidden, found = run(level, hidden, embedding, saves_memory=self._saves_memory)
            skips.extend(found)
        return skips

    @property
    def _saves_memory(self) -> bool:
        return self.is_checkpointed and self.training


class Decoder(nn.Module):
    """Middle, levels from the deepest up, and head (10.3)."""

    def __init__(self, settings: PixelUnetSettings, out_channels: int) -> None:
        super().__init__()
        self.is_checkpointed = settings.gradient_checkpointing
        channels = channels_of(settings)
        self.middle = UNetMidBlock2D(
            in_channels=channels[-1], **_block_settings(settings, channels[-1], has_time=True)
        )
        self.levels = nn.ModuleList(
            get_up_block(
                "AttnUpBlock2D" if level in settings.attention_levels else "UpBlock2D",
                num_layers=settings.res_blocks + 1,
                in_channels=channels[max(level - 1, 0)],  # of the last skip
                prev_output_channel=channels[min(level + 1, settings.levels - 1)],
                out_channels=channels[level],
                add_upsample=level > 0,
                **_block_settings(settings, channels[level], has_time=True),
            )
            for level in reversed(range(settings.levels))
        )
        self.norm = nn.GroupNorm(settings.norm_groups, channels[0], eps=EPSILON)
        self.last = nn.Conv2d(channels[0], out_channels, 3, padding=1)
        start_at_zero(self)

    def forward(self, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """An encoder's outputs, (B, D) -> (B, out_channels, s, s)."""
        saves_memory = self.is_checkpointed and self.training
        hidden = skips[-1]
        if torch.is_grad_enabled() and not hidden.requires_grad:
            # Of a frozen encoder. The first GroupNorm's gradient crashes torch 2.13 on CPUs where
            # its input lies in channels_last, as behind attention, and needs no gradient itself.
            hidden = hidden.contiguous()
        hidden = run(self.middle, hidden, embedding, saves_memory=saves_memory)
        left = tuple(skips)
        for level in self.levels:
            count = len(level.resnets)
            left, taken = left[:-count], left[-count:]
            hidden = run(level, hidden, taken, embedding, saves_memory=saves_memory)
        return self.last(silu(self.norm(hidden)))


def channels_of(settings: PixelUnetSettings) -> list[int]:
    """Per level."""
    return [settings.width * multiplier for multiplier in settings.multipliers]


def run(module: nn.Module, *inputs: Any, saves_memory: bool) -> Any:
    """A block; where memory is to be saved its inner values are computed again for the gradient."""
    if saves_memory and torch.is_grad_enabled():
        return checkpoint(module, *inputs, use_reentrant=False)
    return module(*inputs)


def _block_settings(settings: PixelUnetSettings, channels: int, has_time: bool) -> dict[str, Any]:
    return {
        "temb_channels": settings.embedding if has_time else None,
        "dropout": settings.dropout,
        "resnet_eps": EPSILON,
        "resnet_act_fn": "swish",
        "resnet_groups": settings.norm_groups,
        "attention_head_dim": channels,  # one head
    }


def start_at_zero(module: nn.Module) -> None:
    """Zero the last layer of every residual and attention block and of the head (10.3, 10.4)."""
    names: Iterable[tuple[str, Any]] = module.named_modules()
    for name, layer in names:
        if name == "last" or name.endswith((".conv2", ".to_out.0")):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

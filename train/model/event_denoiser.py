"""Noisy target and what came before it -> the noise: EHRXDiff's network (specs ehrxdiff 8, 9.2).

Shapes: B samples; C, h, w of a latent; S tokens of width W.
"""

import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models.attention_processor import Attention
from pydantic import model_validator
from torch import Tensor, nn

from train.model.adaptor import (
    Adaptor,
    Condition,
    ConditionSettings,
    Context,
    InputSizes,
)
from train.model.denoiser import start_at_zero
from train.settings import Fidelity, UnetSettings


class EventUnetSettings(UnetSettings):
    """``attends``: for each level, whether its residual blocks are followed by attention."""

    attends: list[bool]

    @model_validator(mode="after")
    def _fits(self) -> "EventUnetSettings":
        if len(self.attends) != len(self.channels):
            raise ValueError(f"attends: give {len(self.channels)} values, one a level of channels")
        for width, heads in zip(self.channels, self.heads_of_levels(), strict=True):
            if heads == 0 or width % heads or width % self.norm_groups:
                raise ValueError(f"channels: heads and norm_groups must divide {width}")
        return self


class EventDenoiser(nn.Module):
    """UNet and adaptor; without a source of cross-attention (Table IV, row 1) no adaptor."""

    def __init__(
        self,
        unet: EventUnetSettings,
        condition: ConditionSettings,
        sizes: InputSizes,
        fidelity: Fidelity,
    ) -> None:
        super().__init__()
        channels = sizes.latent[0]
        incoming = 2 * channels if condition.concatenate else channels
        self.concatenates = condition.concatenate
        self.adaptor: Adaptor | None = None
        self.unet: UNet2DConditionModel | UNet2DModel
        if condition.attend:
            self.unet = build_cross_unet(unet, incoming, channels, condition.width)
            self.adaptor = Adaptor(condition, sizes, fidelity)
        else:
            self.unet = build_plain_unet(unet, incoming, channels)
        if unet.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        start_at_zero(self.unet)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition) -> Tensor:
        """The noise in ``noisy`` (B, C, h, w) at ``timestep`` (B,)."""
        return self.predict(noisy, timestep, condition.latent, self.encode(condition))

    def encode(self, condition: Condition) -> Context | None:
        """What is the same at every step of sampling."""
        return None if self.adaptor is None else self.adaptor(condition)

    def predict(
        self, noisy: Tensor, timestep: Tensor, latent: Tensor, context: Context | None
    ) -> Tensor:
        """``latent``: the previous film's, (B, C, h, w)."""
        if self.concatenates:
            noisy = torch.cat([noisy, latent], dim=1)  # (B, 2C, h, w)
        if context is None:
            return self.unet(noisy, timestep).sample
        return self.unet(
            noisy,
            timestep,
            encoder_hidden_states=context.tokens,
            encoder_attention_mask=context.is_token,  # diffusers: True is attended to
        ).sample


def build_cross_unet(
    settings: EventUnetSettings, incoming: int, channels: int, width: int
) -> UNet2DConditionModel:
    """A spatial Transformer after the residual blocks of the levels that attend."""
    down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in settings.attends]
    up = ["CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in settings.attends[::-1]]
    return UNet2DConditionModel(
        in_channels=incoming,
        out_channels=channels,
        block_out_channels=tuple(settings.channels),
        layers_per_block=settings.res_blocks,
        cross_attention_dim=width,
        attention_head_dim=settings.heads_of_levels(),  # diffusers' name for the number of heads
        norm_num_groups=settings.norm_groups,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
    )


def build_plain_unet(settings: EventUnetSettings, incoming: int, channels: int) -> UNet2DModel:
    """Self-attention alone after the residual blocks of the levels that attend."""
    down = ["AttnDownBlock2D" if attends else "DownBlock2D" for attends in settings.attends]
    up = ["AttnUpBlock2D" if attends else "UpBlock2D" for attends in settings.attends[::-1]]
    unet = UNet2DModel(
        in_channels=incoming,
        out_channels=channels,
        block_out_channels=tuple(settings.channels),
        layers_per_block=settings.res_blocks,
        attention_head_dim=settings.head_width,
        norm_num_groups=settings.norm_groups,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
    )
    for module in unet.modules():
        if isinstance(module, Attention):
            if settings.heads is not None:
                module.heads = settings.heads  # of the class one width a head is asked for
            nn.init.zeros_(module.to_out[0].weight)
            nn.init.zeros_(module.to_out[0].bias)
    return unet

"""Noisy target, previous latent and history -> the noise, and the target film's findings.

Shapes: B samples; C, h, w of a latent; T hours; S = 1 + T tokens of width D; L findings.
"""

from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from cxrfuture_data.hourly import COLUMNS
from cxrfuture_data.schema import FINDINGS
from train.diffusion import disturb
from train.model.history import History
from train.settings import HistorySettings, UnetSettings


@dataclass(frozen=True)
class Prediction:
    noise: Tensor  # (B, C, h, w)
    noise_disturbed: Tensor | None  # the same, under a disturbed history
    findings: Tensor | None  # (B, L) logits, where the model has that head


class Denoiser(nn.Module):
    """UNet (specs ddl-cxr 8.1), history encoder (8.2) and findings head.

    The head is trained with the rest: the released code leaves it at its random start.
    """

    def __init__(
        self,
        unet: UnetSettings,
        history: HistorySettings,
        channels: int,
        columns: int = COLUMNS,
        *,
        has_previous: bool = True,
        has_findings: bool = True,
    ) -> None:
        """``channels``: C, of the latents; ``columns``: F, of the record. An ablation has neither
        the previous latent beside the noisy one nor the head."""
        super().__init__()
        self.has_previous = has_previous
        self.unet = build_unet(unet, channels, history.width, has_previous=has_previous)
        self.history = History(history, columns)
        self.findings = nn.Linear(history.width, len(FINDINGS)) if has_findings else None

    def forward(
        self,
        noisy: Tensor,
        previous: Tensor,
        timestep: Tensor,
        record: tuple[Tensor, Tensor],
        context_noise: Tensor | None = None,
        strength: float = 0.0,
    ) -> Prediction:
        """``record`` is hours (B, T, F) and is_hour (B, T). With ``context_noise`` (B, S, D) a
        second prediction is made from the history disturbed by it."""
        tokens, is_token = self.history(*record)
        findings = None if self.findings is None else self.findings(tokens[:, 0])
        if context_noise is None:
            noise = self.predict(noisy, previous, timestep, tokens, is_token)
            return Prediction(noise, None, findings)
        both = self.predict(
            noisy.repeat(2, 1, 1, 1),
            previous.repeat(2, 1, 1, 1),
            timestep.repeat(2),
            torch.cat([tokens, disturb(tokens, context_noise, strength)]),
            is_token.repeat(2, 1),
        )
        noise, disturbed = both.chunk(2)
        return Prediction(noise, disturbed, findings)

    def predict(
        self, noisy: Tensor, previous: Tensor, timestep: Tensor, tokens: Tensor, is_token: Tensor
    ) -> Tensor:
        """The noise in ``noisy`` (B, C, h, w); ``previous`` is clean (B, C, h, w)."""
        beside = torch.cat([noisy, previous], dim=1) if self.has_previous else noisy
        return self.unet(
            beside,  # (B, 2C, h, w)
            timestep,
            encoder_hidden_states=tokens,
            encoder_attention_mask=is_token,  # diffusers: True is attended to
        ).sample


def build_unet(
    settings: UnetSettings, channels: int, context: int, *, has_previous: bool = True
) -> UNet2DConditionModel:
    """A UNet with a spatial Transformer after every residual block of every level."""
    levels = len(settings.channels)
    unet = UNet2DConditionModel(
        in_channels=2 * channels if has_previous else channels,
        out_channels=channels,
        block_out_channels=tuple(settings.channels),
        layers_per_block=settings.res_blocks,
        cross_attention_dim=context,
        attention_head_dim=settings.heads_of_levels(),  # diffusers' name for the number of heads
        norm_num_groups=settings.norm_groups,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
    )
    if settings.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    start_at_zero(unet)
    return unet


def start_at_zero(unet: UNet2DConditionModel) -> None:
    """Zero the last layer of every block and of the whole, as the released code does (8.1)."""
    for name, module in unet.named_modules():
        if name.split(".")[-1] in {"conv2", "proj_out", "conv_out"}:
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

"""Diff3M: a noisy film, the film itself and static values -> its noise, and the noisy film rebuilt.

Four encoders and two decoders (specs diff3m 10.6): the main ones predict the noise; two masked
branches see one half of a checkerboard each and fill the other (10.9); the reference encoder
reads the clean film, to weight the static values' tokens (10.8). The plain time embedding goes to
encoders, the conditioned one to decoders.

Shapes: B films of s x s pixels; S static values; D the width of the embedding.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from train.diff3m_settings import NOISE_STEPS, Diff3MSettings
from train.model.pixel_unet import Decoder, Encoder, TimeEmbedding, channels_of
from train.model.static_attention import Moments, StaticAttention


class Prediction(NamedTuple):
    """``rebuilt``: the noisy film as the masked branches fill it; itself where there are none."""

    noise: Tensor  # (B, 1, s, s)
    rebuilt: Tensor  # (B, 1, s, s)


class Diff3M(nn.Module):
    """As published the head has a second channel that nothing reads."""

    def __init__(self, settings: Diff3MSettings, moments: Moments) -> None:
        super().__init__()
        unet = settings.unet
        self.is_published = settings.is_published
        self.time = TimeEmbedding(unet.width, unet.embedding)
        self.encoder = Encoder(unet)
        self.decoder = Decoder(unet, 2 if self.is_published else 1)
        self.reference = Encoder(unet, has_time=False)
        self.static = StaticAttention(
            channels_of(unet)[-1], unet.embedding, moments, skips_unknown=not self.is_published
        )
        self.norm = nn.LayerNorm(unet.embedding)
        self.mask_encoders = nn.ModuleList()
        if settings.has_masks:
            self.mask_encoders.extend([Encoder(unet), Encoder(unet)])
            self.mask_decoder = Decoder(unet, 1)
            self.copy_to_mask_decoder()

    def forward(
        self,
        noisy: Tensor,
        timestep: Tensor,
        film: Tensor,
        static: Tensor,
        is_known: Tensor,
    ) -> Prediction:
        """noisy, film: (B, 1, s, s); timestep: (B,); static, is_known: (B, S)."""
        return self.predict(noisy, timestep, self.condition(film, static, is_known))

    def condition(self, film: Tensor, static: Tensor, is_known: Tensor) -> Tensor:
        """(B, D): the same at every step of one film's sampling, so it is made once."""
        return self.static(self.reference(film)[-1], static, is_known)

    def predict(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Prediction:
        """noisy: (B, 1, s, s); timestep: (B,); condition: (B, D)."""
        time = self.time(timestep)  # (B, D)
        conditioned = self.norm(time + condition)
        noise = self.decoder(self.encoder(noisy, time), conditioned)[:, :1]
        if not self.mask_encoders:
            return Prediction(noise, noisy)
        masks = soften(checkerboard(noisy), timestep)
        found = [
            encoder(noisy * mask, time)
            for encoder, mask in zip(self.mask_encoders, masks, strict=True)
        ]
        both = [torch.cat(skips) for skips in zip(*found, strict=True)]  # (2B, ...)
        filled = self.mask_decoder(both, conditioned.repeat(2, 1)).chunk(2)
        rebuilt = blend(filled, timestep, normalised=not self.is_published)
        return Prediction(noise, rebuilt)

    @torch.no_grad()
    def copy_to_mask_decoder(self) -> None:
        """Start the masked branches' middle and decoder at the main ones' weights (10.6). The head
        stays, which draws pixels and not noise."""
        self.mask_decoder.middle = copy.deepcopy(self.decoder.middle)
        self.mask_decoder.levels = copy.deepcopy(self.decoder.levels)

    @torch.no_grad()
    def copy_to_mask_encoders(self) -> None:
        """Start the masked branches' encoders at the main one's weights (12)."""
        for encoder in self.mask_encoders:
            encoder.load_state_dict(self.encoder.state_dict())


def checkerboard(film: Tensor) -> tuple[Tensor, Tensor]:
    """Two (s, s) that are 1 on every other pixel, and together 1 on all; the second has (0, 0)."""
    rows = torch.arange(film.shape[-2], device=film.device)[:, None]
    columns = torch.arange(film.shape[-1], device=film.device)
    first = ((rows + columns) % 2).to(film.dtype)
    return first, 1 - first


def soften(masks: tuple[Tensor, Tensor], timestep: Tensor) -> list[Tensor]:
    """Hidden pixels are scaled by timestep / 1000: (B, 1, s, s) each (10.9)."""
    share = (timestep.to(masks[0].dtype) / NOISE_STEPS)[:, None, None, None]
    return [mask * (1 - share) + share for mask in masks]


def blend(filled: tuple[Tensor, ...], timestep: Tensor, *, normalised: bool) -> Tensor:
    """Each branch where the other saw: (B, 1, s, s). As published its weights sum to 1 + timestep /
    1000; ``normalised`` divides by that (16, B11)."""
    first, second = soften(checkerboard(filled[0]), timestep)
    mixed = filled[0] * second + filled[1] * first
    return mixed / (first + second) if normalised else mixed

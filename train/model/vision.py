"""A film -> tokens: CLIP's vision Transformer without its projection (specs ehrxdiff 7.2).

transformers' CLIPVisionModel computes just that: no bias in the patches, a learned class token and
positions, a LayerNorm before the blocks and one on the class token after them, QuickGELU.

Shapes: B films of s x s pixels, S = 1 + (s / patch)^2 tokens of width W.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import model_validator
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from cxrfuture_data.codec import to_pixels
from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings
from train.settings import Positive
from train.tensor_file import read_tensor_file

FEEDFORWARD = 4  # times the width
POSITIONS = "embeddings.position_embedding.weight"


class FilmSettings(Settings):
    """``weights``: a file of the public ViT-B/32 in transformers' layout to begin with, or null."""

    pixels: Positive  # s, a side of the films
    patch: Positive  # pixels, a side of the squares they are cut into
    layers: Positive
    heads: Positive
    weights: str | None

    @model_validator(mode="after")
    def _fits(self) -> "FilmSettings":
        if self.pixels % self.patch:
            raise ValueError(f"patch: {self.patch} does not divide pixels: {self.pixels}")
        return self

    @property
    def tokens(self) -> int:
        """S: a class token and one of each patch."""
        return 1 + (self.pixels // self.patch) ** 2


class FilmFeatures(NamedTuple):
    """What the encoder makes of films."""

    tokens: Tensor  # (B, S, W), the class token first, before the last LayerNorm
    pooled: Tensor  # (B, W), the class token after it


class FilmEncoder(nn.Module):
    """The vision Transformer, on grey films."""

    def __init__(self, settings: FilmSettings, width: int) -> None:
        """``width``: W."""
        super().__init__()
        self.transformer = CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=width,
                intermediate_size=FEEDFORWARD * width,
                num_hidden_layers=settings.layers,
                num_attention_heads=settings.heads,
                image_size=settings.pixels,
                patch_size=settings.patch,
                hidden_act="quick_gelu",
            )
        )
        positions = self.transformer.get_parameter(POSITIONS)
        nn.init.normal_(positions, std=width**-0.5)
        if settings.weights is not None:
            load_public(self.transformer, Path(settings.weights))

    def forward(self, film: Tensor) -> FilmFeatures:
        """film: (B, 1, s, s) uint8."""
        pixels = to_pixels(film[:, 0]).expand(-1, 3, -1, -1)  # (B, 3, s, s) in [-1, 1]
        found = self.transformer(pixels)
        return FilmFeatures(found.last_hidden_state, found.pooler_output)


@torch.no_grad()
def load_public(transformer: CLIPVisionModel, path: Path) -> None:
    """Put public weights in, but positions of films of another size (7.2: 7 x 7 patches)."""
    found = {
        name.removeprefix("vision_model."): value for name, value in read_tensor_file(path).items()
    }
    for name, own in transformer.named_parameters():
        value = found.get(name)
        if value is not None and value.shape == own.shape:
            own.copy_(value)
        elif name != POSITIONS or value is None:
            shape = "nothing" if value is None else tuple(value.shape)
            raise ContractError(
                f"{path}: {name} is {shape}, expected {tuple(own.shape)}; give a file of "
                "transformers' CLIPVisionModel of this size, or film.weights: null"
            )

"""DrFuse's two encoders: each says what its modality shares with the other, and what is its own.

Shapes: B stays; T hours, F columns; s pixels; W the width; c, x, y of a feature map.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import ResNetConfig, ResNetModel

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings
from train.fusion.film import IMAGENET_MEAN, IMAGENET_STD, FilmSettings, load_public
from train.model.resnet import norm_by_group, resize_films
from train.settings import Positive, Share


class Features(NamedTuple):
    """(B, W) each."""

    shared: Tensor
    distinct: Tensor


class RecordSettings(Settings):
    """Three equal layers: one common, then one for what is shared and one for what is distinct."""

    heads: Positive
    feedforward: Positive
    dropout: Share
    max_hours: Positive  # as many positions are learnt


class RecordEncoder(nn.Module):
    """A Transformer with two ends (specs fusion-baselines 12.2)."""

    def __init__(self, settings: RecordSettings, columns: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(columns, width)
        self.positions = nn.Parameter(torch.empty(settings.max_hours, width).uniform_(-0.1, 0.1))
        self.common, self.shared, self.distinct = (
            nn.TransformerEncoderLayer(
                d_model=width,
                nhead=settings.heads,
                dim_feedforward=settings.feedforward,
                dropout=settings.dropout,
                batch_first=True,
            )
            for _ in range(3)
        )

    def forward(self, hours: Tensor, is_hour: Tensor) -> Features:
        """hours (B, T, F), is_hour (B, T); of a stay without hours all is 0."""
        if hours.shape[1] == 0:  # torch's attention refuses no place at all
            hours, is_hour = pad(hours, (0, 0, 0, 1)), pad(is_hour, (0, 1))
        length, longest = hours.shape[1], len(self.positions)
        if length > longest:
            raise ContractError(
                f"drfuse: a record of {length} hours, and {longest} positions; raise "
                "model.record.max_hours"
            )
        # Attention to nothing is NaN: a stay without hours looks at its padding, and is zeroed.
        is_hidden = ~is_hour & is_hour.any(1, keepdim=True)  # torch: True is left out
        tokens = self.project(hours) + self.positions[:length]  # (B, T, W)
        tokens = self.common(tokens, src_key_padding_mask=is_hidden)
        shared = self.shared(tokens, src_key_padding_mask=is_hidden)
        distinct = self.distinct(tokens, src_key_padding_mask=is_hidden)
        return Features(_mean_of_hours(shared, is_hour), _mean_of_hours(distinct, is_hour))


def _mean_of_hours(tokens: Tensor, is_hour: Tensor) -> Tensor:
    """(B, T, W) -> (B, W)."""
    real = torch.where(is_hour[..., None], tokens, 0.0)
    return real.sum(1) / is_hour.sum(1, keepdim=True).clamp(min=1)


class FilmBranches(nn.Module):
    """A ResNet whose stages are there twice behind one stem: the intent of specs 12.3, for as
    published the network cannot run.

    By ``norm: batch`` the blank film of a stay without one counts in the batch's moments.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: FilmSettings, width: int) -> None:
        super().__init__()
        self.film_size = settings.film_size
        first, second = _build_network(settings), _build_network(settings)
        self.stem = first.embedder
        self.shared, self.distinct = first.encoder, second.encoder
        self.to_shared = nn.Linear(settings.channels[-1], width)
        self.to_distinct = nn.Linear(settings.channels[-1], width)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, film: Tensor) -> Features:
        """film: (B, 1, s, s) uint8."""
        maps = self.stem(self._pixels(film))  # (B, stem, x, y)
        shared = self.shared(maps).last_hidden_state.mean((2, 3))  # (B, c)
        distinct = self.distinct(maps).last_hidden_state.mean((2, 3))  # (B, c)
        return Features(self.to_shared(shared), self.to_distinct(distinct))

    def _pixels(self, film: Tensor) -> Tensor:
        """(B, 3, s, s), the grey film three times, as ImageNet's films are scaled."""
        pixels = resize_films(film.float() / 255, self.film_size)  # (B, 1, s, s)
        return (pixels - self.mean) / self.std


def _build_network(settings: FilmSettings) -> ResNetModel:
    config = ResNetConfig(
        num_channels=len(IMAGENET_MEAN),
        embedding_size=settings.stem,
        hidden_sizes=settings.channels,
        depths=settings.depths,
        layer_type=settings.layer,
    )
    network = ResNetModel(config)
    if settings.norm == "group":
        norm_by_group(network, settings.norm_groups)
    if settings.weights is not None:
        load_public(network, Path(settings.weights))
    return network

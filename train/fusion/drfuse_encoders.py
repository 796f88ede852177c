"""DrFuse's two encoders: each says what its modality shares with the other, and what is its own.

Shapes: B stays; T hours, F columns; s pixels; W the width; c, x, y of a feature map.
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad
from transformers import ResNetConfig, ResNetModel

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings
from train.settings import Positive, Share
from train.tensor_file import read_tensor_file

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # specs 4.2
PREFIX = "resnet."  # of a ResNetForImageClassification's file


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


class FilmSettings(Settings):
    """transformers' ResNet; ResNet-50 is 64, [256, 512, 1024, 2048], [3, 4, 6, 3], bottleneck.

    ``norm: group`` makes what is said of a film independent of the other films of its batch.
    """

    stem: Positive
    channels: Annotated[list[Positive], Field(min_length=1)]
    depths: Annotated[list[Positive], Field(min_length=1)]
    layer: Literal["basic", "bottleneck"]
    norm: Literal["batch", "group"]
    norm_groups: Positive  # of norm: group
    film_size: Positive  # pixels; films of another size are resized
    weights: str | None  # a tensor file of transformers' ResNet of these sizes to begin with

    @model_validator(mode="after")
    def _fits(self) -> "FilmSettings":
        if len(self.channels) != len(self.depths):
            raise ValueError("give as many depths as channels")
        return self


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
        pixels, size = film.float() / 255, self.film_size
        if pixels.shape[2:] != (size, size):
            # Smaller by the mean of what a pixel covers: fine structure would turn to noise.
            mode = "area" if size < min(pixels.shape[2:]) else "bilinear"
            pixels = interpolate(pixels, (size, size), mode=mode)
        return (pixels - self.mean) / self.std


def _build_network(settings: FilmSettings) -> ResNetModel:
    config = ResNetConfig(
        num_channels=3,
        embedding_size=settings.stem,
        hidden_sizes=settings.channels,
        depths=settings.depths,
        layer_type=settings.layer,
    )
    network = ResNetModel(config)
    if settings.weights is not None:
        _load_public(network, Path(settings.weights))
    if settings.norm == "group":
        _norm_by_group(network, settings.norm_groups)
    return network


def _norm_by_group(module: nn.Module, groups: int) -> None:
    """Scale and shift of each batch norm are kept."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = nn.GroupNorm(groups, child.num_features)
            norm.weight, norm.bias = child.weight, child.bias
            setattr(module, name, norm)
        else:
            _norm_by_group(child, groups)


@torch.no_grad()
def _load_public(network: ResNetModel, path: Path) -> None:
    """Put public weights in; a classifier's head is left out."""
    found = {name.removeprefix(PREFIX): value for name, value in read_tensor_file(path).items()}
    for name, own in network.state_dict().items():
        value = found.get(name)
        if value is None or value.shape != own.shape:
            if name.endswith("num_batches_tracked"):
                continue
            shape = "nothing" if value is None else tuple(value.shape)
            raise ContractError(
                f"{path}: {name} is {shape}, expected {tuple(own.shape)}; give a file of "
                "transformers' ResNet of this size, or film.weights: null"
            )
        own.copy_(value)

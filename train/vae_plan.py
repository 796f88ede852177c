"""The arithmetic of an autoencoder's run: which film, crop and noise each step and rank takes.

A run is one sequence of films, epoch after epoch, each in an order of its own. What is random about
a place of it comes from (seed, place), so ranks, accumulated parts and resuming change nothing.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrfuture_data.codec import to_pixels
from cxrfuture_data.schema import ContractError
from train.draw import seed_of
from train.films import Films
from train.settings import VaeConfig


@dataclass(frozen=True)
class VaePlan:
    """``films`` are the training films; a step takes batch_size of them over all ranks."""

    config: VaeConfig
    seed: int
    films: int
    rank: int
    ranks: int

    def __post_init__(self) -> None:
        parts = self.ranks * self.config.accumulate
        if self.config.batch_size % parts:
            raise ContractError(
                f"batch_size {self.config.batch_size} is not a multiple of {self.ranks} ranks "
                f"times accumulate {self.config.accumulate}; change one of them"
            )

    @property
    def part_size(self) -> int:
        """Films of one rank in one forward pass."""
        return self.config.batch_size // (self.ranks * self.config.accumulate)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.films // self.config.batch_size)

    @property
    def steps(self) -> int:
        return self.config.length.total_steps(self.steps_per_epoch)

    def is_valid_due(self, done: int) -> bool:
        """Whether the validation films are looked at when so many steps are done."""
        every = self.config.valid_steps or self.steps_per_epoch
        return done % every == 0 or done == self.steps

    def is_checkpoint_due(self, done: int) -> bool:
        return done % self.config.checkpoint_steps == 0 or done == self.steps

    def places(self, step: int, part: int) -> list[int]:
        """What this rank takes of the sequence of films, in one part of a step."""
        first = step * self.config.batch_size + (part * self.ranks + self.rank) * self.part_size
        return list(range(first, first + self.part_size))

    def film(self, place: int) -> int:
        """The index of the film at a place of the sequence."""
        epoch, place = divmod(place, self.films)
        return int(_order(self.seed, epoch, self.films)[place])


@lru_cache(maxsize=2)  # a step may hold the end of an epoch and the start of the next
def _order(seed: int, epoch: int, films: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(films)


def read_crops(films: Films, plan: VaePlan, places: list[int]) -> Tensor:
    """Random squares, float (B, image channels, crop, crop) in [-1, 1]."""
    squares = [
        crop(
            films.read(plan.film(place)),
            plan.config.crop,
            np.random.default_rng([plan.seed, place]),
        )
        for place in places
    ]
    return _to_channels(squares, plan.config)


def read_centres(films: Films, config: VaeConfig, indices: list[int]) -> Tensor:
    """The middles of films, as ``read_crops`` gives them."""
    return _to_channels([centre(films.read(index), config.crop) for index in indices], config)


def crop(film: NDArray[np.uint8], size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A random square of ``size`` pixels of a film that is at least as large."""
    height, width = _require(film, size)
    top = int(random.integers(height - size + 1))
    left = int(random.integers(width - size + 1))
    return film[top : top + size, left : left + size]


def centre(film: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The square of ``size`` pixels in the middle of a film."""
    height, width = _require(film, size)
    top, left = (height - size) // 2, (width - size) // 2
    return film[top : top + size, left : left + size]


def draw_noise(config: VaeConfig, seed: int, role: str, places: list[int]) -> Tensor:
    """Standard normal, (B, C, h, w), on the CPU, each film's from (seed, role, place)."""
    side = config.crop // 2 ** (len(config.channels) - 1)
    rows = []
    for place in places:
        random = torch.Generator().manual_seed(seed_of("vae", role, seed, place))
        rows.append(torch.randn((config.latent_channels, side, side), generator=random))
    return torch.stack(rows)


def _to_channels(squares: list[NDArray[np.uint8]], config: VaeConfig) -> Tensor:
    pixels = to_pixels(torch.from_numpy(np.stack(squares)))  # (B, 1, crop, crop)
    return pixels.expand(-1, config.image_channels, -1, -1)


def _require(film: NDArray[np.uint8], size: int) -> tuple[int, int]:
    height, width = film.shape
    if size > min(height, width):
        raise ContractError(f"crop {size} is larger than the films ({height} x {width})")
    return height, width

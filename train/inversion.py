"""Diff3M's noise schedule, and a film's way into noise and back by deterministic DDIM (specs diff3m
11, 13).

A film stands at noise level t in 0..999, or at CLEAN. Corrected, the model is always told the level
at which the film stands; as published it is off by one on the way in, and by two at the turn.

Shapes: B films of s x s pixels in [0, 1].
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from train.diff3m_settings import NOISE_STEPS, Diff3MSettings
from train.model.diff3m import Prediction

BETA_FIRST, BETA_LAST = 1e-4, 0.02
CLEAN = -1

Predict = Callable[[Tensor, Tensor], Prediction]  # noisy (B, 1, s, s), level (B,)


class Step(NamedTuple):
    """The model is told ``at``, and the film moves on to ``to``."""

    at: int
    to: int


class Trip(NamedTuple):
    """There and back; ``lowest``: what a reconstruction is clipped to from below (1 from above)."""

    encode: list[Step]
    decode: list[Step]
    lowest: float


def kept_signal() -> Tensor:
    """(1001,): of each level the share of the film's variance that is left; the last is CLEAN's, so
    that -1 finds it."""
    betas = torch.linspace(BETA_FIRST, BETA_LAST, NOISE_STEPS, dtype=torch.float64)
    return torch.cat([(1 - betas).cumprod(0), torch.ones(1, dtype=torch.float64)]).float()


def add_noise(film: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """(B, 1, s, s) at a level (B,) each."""
    kept = kept_signal().to(film.device)[level][:, None, None, None]
    return kept.sqrt() * film + (1 - kept).sqrt() * noise


def plan_trip(settings: Diff3MSettings) -> Trip:
    """To ``sampler.level`` and back, by all levels or by ``sampler.steps`` of them."""
    level, steps = settings.sampler.level, settings.sampler.steps
    if settings.is_published:
        return Trip(
            [Step(at, at + 1) for at in range(1, level)],
            [Step(at, at - 1) for at in range(level - 2, -1, -1)],
            lowest=-1.0,
        )
    count = level if steps is None else steps
    kept = [round(level * number / count) for number in range(count + 1)]
    return Trip(_chain(kept), _chain([*reversed(kept), CLEAN]), lowest=0.0)


def _chain(levels: Sequence[int]) -> list[Step]:
    return [Step(at, to) for at, to in pairwise(levels)]


def reconstruct(predict: Predict, film: Tensor, noise: Tensor, trip: Trip) -> Tensor:
    """The film as it comes back, (B, 1, s, s). It sets out at level 0, not CLEAN (13.2)."""
    kept = kept_signal().to(film.device)
    noisy = add_noise(film, noise, torch.zeros(len(film), dtype=torch.long, device=film.device))
    for step in (*trip.encode, *trip.decode):
        level = torch.full((len(film),), step.at, device=film.device)
        predicted = Prediction(*(part.float() for part in predict(noisy, level)))
        noisy = move(noisy, predicted, (kept[step.at], kept[step.to]), trip.lowest)
    return noisy


def move(
    noisy: Tensor, predicted: Prediction, kept: tuple[Tensor, Tensor], lowest: float
) -> Tensor:
    """From one share of kept signal to another. The film is read off what the masked branches
    rebuilt, the noise then off the film, so what they got wrong counts as noise (11); near level 0,
    where noise is 0.01, a hundredfold: they must be trained well before anything comes back."""
    now, then = kept
    film = (predicted.rebuilt - (1 - now).sqrt() * predicted.noise) / now.sqrt()
    film = film.clamp(lowest, 1)
    noise = (noisy - now.sqrt() * film) / (1 - now).sqrt()
    return then.sqrt() * film + (1 - then).sqrt() * noise

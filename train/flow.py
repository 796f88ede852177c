"""Rectified flow (Liu 2023, Lipman 2023): the straight path from noise to a target; its sampler.

Shapes: B samples; C, h, w of a latent. Time 0 is noise and time 1 the target.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from cxrfuture_data.settings import Settings
from train.draw import draw_normal, draw_uniform
from train.settings import Above0, Positive

Velocity = Callable[[Tensor, Tensor], Tensor]  # noisy (B, C, h, w), time (B,) -> (B, C, h, w)


class FlowSettings(Settings):
    """Times seen in training: uniform, or of a normal number through a sigmoid, which dwells on the
    middle (Esser 2024, section 3.1); ``centre`` and ``spread`` are that number's."""

    time: Literal["uniform", "logit_normal"]
    centre: float
    spread: Above0


class FlowSampler(Settings):
    """``evaluations`` of the network a sample; Heun's method takes two a step."""

    method: Literal["euler", "heun"]
    evaluations: Positive

    @model_validator(mode="after")
    def _is_whole(self) -> "FlowSampler":
        if self.method == "heun" and self.evaluations % 2:
            raise ValueError(f"heun takes two evaluations a step, and {self.evaluations} is odd")
        return self


class Guidance(Settings):
    """How far to go beyond what a modality changes; 1 is the model's own prediction."""

    previous: Annotated[float, Field(ge=0)]
    hours: Annotated[float, Field(ge=0)]
    events: Annotated[float, Field(ge=0)]
    demographics: Annotated[float, Field(ge=0)]


def draw_time(randoms: Sequence[torch.Generator], settings: FlowSettings) -> Tensor:
    """(B,) in [0, 1]."""
    if settings.time == "uniform":
        return draw_uniform(randoms)
    return torch.sigmoid(settings.centre + settings.spread * draw_normal(randoms, ()))


def mix(noise: Tensor, target: Tensor, time: Tensor) -> Tensor:
    """The point at a time (B,) of the path from noise to target (B, C, h, w)."""
    time = time[:, None, None, None]
    return (1 - time) * noise + time * target


def integrate(velocity: Velocity, noise: Tensor, sampler: FlowSampler) -> Tensor:
    """Follow the velocity from noise (B, C, h, w) at time 0 to time 1, in equal steps."""
    steps = sampler.evaluations // (2 if sampler.method == "heun" else 1)
    current = noise

    def at(time: float) -> Tensor:
        return torch.full((len(noise),), time, device=noise.device)

    for step in range(steps):
        first = velocity(current, at(step / steps))
        if sampler.method == "heun":
            second = velocity(current + first / steps, at((step + 1) / steps))
            first = (first + second) / 2
        current = current + first / steps
    return current


def guide(velocities: Tensor, scales: Sequence[float]) -> Tensor:
    """(1 + len(scales), B, ...) -> (B, ...): the full prediction, and one without each modality.

    Each modality adds (scale - 1) times what it changes (classifier-free guidance, Ho 2022, each
    modality against all others): 1 leaves the full prediction, 0 takes the modality away.
    """
    full = velocities[0]
    guided = full
    for scale, without in zip(scales, velocities[1:], strict=True):
        guided = guided + (scale - 1) * (full - without)
    return guided

"""What the loop of fit.py needs to know of a model: how it is built, fed, and judged.

A task is made from its settings and a dataset, holds no weights, and is the same on every rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from cxrfuture_data.batch import AnyBatch
from cxrfuture_data.split import Split
from cxrfuture_data.view import View
from train.settings import FitSettings


@dataclass(frozen=True)
class Moment:
    """Where a run is: all that is random in a step, but dropout, comes from it and a sample's key.

    ``step`` counts optimiser steps from 0 to ``steps``. A look at validation samples has a
    ``purpose`` of its own and always the same step, so that looks are compared on equal terms.
    """

    seed: int
    step: int
    steps: int
    device: torch.device
    purpose: str = "train"

    @property
    def is_training(self) -> bool:
        """False at a look at validation samples."""
        return self.purpose == "train"


class Task(Protocol):
    """The settings are those of the task's own kind."""

    @property
    def settings(self) -> FitSettings:
        """What the run was told."""

    @property
    def view(self) -> View:
        """What of a sample it sees; its kind says which samples."""

    @property
    def losses(self) -> Sequence[str]:
        """Names of what ``losses_of`` gives; the first is minimised, the others are its parts."""

    @property
    def averaged(self) -> Sequence[str]:
        """Prefixes of the weights that are averaged over steps; "" is all of them."""

    def select(self, split: Split) -> Split:
        """The samples it learns from."""

    def build(self) -> nn.Module:
        """New weights, drawn from torch's own generator, which the caller seeds."""

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """Scalars by name, of a batch on the CPU; ``model`` may be wrapped for several ranks, so
        only its forward is to be called, once."""


class Generator(Task, Protocol):
    """A task whose model draws target latents."""

    @property
    def stay_view(self) -> View | None:
        """What it sees of a stay, to draw the film at its prediction time; None: it cannot."""

    def generate(self, model: Any, batch: AnyBatch[Tensor], seed: int) -> Tensor:
        """(B, C, h, w) float32 on the CPU, as the dataset scales latents. ``model`` is not wrapped,
        and in eval mode; a sample's noise comes from (seed, its key) alone."""


class Outcomes(NamedTuple):
    """Of a batch's B samples, on the CPU. K labels, M modalities."""

    logits: Tensor  # (B, K) float32
    is_present: Tensor  # (B, K) bool
    is_known: Tensor  # (B, K) bool
    attention: Tensor | None  # (B, M)


class Predictor(Task, Protocol):
    """A task whose model tells outcomes. A look also scores the whole validation split: ``auprc``
    and ``auroc`` (train/outcome_metric.py) may be named in ``select_by``, the largest is the best.
    """

    @property
    def labels(self) -> Sequence[str]:
        """K names."""

    def predict_outcomes(self, model: Any, batch: AnyBatch[Tensor], seed: int) -> Outcomes:
        """``model`` is not wrapped, and in eval mode."""

"""What a fusion model sees of stays, what it answers, and the cost of an answer: one interface.

Shapes: B stays; T hours, F columns; s pixels; C, h, w of a latent; K labels; M modalities.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from train.mean import mean_of_known, mean_of_real


class Seen(NamedTuple):
    """On the model's device. Nothing of a stay's future is in it."""

    hours: Tensor  # (B, T, F) float32, 0 beyond a stay's own hours
    is_hour: Tensor  # (B, T) bool
    film: Tensor  # (B, 1, s, s) uint8, the last before the prediction; 0 where there is none
    has_film: Tensor  # (B,) bool
    generated: Tensor  # (B, C, h, w) float32, the up-to-date latent; (B, 0, h, w) of no generator
    age: Tensor  # (B,) float32, years
    is_male: Tensor  # (B,) bool
    is_real: Tensor  # (B,) bool; the others only pad the batch and are in no loss


class Answer(NamedTuple):
    """``parts`` is what the model's own losses read, ``attention`` (B, M) how it weighs its
    modalities, if it does."""

    logits: Tensor  # (B, K)
    parts: Mapping[str, Tensor]
    attention: Tensor | None = None


class Target(NamedTuple):
    """(B, K) bool each, and what a present label weighs (K,): 1 without class weights."""

    is_present: Tensor
    is_known: Tensor
    positive_weight: Tensor


class Shape(NamedTuple):
    """Of what the model sees and answers."""

    hour_columns: int  # F
    latent: tuple[int, int, int]  # C, h, w
    labels: int  # K


class FusionModel(Protocol):
    """An ``nn.Module``; its settings say all but the shape. ``forward`` is called once a step."""

    losses: ClassVar[Sequence[str]]  # names of what ``losses_of`` gives beside the outcome's
    modalities: ClassVar[Sequence[str]]  # M names; empty of a model without attention

    def __call__(self, seen: Seen) -> Answer:
        """Of B stays."""

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """Scalars by name, already weighted; the task adds them to the outcome's own cost."""


def outcome_loss(logits: Tensor, target: Target, is_counted: Tensor) -> Tensor:
    """Binary cross-entropy: over the known labels of a stay, then over the stays (B,) counted."""
    each = binary_cross_entropy_with_logits(
        logits.float(),
        target.is_present.float(),
        reduction="none",
        pos_weight=target.positive_weight,
    )
    return mean_of_real(mean_of_known(each, target.is_known), ~is_counted)


def class_weights(is_present: Tensor, is_known: Tensor) -> Tensor:
    """(N, K) each, of training stays -> (K,): negatives over positives (specs ddl-cxr 9), 1 where
    either is missing."""
    positives = (is_present & is_known).sum(0)
    negatives = is_known.sum(0) - positives
    ratio = negatives / positives.clamp(min=1)
    return torch.where((positives > 0) & (negatives > 0), ratio, torch.ones_like(ratio)).float()

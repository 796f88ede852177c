"""The task `future_fusion`: every outcome of a stay, at any time, from all that is known by then.

One model for all outcomes and prediction times: of a sample only what is predicted at its time, and
known, is in the loss. Reads its inputs as the task `future` does (train/future.py).

Shapes: B stays; C, h, w of a latent; K labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from cxrfuture_data import Dataset
from cxrfuture_data.batch import AnyBatch, StayBatch
from cxrfuture_data.split import Split
from cxrfuture_data.view import View
from train import draw
from train.diffusion import posterior_sample
from train.fold import out_of_fold
from train.fusion.seen import Target, class_weights, outcome_loss
from train.future import Drop, Use, data_shape, draw_given, standardise, used_of, used_view
from train.model.context import ContextEncoder
from train.model.known import Known
from train.model.shape import ContextSettings, DataShape
from train.outcome import OUTCOMES
from train.settings import FitSettings, Positive
from train.task import Moment, Outcomes

OUTCOME = OUTCOMES["all"]


class FutureFusionSettings(FitSettings):
    task: Literal["future_fusion"]
    model: ContextSettings
    max_events: Positive | None  # of a window, the newest
    use: Use
    drop: Drop
    class_weights: bool  # a present label weighs as all absent ones do together


class OutcomeTransformer(nn.Module):
    """The encoder of what is known, and one linear layer."""

    def __init__(self, settings: ContextSettings, shape: DataShape, labels: int) -> None:
        super().__init__()
        self.context = ContextEncoder(settings, shape)
        self.classify = nn.Linear(settings.width, labels)

    def forward(self, known: Known) -> Tensor:
        """(B, K) logits."""
        return self.classify(self.context(known).vector)


@dataclass(frozen=True)
class FutureFusion:
    """The previous film is its latent, drawn in training and the posterior's mean after it."""

    settings: FutureFusionSettings
    data: Dataset

    @property
    def view(self) -> View:
        """Modalities that are not used are not read, but the latent."""
        return used_view("future.stay", self.settings.use, self.settings.max_events)

    @property
    def losses(self) -> Sequence[str]:
        """The outcome's cost is all there is."""
        return ("loss", "outcome")

    @property
    def averaged(self) -> Sequence[str]:
        """All weights."""
        return ("",)

    @property
    def labels(self) -> Sequence[str]:
        """K names."""
        return OUTCOME.labels

    def select(self, split: Split) -> Split:
        """Stays of which an outcome is known."""
        _, is_known = OUTCOME.of_columns(split.columns)
        return split.where(np.asarray(is_known.any(1)))

    def build(self) -> OutcomeTransformer:
        """New weights."""
        settings = self.settings
        shape = data_shape(self.data, "stay", settings.model.patch, settings.use)
        return OutcomeTransformer(settings.model, shape, len(self.labels))

    @cached_property
    def positive_weight(self) -> Tensor:
        """(K,): what a present label weighs, by the stays it learns from."""
        if not self.settings.class_weights:
            return torch.ones(len(self.labels))
        stays = out_of_fold(self.select(self.data.split("train", "stay")), self.settings.fold)
        return class_weights(*map(torch.from_numpy, OUTCOME.of_columns(stays.columns)))

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """Over the known labels of a stay, then over the stays."""
        stays = _stays(batch)
        randoms = draw.generators(stays.keys, at.purpose, at.seed, at.step)
        noise = draw.draw_normal(randoms, stays.previous.shape[2:])  # (B, C, h, w)
        previous = standardise(self.data, posterior_sample(stays.previous, noise))
        use, drop = self.settings.use, self.settings.drop
        given = draw_given(use, drop, randoms) if at.is_training else used_of(use, len(previous))
        logits = model(Known.of(stays, previous, given).to(at.device))
        is_present, is_known = (value.to(at.device) for value in OUTCOME.wanted(stays))
        target = Target(is_present, is_known, self.positive_weight.to(at.device))
        loss = outcome_loss(logits, target, ~stays.is_padding.to(at.device))
        return {"loss": loss, "outcome": loss}

    @torch.no_grad()
    def predict_outcomes(self, model: Any, batch: AnyBatch[Tensor], seed: int) -> Outcomes:
        """Nothing is drawn: ``seed`` changes nothing."""
        stays = _stays(batch)
        previous = standardise(self.data, stays.previous[:, 0].float())
        known = Known.of(stays, previous, used_of(self.settings.use, len(previous)))
        logits = model(known.to(next(model.parameters()).device)).float().cpu()
        return Outcomes(logits, *OUTCOME.wanted(stays), attention=None)


def _stays(batch: AnyBatch[Tensor]) -> StayBatch[Tensor]:
    assert isinstance(batch, StayBatch)
    return batch

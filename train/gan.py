"""The task `gan`: previous latent + a map from the hourly record and the gap, against a critic.

This model is ours. DDL-CXR's Table 4 has a row "GAN-based" and says no more of it than that it is
the conditional GAN of individual brain ageing (Xia et al. 2021; specs fusion-baselines 13), without
sizes, losses or how films and records take the place of its brains and ages. Kept of the ageing GAN
are a U-Net whose output is added to what it reads, a Wasserstein critic with gradient penalty 10,
and an L1 on the map with weight 100 that fades with the gap. It departs (13.3, 13.4) in that

- it works on latents, of mean 0 and spread 1 by channel over training films, and not on pixels:
  what it generates needs no encoder before a predictor reads it;
- the CLS of the record's encoder stands in place of the diagnosis, the gap in hours in place of
  years, both told to every residual block and not to the bottleneck alone; the critic reads the
  generator's code and does not change it;
- the map is pulled to 0 (the released code pulls it to 1, a bug), by exp(-gap / 48 hours);
- critic and generator take their steps at once, under one optimiser, and each loss reaches only its
  own network; the critic learns ``critic_rate`` times as fast in place of five steps to one (as
  Heusel et al. 2017);
- blocks are diffusers', with group norm; no self-reconstruction (its weight there is 0), no flips.

It has no noise, as the ageing GAN has none: of a sample it says one latent, whatever the seed, so k
latents of it are equal.

``loss`` is what is minimised; two players pull at it, so it tells nothing. ``error`` says how good
a latent is, the mean distance to the target's, and is what a run is selected by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cxrfuture_data import VIEWS, ContractError, Dataset, Split, View
from cxrfuture_data.batch import AnyBatch, PairBatch, StayBatch
from cxrfuture_data.collate import hour_columns, require_hours
from cxrfuture_data.settings import Settings
from train.diffusion import posterior_sample
from train.draw import draw_normal, draw_uniform, generators
from train.future import channel_moments, standardise
from train.mean import mean_of_real
from train.model.gan import Answer, Critic, Gan, LevelSettings, MapGenerator
from train.settings import Above0, FitSettings, HistorySettings, Weight
from train.task import Moment


class ObjectiveSettings(Settings):
    """Of the losses (specs fusion-baselines 13.4)."""

    identity_weight: Weight
    identity_hours: Above0  # of a gap after which the map may be e times as large
    penalty_weight: Weight
    critic_rate: Annotated[float, Field(ge=1)]  # the critic's learning rate by the generator's


class GanSettings(FitSettings):
    task: Literal["gan"]
    compile: Literal[False]  # torch.compile has no gradient of a gradient
    unet: LevelSettings
    critic: LevelSettings
    history: HistorySettings
    objective: ObjectiveSettings


@dataclass(frozen=True)
class GanTask:
    """The task; see train/task.py. Shapes: B samples; C, h, w of a latent."""

    settings: GanSettings
    data: Dataset

    losses: Sequence[str] = ("loss", "critic", "adversarial", "identity", "penalty", "error")
    averaged: Sequence[str] = ("generator.",)

    def __post_init__(self) -> None:
        require_hours(self.data, self.settings.task)

    @property
    def view(self) -> View:
        return VIEWS["ddl_cxr.pair"]

    @property
    def stay_view(self) -> View:
        """The window up to the prediction."""
        return VIEWS["ddl_cxr.generation"]

    def select(self, split: Split) -> Split:
        return split

    def build(self) -> Gan:
        settings = self.settings
        channels, *sides = self.data.manifest.latent.shape
        times = 2 ** (len(settings.unet.channels) - 1)
        if any(side % times for side in sides):
            raise ContractError(
                f"unet.channels has {len(settings.unet.channels)} levels, for which latents of "
                f"{sides[0]} x {sides[1]} do not halve often enough; give fewer"
            )
        columns = hour_columns(self.data, "pair")
        return Gan(
            MapGenerator(settings.unet, settings.history, channels, columns),
            Critic(settings.critic, settings.history.width, channels),
            settings.objective.critic_rate,
        )

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """Means over the batch's real samples."""
        assert isinstance(batch, PairBatch)
        randoms = generators(batch.keys, at.purpose, at.seed, at.step)
        latent = batch.target.shape[2:]  # (C, h, w)
        previous = posterior_sample(batch.previous, draw_normal(randoms, latent))
        target = posterior_sample(batch.target, draw_normal(randoms, latent))
        previous, target = (
            standardise(self.data, value).to(at.device) for value in (previous, target)
        )
        gap = gap_hours(batch).to(at.device)
        record = batch.hours.to(at.device), batch.is_hour.to(at.device)
        found: Answer = model(previous, target, gap, record, draw_uniform(randoms).to(at.device))

        error = (previous + found.change - target).detach().abs()
        costs = {  # (B,) each
            "critic": found.score_generated - found.score_target,
            "adversarial": -found.score_to_raise,
            "identity": self.fade(gap) * found.change.abs().flatten(1).mean(1),
            "penalty": found.penalty,
            "error": error.flatten(1).mean(1),
        }
        terms = {name: mean_of_real(cost, batch.is_padding) for name, cost in costs.items()}
        loss = (
            terms["critic"]
            + terms["adversarial"]
            + self.settings.objective.identity_weight * terms["identity"]
            + self.settings.objective.penalty_weight * terms["penalty"]
        )
        return {"loss": loss, **terms}

    def fade(self, gap: Tensor) -> Tensor:
        """(B,) in hours -> (B,): how much a film is held to the previous one, 1 at no gap."""
        return torch.exp(-gap / self.settings.objective.identity_hours)

    @torch.no_grad()
    def generate(self, model: Any, batch: AnyBatch[Tensor], seed: int) -> Tensor:
        """(B, C, h, w), as the dataset scales latents, of pairs or of stays.

        ``seed`` changes nothing: there is no noise, and the previous latent is its posterior's
        mean. Of a stay without a film (has_previous) it means nothing.
        """
        assert isinstance(batch, PairBatch | StayBatch)
        device = next(model.parameters()).device
        previous = standardise(self.data, batch.previous[:, 0].float()).to(device)
        record = batch.hours.to(device), batch.is_hour.to(device)
        change, _ = model.generator(previous, gap_hours(batch).to(device), record)
        mean, spread = channel_moments(self.data)
        return (previous + change).float().cpu() * spread + mean


def gap_hours(batch: PairBatch[Tensor] | StayBatch[Tensor]) -> Tensor:
    """(B,): from the previous film to the target, or to a stay's prediction."""
    return batch.hours_since_previous if isinstance(batch, StayBatch) else batch.gap_hours

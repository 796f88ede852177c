"""DDL-CXR's latent diffusion model: previous latent and hourly record -> target latent.

NeurIPS 2024, section 3.2; specs ddl-cxr 8. Corrected by default; ``fidelity: published`` takes the
hinge of every element of the latent, weighted by 1 - alphabar, and averages the UNet's weights
alone, as the released code does. In both the findings head is trained (8.4: there it is not).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cxrfuture_data import VIEWS, Dataset, Split, View
from cxrfuture_data.batch import AnyBatch, PairBatch, WindowBatch
from cxrfuture_data.collate import hour_columns, require_hours
from cxrfuture_data.settings import Settings
from train import diffusion
from train.draw import draw_normal, draw_rows, draw_timestep, generators
from train.mean import mean_of_real
from train.model.denoiser import Denoiser
from train.settings import (
    Fidelity,
    FitSettings,
    HistorySettings,
    SamplerSettings,
    UnetSettings,
    Weight,
)
from train.task import Moment
from train.unet_checkpoint import start_unet

Part = Literal["previous", "window", "contrast", "findings"]


class ObjectiveSettings(Settings):
    """Weights of the loss; names and numbers of specs ddl-cxr 8.4."""

    findings_weight: Weight
    contrast_weight: Weight  # reached at the end of the run, from zero
    contrast_margin: Weight
    context_noise: Annotated[float, Field(ge=0, le=1)]


class DdlCxrSettings(FitSettings):
    """``without``: the ablations of the paper's Tables 4 and 5, one or more."""

    task: Literal["ddl_cxr"]
    fidelity: Fidelity
    without: list[Part]
    unet: UnetSettings
    unet_weights: str | None  # a folder of `cxrfuture import_unet` to begin with
    history: HistorySettings
    objective: ObjectiveSettings
    sampler: SamplerSettings


@dataclass(frozen=True)
class DdlCxr:
    """The task; see train/task.py."""

    settings: DdlCxrSettings
    data: Dataset

    losses: Sequence[str] = ("loss", "simple", "contrast", "findings")

    def __post_init__(self) -> None:
        require_hours(self.data, self.settings.task)

    @property
    def view(self) -> View:
        return VIEWS["ddl_cxr.pair"]

    @property
    def stay_view(self) -> View:
        return VIEWS["ddl_cxr.generation"]

    @property
    def averaged(self) -> Sequence[str]:
        return ("unet.",) if self.settings.fidelity == "published" else ("",)

    def select(self, split: Split) -> Split:
        return split

    def build(self) -> Denoiser:
        settings = self.settings
        model = Denoiser(
            settings.unet,
            settings.history,
            len(self.data.statistics.latent.channel_mean),
            hour_columns(self.data, "pair"),
            has_previous="previous" not in settings.without,
            has_findings=self._has("findings"),
        )
        if settings.unet_weights is not None:
            start_unet(model.unet, Path(settings.unet_weights))
        return model

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """DDL-CXR's three losses (8.4), means over the batch's real samples."""
        assert isinstance(batch, PairBatch)
        objective = self.settings.objective
        random = draw(batch, self.settings.history.width, at)
        previous = diffusion.posterior_sample(batch.previous, random.previous_spread)
        target = diffusion.posterior_sample(batch.target, random.target_spread)
        noisy = diffusion.add_noise(target, random.noise, random.timestep)
        weight = self.contrast_weight(at)
        predicted = model(
            noisy.to(at.device),
            previous.to(at.device),
            random.timestep.to(at.device),
            self.record_of(batch, at.device),
            random.context_noise.to(at.device) if weight > 0 else None,
            objective.context_noise,
        )

        error = (random.noise.to(at.device) - predicted.noise.float()).square()  # (B, C, h, w)
        simple = error.flatten(1).mean(1)  # (B,)
        contrast, findings = torch.zeros_like(simple), torch.zeros_like(simple)
        if predicted.noise_disturbed is not None:
            disturbed = (random.noise.to(at.device) - predicted.noise_disturbed.float()).square()
            contrast = self.hinge(error, disturbed, random.timestep.to(at.device))
        if predicted.findings is not None:
            findings = diffusion.findings_loss(predicted.findings, batch.labels.to(at.device))
        loss = simple + objective.findings_weight * findings + weight * contrast
        costs = (loss, simple, contrast, findings)  # (B,) each
        means = [mean_of_real(cost, batch.is_padding) for cost in costs]
        return dict(zip(self.losses, means, strict=True))

    def hinge(self, error: Tensor, disturbed: Tensor, timestep: Tensor) -> Tensor:
        """(B,): the contrastive term of two branches' squared errors (B, C, h, w)."""
        margin = self.settings.objective.contrast_margin
        if self.settings.fidelity == "published":
            return diffusion.contrast_of_elements(error, disturbed, timestep, margin)
        return diffusion.contrast(error.flatten(1).mean(1), disturbed.flatten(1).mean(1), margin)

    def contrast_weight(self, at: Moment) -> float:
        """From zero to the settings' weight over the run; as published in a step an epoch."""
        if not self._has("contrast"):
            return 0.0
        last, epochs = self.settings.objective.contrast_weight, self.settings.length.epochs
        if self.settings.fidelity == "published" and epochs is not None:
            return last * (at.step * epochs // at.steps) / epochs
        return diffusion.contrast_weight(at.step, at.steps, last)

    def record_of(self, batch: WindowBatch[Tensor], device: Any) -> tuple[Tensor, Tensor]:
        """Hours and which are real, on the device; none is where the window is left out."""
        hours, is_hour = batch.hours.to(device), batch.is_hour.to(device)
        if "window" in self.settings.without:
            return torch.zeros_like(hours), torch.zeros_like(is_hour)
        return hours, is_hour

    def generate(self, model: Denoiser, batch: AnyBatch[Tensor], seed: int) -> Tensor:
        """Target latents (B, C, h, w) of pairs, or of stays at their prediction, by DDIM (8.6).

        The previous film's latent is its posterior's mean; the released code draws one (specs 12.2,
        B16), which makes a generated film depend on more than its own noise.
        """
        assert isinstance(batch, WindowBatch)
        device = next(model.parameters()).device
        previous = batch.previous[:, 0].float().to(device)
        tokens, is_token = model.history(*self.record_of(batch, device))

        def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return model.predict(noisy, previous, timestep, tokens, is_token)

        latent = previous.shape[1:]
        return diffusion.sample_ddim(
            predict, batch.keys, latent, self.settings.sampler, seed, str(device)
        ).cpu()

    def _has(self, part: Part) -> bool:
        # Without a window its tokens have no findings, and nothing to be contrasted with.
        without = self.settings.without
        return part not in without and not (
            part in ("contrast", "findings") and "window" in without
        )


@dataclass(frozen=True)
class Draw:
    """All that is random in one training step of a batch, apart from dropout."""

    timestep: Tensor  # (B,) int64
    noise: Tensor  # (B, C, h, w)
    previous_spread: Tensor  # (B, C, h, w), what makes a posterior sample
    target_spread: Tensor  # (B, C, h, w)
    context_noise: Tensor  # (B, S, D) of the longest sample; a shorter one uses the beginning


def draw(batch: PairBatch[Tensor], width: int, at: Moment) -> Draw:
    """Random numbers of each sample from the moment and its key, on the CPU: the same on whichever
    rank, place of the batch or device it comes. ``width``: D."""
    latent = batch.target.shape[2:]  # (C, h, w)
    randoms = generators(batch.keys, at.purpose, at.seed, at.step)
    return Draw(
        draw_timestep(randoms, diffusion.TRAIN_STEPS),
        draw_normal(randoms, latent),
        draw_normal(randoms, latent),
        draw_normal(randoms, latent),
        draw_rows(randoms, 1 + batch.hours.shape[1], width),
    )

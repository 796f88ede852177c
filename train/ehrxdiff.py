"""EHRXDiff: latent diffusion from the previous film and the events since (specs ehrxdiff 8, 9):
task ``ehrxdiff``. ``ehrxdiff_null`` is the same on a dataset with null-event samples (5).

Shapes: B samples; C, h, w of a latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from cxrfuture_data import Dataset
from cxrfuture_data.batch import AnyBatch, PairBatch
from cxrfuture_data.collate import film_size
from cxrfuture_data.split import Split
from cxrfuture_data.view import View
from train.clip import event_dimensions, load_encoders
from train.diffusion import TRAIN_STEPS, denoise, posterior_sample, schedule
from train.draw import draw_normal, draw_timestep, draw_uniform, generators
from train.mean import mean_of_real
from train.model.adaptor import Condition, ConditionSettings, Context, InputSizes
from train.model.event_denoiser import EventDenoiser, EventUnetSettings
from train.settings import Fidelity, FitSettings, SamplerSettings, Share
from train.task import Moment
from train.unet_checkpoint import start_unet

BETA_LAST = 0.0295  # 9.3; the first is DDL-CXR's


class GuidedSamplerSettings(SamplerSettings):
    """``guidance``: how far to go from the prediction without events to the one with them: 1 is
    no guidance, more strengthens what the events change."""

    guidance: Annotated[float, Field(ge=0)]


class EhrxdiffSettings(FitSettings):
    """``event_dropout``: share of samples, drawn anew each step, that lose their events, for
    guidance to have something to start from. The paper has neither.

    Only events are dropped, never the previous film: guidance is then along what the events add,
    and not along who the patient is.

    ``fidelity: published``: padding counts (model/adaptor.py), null events are M zeros that count,
    and only the UNet is averaged (12.4).
    """

    task: Literal["ehrxdiff"]
    fidelity: Fidelity
    clip: str | None  # a run or checkpoint of the task clip to begin with
    unet: EventUnetSettings
    unet_weights: str | None  # a folder of `cxrfuture import_unet` to begin with
    condition: ConditionSettings
    event_dropout: Share
    sampler: GuidedSamplerSettings

    @model_validator(mode="after")
    def _guides_by_events(self) -> "EhrxdiffSettings":
        is_guided = self.event_dropout > 0 or self.sampler.guidance != 1
        if is_guided and "events" not in self.condition.attend:
            raise ValueError("event_dropout and guidance need events in condition.attend")
        if not self.condition.attend and not self.condition.concatenate:
            raise ValueError("condition: attend to a source, or concatenate: true")
        return self


@dataclass(frozen=True)
class EhrxdiffTask:
    """The seven rows of Table IV differ in ``settings.condition`` alone."""

    settings: EhrxdiffSettings
    data: Dataset

    @property
    def view(self) -> View:
        """Films and events only where the condition reads them."""
        condition, is_published = self.settings.condition, self.settings.fidelity == "published"
        reads_film = "film" in condition.attend
        return View(
            kind="pair",
            latents="posterior",
            events="vectors" if "events" in condition.attend else "none",
            max_events=condition.max_events,
            null_events="zeros" if is_published else "masked",
            films=reads_film,
            film_size=condition.film.pixels if reads_film else None,
            augment={"previous": "weak_affine"} if reads_film else {},
        )

    @property
    def losses(self) -> Sequence[str]:
        """Names of what ``losses_of`` gives."""
        return ("loss",)

    @property
    def stay_view(self) -> None:
        """It draws targets of pairs alone."""

    @property
    def averaged(self) -> Sequence[str]:
        """As published the condition is trained and not averaged, so that it does not fit."""
        return ("unet.",) if self.settings.fidelity == "published" else ("",)

    def select(self, split: Split) -> Split:
        """Every pair, null-event samples among them where the dataset has them."""
        return split

    def build(self) -> nn.Module:
        """New weights; those of the encoders are a clip run's where one is named."""
        settings, latent = self.settings, self.data.manifest.latent.shape
        film_size(self.data, self.view)  # refuses a dataset without the films it reads
        sizes = InputSizes(
            latent=(latent[0], latent[1], latent[2]),
            event=event_dimensions(self.data) if "events" in settings.condition.attend else 0,
        )
        model = EventDenoiser(settings.unet, settings.condition, sizes, settings.fidelity)
        if settings.clip is not None and model.adaptor is not None:
            load_encoders(model.adaptor, Path(settings.clip))
        if settings.unet_weights is not None:
            start_unet(model.unet, Path(settings.unet_weights))
        return model

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """The mean squared error of the predicted noise (9.3)."""
        assert isinstance(batch, PairBatch)
        randoms = generators(batch.keys, at.purpose, at.seed, at.step)
        latent = batch.target.shape[2:]  # (C, h, w)
        timestep = draw_timestep(randoms, TRAIN_STEPS)
        noise = draw_normal(randoms, latent)
        target = posterior_sample(batch.target, draw_normal(randoms, latent))
        noisy = schedule(BETA_LAST).add_noise(target, noise, timestep)
        condition = self.condition(batch, at.device)
        if at.is_training and self.settings.event_dropout > 0:
            is_dropped = draw_uniform(randoms) < self.settings.event_dropout
            condition = condition.without_events(is_dropped.to(at.device))
        predicted = model(noisy.to(at.device), timestep.to(at.device), condition)
        error = (noise.to(at.device) - predicted.float()).square().flatten(1).mean(1)  # (B,)
        return {"loss": mean_of_real(error, batch.is_padding)}

    def condition(self, batch: PairBatch[Tensor], device: torch.device) -> Condition:
        """The previous film's latent is not scaled, while the target is (9.1, 12.4)."""
        form = self.data.manifest.latent
        latent = batch.previous[:, 0].float() / form.scale + form.shift
        parts = (latent, batch.previous_film, batch.event, batch.is_event)
        return Condition(*(part.to(device) for part in parts))

    @torch.no_grad()
    def generate(self, model: Any, batch: AnyBatch[Tensor], seed: int) -> Tensor:
        """(B, C, h, w) by DDIM (9.5); a sample's noise comes from (seed, its key) alone."""
        assert isinstance(batch, PairBatch)
        device = next(model.parameters()).device
        condition = self.condition(batch, device)
        context = model.encode(condition)
        guidance = self.settings.sampler.guidance
        without: Context | None = None
        if guidance != 1:
            everyone = torch.ones(len(batch.keys), dtype=torch.bool, device=device)
            without = model.encode(condition.without_events(everyone))

        def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            predicted: Tensor = model.predict(noisy, timestep, condition.latent, context)
            if without is None:
                return predicted
            start: Tensor = model.predict(noisy, timestep, condition.latent, without)
            return start + guidance * (predicted - start)

        randoms = generators(batch.keys, "sample", seed)

        def noise() -> Tensor:
            return draw_normal(randoms, batch.target.shape[2:]).to(device)

        scheduler = schedule(BETA_LAST)
        scheduler.set_timesteps(self.settings.sampler.steps)
        found = denoise(predict, noise(), scheduler, self.settings.sampler.eta, noise)
        return found.float().cpu()

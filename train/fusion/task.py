"""The task `fusion`: outcomes of a stay from its record, its last film, and the film generated for
its prediction time. All models share the batches, the loss, the selection and the evaluation.

Specs ddl-cxr 9, fusion-baselines 17. Shapes: B stays, K labels, S generated latents a stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from accelerate.utils import extract_model_from_parallel
from pydantic import Field
from torch import Tensor, nn

from cxrfuture_data import ContractError, Dataset, Split, View
from cxrfuture_data.batch import AnyBatch, ImageBatch, StayBatch
from cxrfuture_data.collate import hour_columns
from train.draw import draw_timestep, generators
from train.fold import out_of_fold, share_of
from train.fusion.models import ModelSettings, begin_with, model_class
from train.fusion.seen import Answer, FusionModel, Seen, Shape, Target, class_weights, outcome_loss
from train.outcome import OUTCOMES, Outcome
from train.settings import FitSettings
from train.task import Moment, Outcomes

WITHOUT_FILM = ("uni_ehr", "tabular")  # models that look at none


class FusionSettings(FitSettings):
    """``pairing: paired`` leaves out stays without a film, in training as in test.

    ``share`` of the training patients (paper Tables 13, 14); of smaller ones each is part of the
    next. ``generated``: the folder of latents of `cxrfuture generate --kind stay`. The encoders of
    film and record begin as those of other runs of this task, MedFuse's first stages, if named.
    """

    task: Literal["fusion"]
    outcome: Literal["mortality", "phenotypes", "findings"]
    class_weights: bool
    pairing: Literal["paired", "partial"]
    share: Annotated[float, Field(gt=0, le=1)]
    generated: str | None
    start_film: str | None
    start_record: str | None
    augment: bool
    model: ModelSettings


@dataclass(frozen=True)
class FusionTask:
    """A Predictor; see train/task.py."""

    settings: FusionSettings
    data: Dataset

    @property
    def outcome(self) -> Outcome:
        return OUTCOMES[self.settings.outcome]

    @property
    def labels(self) -> Sequence[str]:
        return self.outcome.labels

    @property
    def losses(self) -> Sequence[str]:
        return ("loss", "outcome", *model_class(self.settings.model).losses)

    @property
    def modalities(self) -> Sequence[str]:
        """M names of what the model weighs against one another, if it does."""
        return model_class(self.settings.model).modalities

    @property
    def averaged(self) -> Sequence[str]:
        return ("",)

    @property
    def view(self) -> View:
        """Nothing after the prediction time is in it."""
        name, augment = self.settings.model.name, self.settings.augment
        has_films = name not in WITHOUT_FILM
        if self.outcome.kind == "image":
            turned = {"image": "prediction_affine"} if augment else {}
            return View(kind="image", films=True, augment=turned)
        turned = {"previous": "prediction_affine"} if augment and has_films else {}
        generated = self.settings.generated if self._sees_generated else None
        return View(kind="stay", hours=True, films=has_films, augment=turned, generated=generated)

    @property
    def _sees_generated(self) -> bool:
        model = self.settings.model
        return model.name == "ddl_cxr" and "latent" not in model.without

    def select(self, split: Split) -> Split:
        """Samples whose outcome is known, with a film if pairs are asked for."""
        outcome = self.outcome
        chosen = split.where(lambda columns: outcome.of_columns(columns)[1].max(axis=1))
        if self.settings.pairing == "paired" and self.outcome.kind == "stay":
            chosen = chosen.where(lambda columns: columns["previous.has"])
        return share_of(chosen, self.settings.share) if split.name == "train" else chosen

    def build(self) -> nn.Module:
        settings = self.settings
        if settings.outcome == "findings" and settings.model.name != "uni_cxr":
            raise ContractError(
                f"outcome findings is of one film alone; {settings.model.name} is another model "
                "than uni_cxr"
            )
        if self._sees_generated and settings.generated is None:
            raise ContractError(
                "generated: null, and the model sees a generated latent; name the folder that "
                "`cxrfuture generate RUN --kind stay --split all` wrote, RUN/generated, or set "
                "model.without=[latent]"
            )
        channels, rows, width = self.data.manifest.latent.shape
        columns = 0 if self.outcome.kind == "image" else hour_columns(self.data, "stay")
        model = model_class(settings.model)(
            settings.model, Shape(columns, (channels, rows, width), len(self.labels))
        )
        for name, run in (("film", settings.start_film), ("record", settings.start_record)):
            if run is not None:
                begin_with(model, name, Path(run))
        return model

    @cached_property
    def positive_weight(self) -> Tensor:
        """(K,), of the training stays."""
        if not self.settings.class_weights:
            return torch.ones(len(self.labels))
        stays = self.select(self.data.split("train", self.outcome.kind))
        chosen = out_of_fold(stays, self.settings.fold)
        present, known = self.outcome.of_columns(chosen.columns)
        return class_weights(torch.from_numpy(present), torch.from_numpy(known))

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """The outcome's cross-entropy, and what the model adds to it."""
        seen = self._seen(batch, self._chosen(batch, at), at.device)
        is_present, is_known = (flags.to(at.device) for flags in self.outcome.wanted(batch))
        target = Target(is_present, is_known, self.positive_weight.to(at.device))
        answer: Answer = model(seen)
        outcome = outcome_loss(answer.logits, target, seen.is_real)
        inner: FusionModel = extract_model_from_parallel(model, keep_torch_compile=False)
        more = inner.losses_of(answer, target, seen)
        loss = outcome + sum(more.values(), outcome.new_zeros(()))
        return {"loss": loss, "outcome": outcome, **more}

    @torch.no_grad()
    def predict_outcomes(self, model: Any, batch: AnyBatch[Tensor], seed: int) -> Outcomes:
        """The mean probability over a stay's generated latents, as logits; ``seed`` draws nothing
        here."""
        device = next(model.parameters()).device
        generated = self._generated(batch)  # (B, S, C, h, w)
        answers: list[Answer] = [
            model(self._seen(batch, generated[:, number], device))
            for number in range(generated.shape[1])
        ]
        mean = torch.stack([answer.logits.float().sigmoid() for answer in answers]).mean(0)
        attention = answers[0].attention
        if attention is not None:
            attention = torch.stack([a.attention for a in answers if a.attention is not None])
            attention = attention.float().mean(0).cpu()
        logits = answers[0].logits.float() if len(answers) == 1 else torch.logit(mean, eps=1e-6)
        return Outcomes(logits.cpu(), *self.outcome.wanted(batch), attention)

    def _generated(self, batch: AnyBatch[Tensor]) -> Tensor:
        """(B, S, C, h, w); of a model that sees none, one without channels."""
        if isinstance(batch, StayBatch) and self._sees_generated:
            return batch.generated
        rows, columns = self.data.manifest.latent.shape[1:]
        return torch.zeros(len(batch.keys), 1, 0, rows, columns)

    def _chosen(self, batch: AnyBatch[Tensor], at: Moment) -> Tensor:
        """(B, C, h, w): of each stay one of its latents, by the moment and its key."""
        generated = self._generated(batch)
        randoms = generators(batch.keys, at.purpose, "latent", at.seed, at.step)
        return generated[torch.arange(len(generated)), draw_timestep(randoms, generated.shape[1])]

    def _seen(self, batch: AnyBatch[Tensor], generated: Tensor, device: torch.device) -> Seen:
        if isinstance(batch, ImageBatch):
            stays = len(batch.keys)
            hours, is_hour = torch.zeros(stays, 0, 0), torch.zeros(stays, 0, dtype=torch.bool)
            film, has_film = batch.image_film, torch.ones(stays, dtype=torch.bool)
        else:
            assert isinstance(batch, StayBatch)
            hours, is_hour = batch.hours, batch.is_hour
            film, has_film = batch.previous_film, batch.has_previous
        seen = Seen(
            hours=hours,
            is_hour=is_hour,
            film=film,
            has_film=has_film,
            generated=generated.float(),
            age=batch.age,
            is_male=batch.is_male,
            is_real=~batch.is_padding,
        )
        return Seen(*(value.to(device) for value in seen))

"""The task `future`: flow matching of the target's latent, and what changes from the last film.

Shapes: B samples; C, h, w of a latent; L findings, K of their changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from cxrfuture_data import Dataset
from cxrfuture_data.batch import AnyBatch, PairBatch
from cxrfuture_data.collate import hour_columns
from cxrfuture_data.labels import UNCERTAIN
from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings
from cxrfuture_data.split import Split
from cxrfuture_data.view import VIEWS, View
from train import draw, flow
from train.diffusion import posterior_sample
from train.flow import FlowSampler, FlowSettings, Guidance
from train.mean import mean_of_known, mean_of_real
from train.model.known import MODALITIES, Known
from train.model.latent_transformer import LatentTransformer
from train.model.shape import DataShape, TransformerSettings
from train.settings import FitSettings, Positive, Share, Weight
from train.task import Moment

Probability = Annotated[float, Field(ge=0, le=1)]


class Use(Settings):
    """What the model is told at all; what is not used is unknown to it in training and after."""

    previous: bool
    hours: bool
    events: bool
    demographics: bool


class Drop(Settings):
    """How often a modality is told as unknown in training, each by itself."""

    previous: Share
    hours: Share
    events: Share
    demographics: Share


class FutureSettings(FitSettings):
    model: TransformerSettings
    max_events: Positive | None  # of a window, the newest
    use: Use
    drop: Drop
    flow: FlowSettings
    findings_weight: Weight
    changes_weight: Weight
    sampler: FlowSampler
    guidance: Guidance


@dataclass(frozen=True)
class Future:
    """Latents are standardised by each channel's training mean and spread, and un-standardised at
    the end."""

    settings: FutureSettings
    data: Dataset

    @property
    def view(self) -> View:
        """Modalities that are not used are not read."""
        return used_view("future.pair", self.settings.use, self.settings.max_events)

    @property
    def losses(self) -> Sequence[str]:
        return ("loss", "velocity", "findings", "changes")

    @property
    def stay_view(self) -> None:
        """It draws targets of pairs alone."""

    @property
    def averaged(self) -> Sequence[str]:
        return ("",)

    def select(self, split: Split) -> Split:
        return split

    def build(self) -> nn.Module:
        settings = self.settings
        shape = data_shape(self.data, "pair", settings.model.patch, settings.use)
        return LatentTransformer(settings.model, shape)

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """Means over the batch's real samples."""
        pairs = _pairs(batch)
        randoms = draw.generators(pairs.keys, at.purpose, at.seed, at.step)
        latent = pairs.target.shape[2:]  # (C, h, w)
        previous = posterior_sample(pairs.previous, draw.draw_normal(randoms, latent))
        target = posterior_sample(pairs.target, draw.draw_normal(randoms, latent))
        previous, target = self.standardise(previous), self.standardise(target).to(at.device)
        noise = draw.draw_normal(randoms, latent).to(at.device)
        time = flow.draw_time(randoms, self.settings.flow).to(at.device)
        use, drop = self.settings.use, self.settings.drop
        given = draw_given(use, drop, randoms) if at.is_training else used_of(use, len(previous))
        known = Known.of(pairs, previous, given).to(at.device)

        predicted = model(flow.mix(noise, target, time), time, known)
        velocity = (predicted.velocity.float() - (target - noise)).square().flatten(1).mean(1)
        findings = findings_loss(predicted.findings, pairs.labels, pairs.label_known)
        changes = changes_loss(predicted.changes, pairs.changes, pairs.changes_known)
        loss = (
            velocity
            + self.settings.findings_weight * findings
            + self.settings.changes_weight * changes
        )
        costs = (loss, velocity, findings, changes)  # (B,) each
        means = [mean_of_real(cost, pairs.is_padding) for cost in costs]
        return dict(zip(self.losses, means, strict=True))

    @torch.no_grad()
    def generate(self, model: Any, batch: AnyBatch[Tensor], seed: int) -> Tensor:
        """(B, C, h, w), as the dataset scales latents."""
        pairs = _pairs(batch)
        device = next(model.parameters()).device
        known = self._known(pairs, device)
        randoms = draw.generators(pairs.keys, "generate", seed)
        noise = draw.draw_normal(randoms, known.previous.shape[1:]).to(device)
        velocity = guided_velocity(model, known, self.settings.guidance)
        made = flow.integrate(velocity, noise, self.settings.sampler).float().cpu()
        mean, spread = channel_moments(self.data)
        return made * spread + mean

    @torch.no_grad()
    def predict(self, model: Any, batch: AnyBatch[Tensor]) -> tuple[Tensor, Tensor]:
        """Probabilities of the target's findings (B, L) and of the changes (B, L, K), on the CPU,
        without drawing it."""
        context = model.context(self._known(_pairs(batch), next(model.parameters()).device))
        findings, changes = model.find(context)
        return findings.float().sigmoid().cpu(), changes.float().softmax(-1).cpu()

    def standardise(self, latent: Tensor) -> Tensor:
        """(B, C, h, w): of mean 0 and spread 1 over the training films, channel by channel."""
        return standardise(self.data, latent)

    def _known(self, pairs: PairBatch[Tensor], device: torch.device) -> Known:
        """Of samples to be drawn: the previous latent is its posterior's mean."""
        previous = self.standardise(pairs.previous[:, 0].float())
        return Known.of(pairs, previous, used_of(self.settings.use, len(previous))).to(device)


def used_view(name: str, use: Use, max_events: int | None) -> View:
    """A view by name, without the hours or events that are not used."""
    events: Literal["vectors", "none"] = "vectors" if use.events else "none"
    return replace(VIEWS[name], hours=use.hours, events=events, max_events=max_events)


def data_shape(data: Dataset, kind: str, patch: int, use: Use) -> DataShape:
    """Of a dataset's batches of a kind; refuses one that lacks what is used."""
    channels, rows, columns = data.manifest.latent.shape
    if use.hours and not data.manifest.recipe.body["window"]["hourly"]:
        raise ContractError(
            f"{data.source}: keeps no hourly record; set use.hours=false, or build the "
            "recipe future"
        )
    if rows % patch or columns % patch:
        raise ContractError(
            f"model.patch {patch} does not divide latents of {rows} x {columns}; change it"
        )
    return DataShape(
        channels=channels,
        hour_columns=hour_columns(data, kind),
        event_width=data.manifest.embeddings.dimensions,
    )


def used_of(use: Use, samples: int) -> Tensor:
    """(B, 4) bool, in the order of MODALITIES."""
    return torch.tensor([getattr(use, name) for name in MODALITIES]).expand(samples, -1)


def draw_given(use: Use, drop: Drop, randoms: Sequence[torch.Generator]) -> Tensor:
    """(B, 4) bool: what is used and not dropped."""
    chances = [getattr(drop, name) for name in MODALITIES]
    kept = [draw.draw_uniform(randoms) >= chance for chance in chances]
    return used_of(use, len(randoms)) & torch.stack(kept, dim=1)


def standardise(data: Dataset, latents: Tensor) -> Tensor:
    """(B, C, h, w): of mean 0 and spread 1 over the training films, channel by channel."""
    mean, spread = channel_moments(data)
    return (latents - mean) / spread


def channel_moments(data: Dataset) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of training films' latents, (C, 1, 1) each."""
    found = data.statistics.latent
    mean = torch.tensor(found.channel_mean)[:, None, None]
    spread = torch.tensor(found.channel_std)[:, None, None]
    return mean, torch.where(spread > 0, spread, 1.0)


def guided_velocity(model: LatentTransformer, known: Known, guidance: Guidance) -> flow.Velocity:
    """The velocity at any time; rows without a modality share the forward with the full ones, and
    only those of modalities whose scale is not 1 are there."""
    names = [name for name in MODALITIES if getattr(guidance, name) != 1]
    scales = [getattr(guidance, name) for name in names]
    rows = known.without([None, *names])
    reading = model.read(rows)

    def velocity(noisy: Tensor, time: Tensor) -> Tensor:
        times = 1 + len(names)
        noisy, time = noisy.repeat(times, 1, 1, 1), time.repeat(times)
        found = model.velocity(noisy, time, reading).float()
        return flow.guide(found.unflatten(0, (times, -1)), scales)

    return velocity


def findings_loss(logits: Tensor, labels: Tensor, label_known: Tensor) -> Tensor:
    """(B,): binary cross-entropy of raw labels (B, L), where a report says present or absent."""
    is_said = label_known & (labels != UNCERTAIN)
    target = (labels == 1).to(logits.device, torch.float32)
    each = binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
    return mean_of_known(each, is_said.to(each.device))


def changes_loss(logits: Tensor, changes: Tensor, changes_known: Tensor) -> Tensor:
    """(B,): cross-entropy of logits (B, L, K) where the change (B, L) is known."""
    target = changes.to(logits.device, torch.int64)
    each = cross_entropy(logits.float().movedim(-1, 1), target, reduction="none")  # (B, L)
    return mean_of_known(each, changes_known.to(each.device))


def _pairs(batch: AnyBatch[Tensor]) -> PairBatch[Tensor]:
    assert isinstance(batch, PairBatch)
    return batch

"""Contrastive pre-training of EHRXDiff's film and event encoders (specs ehrxdiff 7): task ``clip``.

A film is to find the events that followed it among those of a step, and the events their film.

Shapes: B samples of this rank, N of all ranks; W the width of an embedding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
import xxhash
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from cxrfuture_data import Dataset
from cxrfuture_data.batch import AnyBatch, PairBatch
from cxrfuture_data.collate import film_size
from cxrfuture_data.schema import ContractError
from cxrfuture_data.split import Split
from cxrfuture_data.view import View
from train import checkpoint
from train.mean import mean_of_real
from train.model.event import EventEncoder, EventSettings, pad_events, pool_events
from train.model.vision import FilmEncoder, FilmSettings
from train.settings import Fidelity, FitSettings, Positive
from train.task import Moment

FIRST_TEMPERATURE = 0.07
LIMIT = math.log(100)  # of the logit scale, either way
ENCODERS = ("film.", "events.")  # prefixes of the weights that EHRXDiff goes on with


class ClipSettings(FitSettings):
    """``fidelity: published``: pooling over padding, negatives of this rank alone, other pairs of
    the same film among them, and the scale used once before it is clamped (7.3, 7.4)."""

    task: Literal["clip"]
    fidelity: Fidelity
    width: Positive  # W
    max_events: Positive
    film: FilmSettings
    events: EventSettings


@dataclass(frozen=True)
class Embedded:
    """Both sides of a batch, of any length, and exp(logit scale)."""

    film: Tensor  # (B, W)
    window: Tensor  # (B, W)
    scale: Tensor  # ()


@dataclass(frozen=True)
class Rows:
    """Samples among which each finds its own."""

    film: Tensor  # (B or N, W), of length 1
    window: Tensor  # (B or N, W), of length 1
    film_id: Tensor  # (B or N,) int64, equal for one film
    is_real: Tensor  # (B or N,) bool: no repetition that fills a batch


class Clip(nn.Module):
    """Film and event encoder and the logit scale."""

    def __init__(self, settings: ClipSettings, dimensions: int) -> None:
        """``dimensions``: of an event embedding."""
        super().__init__()
        self.is_published = settings.fidelity == "published"
        self.max_events = settings.max_events
        self.film = FilmEncoder(settings.film, settings.width)
        self.events = EventEncoder(settings.events, dimensions, settings.width)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(FIRST_TEMPERATURE)))

    def forward(self, film: Tensor, event: Tensor, is_event: Tensor) -> Embedded:
        """film (B, 1, s, s) uint8, event (B, E, D), is_event (B, E)."""
        if self.is_published:
            scale = self.logit_scale.exp()
            event, is_event = pad_events(event, is_event, self.max_events)
        with torch.no_grad():
            self.logit_scale.clamp_(-LIMIT, LIMIT)
        if not self.is_published:
            scale = self.logit_scale.exp()
        tokens, is_token = self.events(event, is_event)
        window = pool_events(tokens, is_token, over_padding=self.is_published)
        return Embedded(self.film(film).pooled, window, scale)


@dataclass(frozen=True)
class ClipTask:
    """Pairs of the previous film and the events after it."""

    settings: ClipSettings
    data: Dataset

    @property
    def view(self) -> View:
        """The latent is read to know the film by; the target plays no part."""
        return View(
            kind="pair",
            latents="mean",
            events="vectors",
            max_events=self.settings.max_events,
            films=True,
            film_size=self.settings.film.pixels,
            augment={"previous": "random_resized_crop"},
        )

    @property
    def losses(self) -> Sequence[str]:
        """Names of what ``losses_of`` gives."""
        return ("loss", "films_find_events", "events_find_films")

    @property
    def averaged(self) -> Sequence[str]:
        """All weights."""
        return ("",)

    def select(self, split: Split) -> Split:
        """Pairs with events: an empty window is the same for every film."""
        return split.where(
            lambda columns: ~columns["is_null_event"] & np.greater(columns["events"], 0)
        )

    def build(self) -> nn.Module:
        """New encoders."""
        film_size(self.data, self.view)  # refuses a dataset without films
        return Clip(self.settings, event_dimensions(self.data))

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """Half of the loss is each direction's."""
        assert isinstance(batch, PairBatch)
        ids = film_ids(batch.previous)
        moved = (batch.previous_film, batch.event, batch.is_event)
        embedded: Embedded = model(*(tensor.to(at.device) for tensor in moved))
        rows = Rows(
            film=normalize(embedded.film.float(), dim=1),
            window=normalize(embedded.window.float(), dim=1),
            film_id=ids.to(at.device),
            is_real=~batch.is_padding.to(at.device),
        )
        is_corrected = self.settings.fidelity == "corrected"
        everyone, first = gather_rows(rows) if is_corrected else (rows, 0)
        own = first + torch.arange(len(ids), device=at.device)  # (B,) this rank's places among N
        is_left_out = left_out(rows, everyone, own, same_film=is_corrected)
        scale = embedded.scale.float()
        found = [
            cross_entropy(
                (scale * one @ other.T).masked_fill(is_left_out, -math.inf), own, reduction="none"
            )
            for one, other in ((rows.film, everyone.window), (rows.window, everyone.film))
        ]  # (B,) each
        films, events = (mean_of_real(loss, batch.is_padding) for loss in found)
        return dict(zip(self.losses, ((films + events) / 2, films, events), strict=True))


def event_dimensions(data: Dataset) -> int:
    """How many numbers an event's embedding has, in a dataset that keeps events."""
    if not data.manifest.recipe.body["window"]["events"]:
        raise ContractError(
            f"{data.source}: recipe {data.manifest.recipe.name!r} keeps no events, which this "
            "model reads; train on a dataset of ehrxdiff or future"
        )
    return data.manifest.embeddings.dimensions


def film_ids(previous: Tensor) -> Tensor:
    """(B,) int64, of latents (B, C, h, w): equal where all bytes are, which is one film's mark."""
    hashes = [xxhash.xxh3_64_intdigest(latent.numpy().tobytes()) for latent in previous]
    return torch.from_numpy(np.array(hashes, np.uint64).view(np.int64))


def left_out(rows: Rows, everyone: Rows, own: Tensor, *, same_film: bool) -> Tensor:
    """(B, N) bool: no negatives, as they are repetitions or, if asked, of the very same film."""
    is_out = ~everyone.is_real.repeat(len(own), 1)
    if same_film:
        is_out |= rows.film_id[:, None] == everyone.film_id[None, :]
    return is_out.scatter(1, own[:, None], value=False)


def gather_rows(rows: Rows) -> tuple[Rows, int]:
    """The rows of all ranks, in their order, and where this rank's begin."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows, 0
    width = rows.film.shape[1]
    joined: Tensor = GatherRows.apply(torch.cat([rows.film, rows.window], dim=1))  # (N, 2W)
    facts = _gather(torch.stack([rows.film_id, rows.is_real.long()], dim=1))  # (N, 2)
    everyone = Rows(joined[:, :width], joined[:, width:], facts[:, 0], facts[:, 1].bool())
    return everyone, dist.get_rank() * len(rows.film)


class GatherRows(torch.autograd.Function):
    """(B, F) -> (N, F); the gradient of a row is the sum of all ranks' for it, as each rank's loss
    has it among its negatives. (That of torch.distributed.nn is deprecated.)"""

    @staticmethod
    def forward(_: Any, rows: Tensor) -> Tensor:
        """Equally many of each rank."""
        return _gather(rows)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        """This rank's rows of the sum."""
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


def _gather(rows: Tensor) -> Tensor:
    found = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(found, rows.contiguous())
    return torch.cat(found)


def load_encoders(module: nn.Module, folder: Path) -> None:
    """Put what a run of ``clip`` learned into the encoders ``film`` and ``events`` of a module.

    ``folder`` is a run, of which its best checkpoint is taken, else its newest, or a checkpoint.
    """
    checkpoint.load_encoders(
        module,
        ENCODERS,
        folder,
        "train clip with the same width, film and events settings on a dataset of the same "
        "embeddings and films",
    )

"""Labels of the target film from the events or hours alone: task ``table_classifier`` (specs
ehrxdiff 10.5), a row of the paper's Table II that no generator may fall below.

Shapes: B samples, E events or T hours, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrfuture_data import Dataset
from cxrfuture_data.batch import AnyBatch, PairBatch
from cxrfuture_data.collate import hour_columns
from cxrfuture_data.labels import ABSENT, ATTRIBUTES, PRESENT
from cxrfuture_data.schema import FINDINGS, ContractError
from cxrfuture_data.split import Split
from cxrfuture_data.view import View
from train.clip import event_dimensions, load_encoders
from train.mean import mean_of_known, mean_of_real
from train.model.event import EventEncoder, EventSettings, pad_events, pool_events
from train.model.history import History
from train.settings import Fidelity, FitSettings, HistorySettings, Positive
from train.task import Moment


class TableClassifierSettings(FitSettings):
    """``labels``: those of Chest ImaGenome where a dataset has them, else the report labeler's.

    ``fidelity: published``: pooling over padding, and what is not said counts as absent.
    """

    task: Literal["table_classifier"]
    fidelity: Fidelity
    input: Literal["events", "hours"]
    labels: Literal["attributes", "findings"]
    with_previous_labels: bool
    clip: str | None  # a run or checkpoint of the task clip whose event encoder to begin with
    max_events: Positive
    events: EventSettings
    history: HistorySettings


class TableClassifier(nn.Module):
    """An encoder of events, or of hours, and one linear layer.

    The previous film's labels are one more token before the events; hours take theirs beside the
    class token, behind the encoder, so that a window without hours has them too.
    """

    def __init__(
        self,
        settings: TableClassifierSettings,
        dimensions: int,
        columns: int,
        labels: int,
    ) -> None:
        """``dimensions``: of an event embedding; ``columns``: of an hour; ``labels``: L."""
        super().__init__()
        self.is_published = settings.fidelity == "published"
        self.max_events = settings.max_events
        self.events: EventEncoder | None = None
        self.history: History | None = None
        if settings.input == "events":
            width = dimensions
            self.events = EventEncoder(settings.events, dimensions, width=None)
        else:
            width = settings.history.width
            self.history = History(settings.history, columns)
        self.previous: nn.Parameter | None = None
        if settings.with_previous_labels:
            self.previous = nn.Parameter(torch.randn(labels, width))
        self.classify = nn.Linear(width, labels)

    def forward(self, record: Tensor, is_real: Tensor, previous: Tensor) -> Tensor:
        """record (B, E or T, ...), is_real (B, E or T), previous (B, L): 1 present, else 0 ->
        logits (B, L)."""
        token = None
        if self.previous is not None:
            token = previous @ self.previous / len(self.previous)  # (B, width)
        if self.events is not None:
            return self.classify(self._pool(self.events, record, is_real, token))
        assert self.history is not None
        pooled = self.history(record, is_real)[0][:, 0]  # (B, width)
        return self.classify(pooled if token is None else pooled + token)

    def _pool(
        self, encoder: EventEncoder, event: Tensor, is_event: Tensor, token: Tensor | None
    ) -> Tensor:
        if self.is_published:
            event, is_event = pad_events(event, is_event, self.max_events)
        if token is not None:
            event = torch.cat([token[:, None], event.float()], dim=1)  # (B, 1 + E, D)
            is_event = torch.cat([is_event.new_ones(len(event), 1), is_event], dim=1)
        tokens, is_token = encoder(event, is_event)
        return pool_events(tokens, is_token, over_padding=self.is_published)


@dataclass(frozen=True)
class TableClassifierTask:
    """Pairs, without their films."""

    settings: TableClassifierSettings
    data: Dataset

    @property
    def view(self) -> View:
        """Events or hours."""
        is_events = self.settings.input == "events"
        return View(
            kind="pair",
            hours=not is_events,
            events="vectors" if is_events else "none",
            max_events=self.settings.max_events if is_events else None,
        )

    @property
    def losses(self) -> Sequence[str]:
        """Names of what ``losses_of`` gives."""
        return ("loss",)

    @property
    def averaged(self) -> Sequence[str]:
        """All weights."""
        return ("",)

    @property
    def label_names(self) -> Sequence[str]:
        """L of them, in the order of what is predicted."""
        return ATTRIBUTES if self.settings.labels == "attributes" else FINDINGS

    def select(self, split: Split) -> Split:
        """Pairs of two films."""
        return split.where(lambda columns: ~columns["is_null_event"])

    def build(self) -> nn.Module:
        """A new classifier; its event encoder is a clip run's where one is named."""
        settings, data = self.settings, self.data
        if settings.labels == "attributes" and not has_attributes(data):
            raise ContractError(
                f"{data.source}: no film has attributes of Chest ImaGenome; set labels: findings"
            )
        is_events = settings.input == "events"
        if not is_events and not data.manifest.recipe.body["window"]["hourly"]:
            raise ContractError(f"{data.source}: its recipe keeps no hours; set input: events")
        model = TableClassifier(
            settings,
            event_dimensions(data) if is_events else 0,
            hour_columns(data, "pair"),
            len(self.label_names),
        )
        if settings.clip is not None and is_events:
            load_encoders(model, Path(settings.clip))
        return model

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """Binary cross-entropy of the known labels."""
        assert isinstance(batch, PairBatch)
        logits = model(*self._inputs(batch, at.device))
        values, is_known = self._labels(batch)
        wanted = (values == PRESENT).float().to(at.device)
        each = binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")  # (B, L)
        costs = mean_of_known(each, is_known.to(at.device))  # (B,)
        return {"loss": mean_of_real(costs, batch.is_padding)}

    @torch.no_grad()
    def predict(self, model: nn.Module, batch: AnyBatch[Tensor]) -> Tensor:
        """(B, L) probabilities, float32 on the CPU; the model is to be in eval mode."""
        assert isinstance(batch, PairBatch)
        device = next(model.parameters()).device
        logits: Tensor = model(*self._inputs(batch, device))
        return torch.sigmoid(logits.float()).cpu()

    def _inputs(self, batch: PairBatch[Tensor], device: torch.device) -> list[Tensor]:
        is_attributes = self.settings.labels == "attributes"
        previous = batch.previous_attributes if is_attributes else batch.previous_labels
        parts = [batch.event, batch.is_event]
        if self.settings.input == "hours":
            parts = [batch.hours, batch.is_hour]
        return [part.to(device) for part in (*parts, (previous == PRESENT).float())]

    def _labels(self, batch: PairBatch[Tensor]) -> tuple[Tensor, Tensor]:
        """(B, L) each: the labels, and of which of them the loss is told."""
        if self.settings.labels == "attributes":
            values, is_known = batch.attributes, batch.attribute_known
        else:
            values, is_known = batch.labels, batch.label_known
        if self.settings.fidelity == "published":
            return values, torch.ones_like(is_known)
        return values, is_known & ((values == PRESENT) | (values == ABSENT))


def has_attributes(data: Dataset) -> bool:
    """Whether Chest ImaGenome says anything of a training pair's target."""
    attributes = data.columns("train", "pair")["target.attributes"]
    return bool(((attributes == PRESENT) | (attributes == ABSENT)).any())

"""Uni-EHR: the record alone, by DDL-CXR's Transformer or MedFuse's LSTM (fusion-baselines 10).

With the LSTM it is MedFuse's first stage (7.2), whose ``record`` others begin with.

Shapes: B stays; T hours; D the width of the record; K labels.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from cxrfuture_data.settings import Settings
from train.fusion.record import LstmRecord, LstmSettings, TransformerSettings, mean_of_tokens
from train.fusion.seen import Answer, Seen, Shape, Target
from train.model.history import History
from train.settings import Positive


class UniEhrSettings(Settings):
    """``head_width``: of the layer before the last, after a Transformer; null: there is none."""

    name: Literal["uni_ehr"]
    record: Annotated[TransformerSettings | LstmSettings, Field(discriminator="encoder")]
    head_width: Positive | None


class UniEhr(nn.Module):
    """The mean of all tokens, CLS among them, or the last state; then a head."""

    losses: ClassVar[Sequence[str]] = ()
    modalities: ClassVar[Sequence[str]] = ()

    def __init__(self, settings: UniEhrSettings, shape: Shape) -> None:
        super().__init__()
        record, columns = settings.record, shape.hour_columns
        self.record: History | LstmRecord = (
            History(record, columns)
            if isinstance(record, TransformerSettings)
            else LstmRecord(record, columns)
        )
        self.head = build_head(record.width, settings.head_width, record.dropout, shape.labels)

    def forward(self, seen: Seen) -> Answer:
        found = self.record(seen.hours, seen.is_hour)  # (B, 1 + T, D) and (B, 1 + T), or (B, D)
        state = found if isinstance(found, Tensor) else mean_of_tokens(*found)  # (B, D)
        return Answer(self.head(state), {})

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """None of its own."""
        return {}


def build_head(width: int, between: int | None, dropout: float, labels: int) -> nn.Module:
    """(B, width) -> (B, K)."""
    if between is None:
        return nn.Linear(width, labels)
    return nn.Sequential(
        nn.Linear(width, between), nn.GELU(), nn.Dropout(dropout), nn.Linear(between, labels)
    )

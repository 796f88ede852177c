"""MedFuse: an LSTM reads the record's state, and then the film's if there is one.

Hayat and others, MLHC 2022; specs fusion-baselines 7. The encoders begin as those of two runs
(``start``): ``uni_cxr`` on findings of films, ``uni_ehr`` with the LSTM on the outcome itself;
nothing is frozen. What the published code has wrong is in its data and scripts (16b D1 to D4) or
its optimiser (D7), not in the model.

Shapes: B stays; C of the film's features, D of the record's; K labels.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from cxrfuture_data.settings import Settings
from train.fusion.film import FilmEncoder, FilmSettings
from train.fusion.record import LstmRecord, LstmSettings, last_state
from train.fusion.seen import Answer, Seen, Shape, Target
from train.settings import Positive


class MedFuseSettings(Settings):
    name: Literal["medfuse"]
    film: FilmSettings
    record: LstmSettings
    width: Positive  # of the LSTM that joins them


class MedFuse(nn.Module):
    """The film comes last, so a sequence of one is a stay without it."""

    losses: ClassVar[Sequence[str]] = ()
    modalities: ClassVar[Sequence[str]] = ()

    def __init__(self, settings: MedFuseSettings, shape: Shape) -> None:
        super().__init__()
        width = settings.record.width
        self.film = FilmEncoder(settings.film)
        self.record = LstmRecord(settings.record, shape.hour_columns)
        self.project = nn.Linear(settings.film.width, width)
        self.fusion = nn.LSTM(width, settings.width, batch_first=True)
        self.head = nn.Linear(settings.width, shape.labels)

    def forward(self, seen: Seen) -> Answer:
        film = self.project(self.film(seen.film, seen.has_film))  # (B, D)
        record = self.record(seen.hours, seen.is_hour)  # (B, D)
        states, _ = self.fusion(torch.stack([record, film], dim=1))  # (B, 2, width)
        state = last_state(states, 1 + seen.has_film.long())  # (B, width)
        return Answer(self.head(state), {})

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """None of its own."""
        return {}

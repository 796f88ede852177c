"""DAFT: the film shifts and scales what the record says of each hour (specs fusion-baselines 9).

Poelsterl and others, MICCAI 2021, with the roles as MedFuse's code has them, which is what the
papers compare with: the film changes the record's sequence. The film has no head of its own.

Which stage of the film's network speaks is where that network ends: four stages for mortality,
three for phenotypes. ``fidelity: published`` keeps two of that code's errors (16b D6): a sequence
is scaled by the scale, without "1 +", so that one near 0 silences the record; and the mean over
time counts padding. Without a film, which it never sees as published, a sequence stays as it is.

Shapes: B stays; T hours; C of the film's features, D of the record's; K labels.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from cxrfuture_data.settings import Settings
from train.fusion.film import FilmEncoder, FilmSettings
from train.fusion.record import LstmRecord, LstmSettings, mean_of_hours
from train.fusion.seen import Answer, Seen, Shape, Target
from train.settings import Fidelity


class DaftSettings(Settings):
    name: Literal["daft"]
    fidelity: Fidelity
    film: FilmSettings
    record: LstmSettings


class Daft(nn.Module):
    """The second LSTM reads the changed sequence."""

    losses: ClassVar[Sequence[str]] = ()
    modalities: ClassVar[Sequence[str]] = ()

    def __init__(self, settings: DaftSettings, shape: Shape) -> None:
        super().__init__()
        self.is_published = settings.fidelity == "published"
        channels, width = settings.film.width, settings.record.width
        self.film = FilmEncoder(settings.film)
        self.record = LstmRecord(settings.record, shape.hour_columns)
        self.squeeze = nn.Linear(channels + width, bottleneck(channels), bias=False)
        self.modulate = nn.Linear(bottleneck(channels), 2 * width, bias=False)
        self.head = nn.Linear(width, shape.labels)

    def forward(self, seen: Seen) -> Answer:
        film = self.film(seen.film, seen.has_film)  # (B, C)
        sequence = self.record.begin(seen.hours, seen.is_hour)  # (B, T, D)
        over_time = mean_of_hours(sequence, seen.is_hour, counts_padding=self.is_published)
        hidden = relu(self.squeeze(torch.cat([film, over_time], dim=1)))
        scale, shift = self.modulate(hidden)[:, None].chunk(2, dim=2)  # (B, 1, D) each
        changed = (scale if self.is_published else 1 + scale) * sequence + shift  # (B, T, D)
        sequence = torch.where(seen.has_film[:, None, None], changed, sequence)
        return Answer(self.head(self.record.finish(sequence, seen.is_hour)), {})

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """None of its own."""
        return {}


def bottleneck(channels: int) -> int:
    """11, 20, 38 and 75 after a ResNet-34's stages of 64, 128, 256 and 512 channels."""
    return (16 + channels) // 7

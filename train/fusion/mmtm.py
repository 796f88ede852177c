"""MMTM: film and record squeeze each other through gates (specs fusion-baselines 8).

Joze and others, CVPR 2020, as MedFuse's code adapts it: one module, after the last stage of the
film's network. There a gate on maps and a gate on their mean are the same, so it is on the mean.

``fidelity: published`` keeps three of that code's errors (16b D5, D6): the record's head trains the
film's network alone, for its optimiser held those weights; gates are a sigmoid, which can only
lower, without the original's factor of 2; and the mean over time counts padding. Not kept: three
passes with an Adam each (the three losses are added up), and the best of four heads (``joint`` is
the answer). The KL term, of weight 0 there, is left out. Without a film, which it never sees as
published, features and maps are 0, and the film's head has no loss.

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
from train.fusion.seen import Answer, Seen, Shape, Target, outcome_loss
from train.settings import Fidelity, Positive


class MmtmSettings(Settings):
    name: Literal["mmtm"]
    fidelity: Fidelity
    film: FilmSettings
    record: LstmSettings
    ratio: Positive  # the squeezed width is 2 (C + D) / ratio


class Gates(nn.Module):
    """The module itself: what both say, squeezed, weighs the channels of each."""

    def __init__(self, film: int, record: int, ratio: int) -> None:
        super().__init__()
        hidden = 2 * (film + record) // ratio
        self.squeeze = nn.Linear(film + record, hidden)
        self.film = nn.Linear(hidden, film)
        self.record = nn.Linear(hidden, record)

    def forward(self, film: Tensor, record: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C), (B, D) -> gates of the same shapes, in (0, 1)."""
        hidden = relu(self.squeeze(torch.cat([film, record], dim=1)))
        return self.film(hidden).sigmoid(), self.record(hidden).sigmoid()


class Mmtm(nn.Module):
    """``parts``: ``film`` (B, C) before the gates, ``film_logits`` and ``record_logits`` (B, K)."""

    losses: ClassVar[Sequence[str]] = ("film", "record")
    modalities: ClassVar[Sequence[str]] = ()

    def __init__(self, settings: MmtmSettings, shape: Shape) -> None:
        super().__init__()
        self.is_published = settings.fidelity == "published"
        channels, width = settings.film.width, settings.record.width
        self.film = FilmEncoder(settings.film)
        self.record = LstmRecord(settings.record, shape.hour_columns)
        self.gates = Gates(channels, width, settings.ratio)
        self.film_head = nn.Linear(channels, shape.labels)
        self.record_head = nn.Linear(width, shape.labels)
        self.widen = nn.Linear(width, channels)
        self.joint_head = nn.Linear(2 * channels, shape.labels)

    def forward(self, seen: Seen) -> Answer:
        """The joint head answers."""
        film = self.film(seen.film, seen.has_film)  # (B, C)
        sequence = self.record.begin(seen.hours, seen.is_hour)  # (B, T, D)
        over_time = mean_of_hours(sequence, seen.is_hour, counts_padding=self.is_published)
        film_gate, record_gate = self.gates(film, over_time)  # (B, C), (B, D)
        factor = 1 if self.is_published else 2
        gated = factor * film_gate * film  # (B, C)
        state = self.record.finish(factor * record_gate[:, None] * sequence, seen.is_hour)  # (B, D)
        joint = self.joint_head(torch.cat([self.widen(state), gated], dim=1))  # (B, K)
        return Answer(
            joint,
            {
                "film": film,
                "film_logits": self.film_head(gated),
                "record_logits": self.record_head(state),
            },
        )

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """The outcome's cost of each head alone."""
        parts = answer.parts
        film = outcome_loss(parts["film_logits"], target, seen.is_real & seen.has_film)
        record = outcome_loss(parts["record_logits"], target, seen.is_real)
        if self.is_published and record.requires_grad:
            record = _train_only(record, parts["film"])
        return {"film": film, "record": record}


def _train_only(loss: Tensor, features: Tensor) -> Tensor:
    """``loss``, whose gradient reaches weights through ``features`` and by no other way."""
    (gradient,) = torch.autograd.grad(loss, features, retain_graph=True)
    through = (features * gradient).sum()  # has that gradient, but another value
    # The other weights have a gradient of 0, on which ranks that average them rely.
    return loss.detach() + (through - through.detach()) + 0 * loss

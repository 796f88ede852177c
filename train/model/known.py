"""What is known before a film is taken or a prediction made, as tensors, and which of it a model is
told.

Shapes: B samples; C, h, w of a latent; T hours, F columns; E events, D of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from cxrfuture_data.batch import PairBatch, StayBatch

MODALITIES = ("previous", "hours", "events", "demographics")


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """Fields as in ``PairBatch``; the gap is part of the question, and always told.

    Times are since the previous film; of a stay whose film is not told, since its window's start.
    """

    previous: Tensor  # (B, C, h, w), standardised
    hours: Tensor  # (B, T, F)
    is_hour: Tensor  # (B, T)
    event: Tensor  # (B, E, D)
    is_event: Tensor  # (B, E)
    event_hours: Tensor  # (B, E)
    event_end_hours: Tensor  # (B, E)
    event_runs: Tensor  # (B, E)
    event_table: Tensor  # (B, E)
    window_start_hours: Tensor  # (B,), of hours and events; negative: the film lies in the window
    gap_hours: Tensor  # (B,), to the target or the prediction
    age: Tensor  # (B,)
    is_male: Tensor  # (B,)
    bmi: Tensor  # (B,)
    bmi_known: Tensor  # (B,)
    comorbidities: Tensor  # (B, 17)
    has_history: Tensor  # (B,)
    is_given: Tensor  # (B, 4) bool, in the order of MODALITIES: False is told as unknown

    @classmethod
    def of(
        cls, batch: PairBatch[Tensor] | StayBatch[Tensor], previous: Tensor, is_given: Tensor
    ) -> Self:
        """A batch's own fields; ``previous`` (B, C, h, w) is a draw or mean, standardised, and not
        given of a stay without a film."""
        made: dict[str, Tensor] = {"previous": previous}
        if isinstance(batch, PairBatch):  # its window begins with the previous film
            made["gap_hours"] = batch.gap_hours
            made["window_start_hours"] = torch.zeros_like(batch.gap_hours)
        else:
            has_film = is_given[:, MODALITIES.index("previous")] & batch.has_previous
            is_film = torch.tensor([name == "previous" for name in MODALITIES])
            is_given = torch.where(is_film, has_film[:, None], is_given)
            gap = torch.where(has_film, batch.hours_since_previous, batch.window_hours)
            made |= {"gap_hours": gap, "window_start_hours": gap - batch.window_hours}
        names = {field.name for field in fields(cls)} - made.keys() - {"is_given"}
        own = {name: getattr(batch, name) for name in names}
        return cls(is_given=is_given, **made, **own)

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self)}
        return type(self)(**moved)

    def repeat(self, times: int) -> Self:
        """The batch after itself, so many times."""
        rows = {}
        for field in fields(self):
            value = getattr(self, field.name)
            rows[field.name] = value.repeat(times, *[1] * (value.ndim - 1))
        return type(self)(**rows)

    def without(self, hidden: Sequence[str | None]) -> Self:
        """(len(hidden) * B) rows: the batch once a name, with that modality unknown; None: all as
        it is."""
        parts = []
        for name in hidden:
            is_given = self.is_given.clone()
            if name is not None:
                is_given[:, MODALITIES.index(name)] = False
            parts.append(is_given)
        return replace(self.repeat(len(hidden)), is_given=torch.cat(parts))

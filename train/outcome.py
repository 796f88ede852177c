"""What is predicted of a stay, and what is known of it.

Shapes: B stays (or N of a split), K labels of an outcome.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cxrfuture_data.batch import AnyBatch, ImageBatch, StayBatch
from cxrfuture_data.columns import Columns
from cxrfuture_data.labels import PRESENT
from cxrfuture_data.schema import FINDINGS, PHENOTYPES

OutcomeName: TypeAlias = Literal["mortality", "phenotypes", "findings", "all"]
DEATH = "In-hospital death"
# Of the time that is left in hospital, as questions that have a probability for an answer.
REMAINING_DAYS = (3, 7, 14)
ALL = (
    DEATH,
    *PHENOTYPES,
    "ICU transfer",
    "Readmission",
    *(f"More than {days} days to discharge" for days in REMAINING_DAYS),
)


class Wanted(NamedTuple):
    """(B, K) each, bool; what is not known is False in ``is_present``."""

    is_present: Tensor
    is_known: Tensor


@dataclass(frozen=True)
class Outcome:
    """``labels``: K names; ``wanted`` of a batch, and of columns (N, K) each as arrays."""

    name: OutcomeName
    kind: Literal["stay", "image"]
    labels: Sequence[str]
    wanted: Callable[[AnyBatch[Tensor]], Wanted]

    def of_columns(self, columns: Columns) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """is_present and is_known of every sample of a split, without reading a tar."""
        return _OF_COLUMNS[self.name](columns)


def _mortality(batch: AnyBatch[Tensor]) -> Wanted:
    assert isinstance(batch, StayBatch)
    return Wanted(batch.died[:, None], batch.died_known[:, None])


def _phenotypes(batch: AnyBatch[Tensor]) -> Wanted:
    assert isinstance(batch, StayBatch)
    is_known = batch.phenotypes_known[:, None].expand(batch.phenotypes.shape)
    return Wanted((batch.phenotypes == 1) & is_known, is_known)


def _findings(batch: AnyBatch[Tensor]) -> Wanted:
    # As all fusion papers do, uncertain and not mentioned count as absent (fusion-baselines 4.3).
    assert isinstance(batch, ImageBatch)
    is_present = (batch.labels == PRESENT) & batch.label_known
    return Wanted(is_present, torch.ones_like(is_present))


def _all(batch: AnyBatch[Tensor]) -> Wanted:
    assert isinstance(batch, StayBatch)
    death, phenotypes = _mortality(batch), _phenotypes(batch)
    over = [batch.remaining_hours > 24 * days for days in REMAINING_DAYS]
    present = [batch.icu_transfer, batch.readmitted, *over]
    known = [batch.icu_transfer_known, batch.readmitted_known]
    known += [batch.remaining_known] * len(over)
    is_present = torch.cat([death[0], phenotypes[0], torch.stack(present, 1)], dim=1)
    is_known = torch.cat([death[1], phenotypes[1], torch.stack(known, 1)], dim=1)
    return Wanted(is_present & is_known, is_known)


OUTCOMES: Mapping[str, Outcome] = {
    "mortality": Outcome("mortality", "stay", (DEATH,), _mortality),
    "phenotypes": Outcome("phenotypes", "stay", PHENOTYPES, _phenotypes),
    "findings": Outcome("findings", "image", FINDINGS, _findings),
    "all": Outcome("all", "stay", ALL, _all),
}

Flags = npt.NDArray[np.bool_]


def _columns_of_mortality(columns: Columns) -> tuple[Flags, Flags]:
    died = columns["died_in_hospital"][:, None]
    return died == 1, died >= 0


def _columns_of_phenotypes(columns: Columns) -> tuple[Flags, Flags]:
    said = columns["phenotypes"]
    return said == 1, said >= 0


def _columns_of_findings(columns: Columns) -> tuple[Flags, Flags]:
    is_present = (columns["image.labels"] == PRESENT) & columns["image.label_known"]
    return is_present, np.ones_like(is_present)


def _columns_of_all(columns: Columns) -> tuple[Flags, Flags]:
    parts = [_columns_of_mortality(columns), _columns_of_phenotypes(columns)]
    for name in ("icu_transfer", "readmitted"):
        said = columns[name][:, None]
        parts.append((said == 1, said >= 0))
    hours = columns["remaining_hours"][:, None]
    parts += [(hours > 24 * days, ~np.isnan(hours)) for days in REMAINING_DAYS]
    is_present = np.concatenate([present for present, _ in parts], axis=1)
    is_known = np.concatenate([known for _, known in parts], axis=1)
    return is_present & is_known, is_known


_OF_COLUMNS = {
    "mortality": _columns_of_mortality,
    "phenotypes": _columns_of_phenotypes,
    "findings": _columns_of_findings,
    "all": _columns_of_all,
}

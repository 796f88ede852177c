"""Findings told from films, scored a record: one pair and one label of it (specs ehrxdiff 10.3).

Shapes: N pairs, L labels, R records of a label. Records are in three subsets: *same* and *diff*,
by whether the target's label is the previous film's, and *all*.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cxrfuture_data.columns import Columns
from cxrfuture_data.labels import ABSENT, ATTRIBUTES, PRESENT
from cxrfuture_data.schema import FINDINGS, ContractError
from train.ranking import Ranking
from train.settings import Fidelity

Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

Subset: TypeAlias = Literal["all", "diff", "same"]
SUBSETS: tuple[Subset, ...] = ("all", "diff", "same")
LabelSet: TypeAlias = Literal["attributes", "findings"]


@dataclass(frozen=True, eq=False)
class Records:
    """(N, L) each. A label that is uncertain or not mentioned is not known, and False."""

    label_set: LabelSet
    is_present: Flags  # in the target
    is_known: Flags
    was_present: Flags  # in the previous film
    was_known: Flags

    @property
    def names(self) -> tuple[str, ...]:
        """The L labels."""
        return ATTRIBUTES if self.label_set == "attributes" else tuple(FINDINGS)

    def subset(self, name: Subset, fidelity: Fidelity) -> Flags:
        """(N, L): the records of a subset.

        As published, a previous label that is not known counts as absent, which moves findings that
        no report mentions into *diff* or *same* (12.3); corrected, its record is in *all* only.
        """
        if name == "all":
            return self.is_known
        is_compared = self.is_known & (self.was_known | (fidelity == "published"))
        differs = self.is_present != self.was_present
        return is_compared & (differs if name == "diff" else ~differs)


def read_records(columns: Columns) -> Records:
    """Those of pairs: the ten attributes of Chest ImaGenome where any is known, or 14 findings."""
    if np.isin(columns["target.attributes"], (PRESENT, ABSENT)).any():
        target, previous = columns["target.attributes"], columns["previous.attributes"]
        known, was_known = target >= 0, previous >= 0
        return Records("attributes", target == PRESENT, known, previous == PRESENT, was_known)
    found = []
    for role in ("target", "previous"):
        labels, is_mentioned = columns[f"{role}.labels"], columns[f"{role}.label_known"]
        is_known = is_mentioned & np.isin(labels, (PRESENT, ABSENT))
        found += [is_known & (labels == PRESENT), is_known]
    return Records("findings", *found)


class FindingScores:
    """Scores (N, L) of a row of the table; a metric of any rows of pairs by subset."""

    def __init__(
        self,
        scores: npt.NDArray[np.floating],
        records: Records,
        fidelity: Fidelity,
    ) -> None:
        if scores.shape != records.is_known.shape:
            expected = records.is_known.shape
            raise ContractError(f"findings: scores of {scores.shape}, records of {expected}")
        self.samples = len(scores)
        self.names = records.names
        self._rankings: dict[Subset, list[Ranking]] = {
            name: [
                Ranking.of(scores[:, label], records.is_present[:, label], chosen[:, label])
                for label in range(scores.shape[1])
            ]
            for name in SUBSETS
            for chosen in [records.subset(name, fidelity)]
        }

    def auroc(self, subset: Subset, rows: Rows | None = None) -> float:
        """The mean over labels that have both classes, weighted by their records; or NaN.

        rows: pairs, some of them several times; None: all pairs once.
        """
        found = self._ranked(subset, rows)
        kept = found[~np.isnan(found[:, 0])]
        return float(np.average(kept[:, 0], weights=kept[:, 1])) if len(kept) else float("nan")

    def by_label(self, subset: Subset) -> Mapping[str, tuple[float, int]]:
        """AUROC and records of each label."""
        found = self._ranked(subset, None).tolist()
        return {
            name: (value, int(count))
            for name, (value, count) in zip(self.names, found, strict=True)
        }

    def _ranked(self, subset: Subset, rows: Rows | None) -> npt.NDArray[np.float64]:
        """(L, 2): AUROC and records."""
        copies = np.ones(self.samples)
        if rows is not None:
            copies = np.bincount(rows, minlength=self.samples).astype(np.float64)
        found = [ranking.score(copies[:, None]) for ranking in self._rankings[subset]]
        return np.array([[ranked.auroc[0], ranked.samples[0]] for ranked in found])

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

    def subset(self, name: Subset, fidelity: Literal["corrected", "published"]) -> Flags:
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


@dataclass(frozen=True, eq=False)
class Ranking:
    """The R records of a label in the order of their scores: an AUROC of any of them, or of any
    numbers of copies of them, needs no other sort."""

    rows: Rows  # (R,) among the N
    is_present: npt.NDArray[np.float64]  # (R,)
    starts: Rows  # where runs of equal scores begin

    @classmethod
    def of(cls, scores: npt.NDArray[np.floating], is_present: Flags, chosen: Flags) -> "Ranking":
        """Of (N,) each; ``chosen`` are the records."""
        rows = np.flatnonzero(chosen)
        values = np.asarray(scores, np.float64)[rows]
        if not np.isfinite(values).all():
            raise ContractError("AUROC: a score is not finite; the model that gave it has diverged")
        order = np.argsort(values, kind="stable")
        rows, values = rows[order], values[order]
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        return cls(rows, is_present[rows].astype(np.float64), starts[: len(rows)])

    def auroc(self, copies: npt.NDArray[np.float64]) -> tuple[float, float]:
        """The AUROC, NaN where one class is missing, and how many records it is of.

        copies: (N,), how often each pair counts. The chance that a present finding has a higher
        score than an absent one; of equal scores one half.
        """
        if len(self.rows) == 0:
            return np.nan, 0.0
        weight = copies[self.rows]
        present = np.add.reduceat(weight * self.is_present, self.starts)
        absent = np.add.reduceat(weight, self.starts) - present
        below = np.cumsum(absent) - absent
        pairs = present.sum() * absent.sum()
        won = float((present * (below + absent / 2)).sum())
        return (won / pairs if pairs > 0 else np.nan), float(weight.sum())


class FindingScores:
    """Scores (N, L) of a row of the table; a metric of any rows of pairs by subset."""

    def __init__(
        self,
        scores: npt.NDArray[np.floating],
        records: Records,
        fidelity: Literal["corrected", "published"],
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
        copies = self._copies(rows)
        found = np.array([ranking.auroc(copies) for ranking in self._rankings[subset]])
        kept = found[~np.isnan(found[:, 0])]
        return float(np.average(kept[:, 0], weights=kept[:, 1])) if len(kept) else float("nan")

    def by_label(self, subset: Subset) -> Mapping[str, tuple[float, int]]:
        """AUROC and records of each label."""
        found = [ranking.auroc(self._copies(None)) for ranking in self._rankings[subset]]
        return {
            name: (value, int(count))
            for name, (value, count) in zip(self.names, found, strict=True)
        }

    def _copies(self, rows: Rows | None) -> npt.NDArray[np.float64]:
        if rows is None:
            return np.ones(self.samples)
        return np.bincount(rows, minlength=self.samples).astype(np.float64)


def one_auroc(scores: npt.NDArray[np.floating], is_present: Flags) -> float:
    """That of (N,) scores of one label; NaN where one class is missing."""
    ranking = Ranking.of(scores, is_present, np.ones(len(scores), np.bool_))
    return ranking.auroc(np.ones(len(scores)))[0]

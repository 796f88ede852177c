"""AUROC of findings on pairs where they changed, where they did not, and on all; by patients.

Shapes: N pairs, L findings. A record is a (pair, finding).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

SUBSETS = ("diff", "same", "all")
DRAWS, LEVEL = 1000, 0.95

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Records:
    """What was found on the two films (N, L), which records belong to each subset, and whose pairs
    they are."""

    was_present: Flags  # on the previous film
    is_present: Flags
    subsets: dict[str, Flags]
    patients: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, previous: Flags, target: Flags, known: Flags, patients: npt.NDArray[np.int64]
    ) -> "Records":
        """A record is of ``diff`` if its finding differs between the two films."""
        differs = previous != target
        subsets = {"diff": known & differs, "same": known & ~differs, "all": known}
        return cls(previous, target, subsets, patients)

    @cached_property
    def draws(self) -> npt.NDArray[np.float64]:
        """(DRAWS, N): how often each pair is taken when patients are drawn with replacement."""
        _, patient = np.unique(self.patients, return_inverse=True)
        count = patient.max() + 1
        random = np.random.default_rng(0)
        times = random.multinomial(count, np.full(count, 1 / count), DRAWS)
        return times[:, patient].astype(np.float64)


@dataclass(frozen=True)
class Score:
    """AUROC of a row on a subset, and of each draw of patients."""

    value: float
    draws: Array

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.draws)


def interval(draws: Array) -> tuple[float, float]:
    """The middle LEVEL of what the draws give."""
    kept = draws[~np.isnan(draws)]
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def score(answers: npt.NDArray[np.floating], records: Records, subset: str) -> Score:
    """``answers`` (N, L) of a row: the higher, the more present."""
    metric = mean_auroc(answers, records, subset)
    once = np.ones(len(records.patients))
    return Score(metric(once), np.array([metric(times) for times in records.draws]))


def mean_auroc(
    answers: npt.NDArray[np.floating], records: Records, subset: str
) -> Callable[[Array], float]:
    """Of how often each pair is taken (N,): the mean over findings that have both classes, weighted
    by their records."""
    chosen = records.subsets[subset]
    columns = [
        (
            np.flatnonzero(chosen[:, i]),
            answers[chosen[:, i], i],
            records.is_present[chosen[:, i], i],
        )
        for i in range(chosen.shape[1])
    ]
    ranked = [(rows, np.unique(found, return_inverse=True)[1], is_) for rows, found, is_ in columns]

    def metric(times: Array) -> float:
        total = weight = 0.0
        for rows, rank, is_present in ranked:
            value, records_taken = auroc(rank, is_present, times[rows])
            if not np.isnan(value):
                total, weight = total + value * records_taken, weight + records_taken
        return total / weight if weight else float("nan")

    return metric


def auroc(rank: npt.NDArray[np.int64], is_present: Flags, times: Array) -> tuple[float, float]:
    """Of ranks from 0, equal where answers are; and how many records that is. NaN of one class."""
    present = np.bincount(rank, times * is_present)
    absent = np.bincount(rank, times * ~is_present)
    pairs = present.sum() * absent.sum()
    if pairs == 0:
        return float("nan"), float(times.sum())
    below = np.cumsum(absent) - absent
    return float((present * (below + absent / 2)).sum() / pairs), float(times.sum())


def by_finding(
    answers: npt.NDArray[np.floating], records: Records, subset: str
) -> list[tuple[float | None, int, int]]:
    """AUROC (None: of one class), records, and how many are present, finding by finding."""
    found: list[tuple[float | None, int, int]] = []
    for i in range(records.is_present.shape[1]):
        chosen = records.subsets[subset][:, i]
        rank = np.unique(answers[chosen, i], return_inverse=True)[1]
        is_present = records.is_present[chosen, i]
        value, count = auroc(rank, is_present, np.ones(len(rank)))
        found.append((None if np.isnan(value) else value, int(count), int(is_present.sum())))
    return found

"""AUROC of findings on pairs where they changed, where they did not, and on all; by patients.

Shapes: N pairs, L findings. A record is a (pair, finding).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from train.ranking import Ranking

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
    rankings = rankings_of(answers, records, subset)
    once = np.ones((len(records.patients), 1))
    return Score(float(mean_auroc(rankings, once)[0]), mean_auroc(rankings, records.draws.T))


def mean_auroc(rankings: Sequence[Ranking], copies: Array) -> Array:
    """(D,) of how often each draw takes each pair (N, D): the mean over findings that have both
    classes, weighted by their records; NaN of none."""
    total, weight = np.zeros(copies.shape[1]), np.zeros(copies.shape[1])
    for ranking in rankings:
        found = ranking.score(copies)
        taken = np.where(np.isnan(found.auroc), 0, found.samples)
        total += np.nan_to_num(found.auroc) * taken
        weight += taken
    with np.errstate(invalid="ignore"):
        return total / weight


def rankings_of(answers: npt.NDArray[np.floating], records: Records, subset: str) -> list[Ranking]:
    """One a finding."""
    columns = zip(answers.T, records.is_present.T, records.subsets[subset].T, strict=True)
    return [Ranking.of(*column) for column in columns]


def by_finding(
    answers: npt.NDArray[np.floating], records: Records, subset: str
) -> list[tuple[float | None, int, int]]:
    """AUROC (None: of one class), records, and how many are present, finding by finding."""
    once = np.ones((len(records.patients), 1))
    found: list[tuple[float | None, int, int]] = []
    for ranking in rankings_of(answers, records, subset):
        ranked = ranking.score(once)
        value, count = float(ranked.auroc[0]), int(ranked.samples[0])
        found.append((None if np.isnan(value) else value, count, len(ranking.present)))
    return found

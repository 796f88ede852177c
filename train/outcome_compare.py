"""Models beside each other: differences over the same draws of patients, and average ranks.

Shapes: K labels, D draws, R rows.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from train.bootstrap import Interval

if TYPE_CHECKING:
    from train.outcome_score import Macro

Floats = npt.NDArray[np.float64]


def p_value(differences: Floats) -> float:
    """(D,) -> the two-sided share of draws beyond 0: twice the smaller of (draws of 0 or less + 1)
    and (draws of 0 or more + 1) over D + 1, at most 1; NaN of no draw."""
    kept = differences[~np.isnan(differences)]
    if len(kept) == 0:
        return float("nan")
    beyond = min((kept <= 0).sum(), (kept >= 0).sum())
    return float(min(2 * (beyond + 1) / (len(kept) + 1), 1.0))


def compare_rows(macros: Mapping[str, "Macro"]) -> list[dict[str, Any]]:
    """Each two rows: first minus second."""
    return [
        {"first": first, "second": second, **difference(macros[first], macros[second])}
        for first, second in combinations(macros, 2)
    ]


def difference(first: "Macro", second: "Macro") -> dict[str, float | None]:
    """Of the means over seeds, with its interval and p; null for no number."""
    drawn = first.drawn - second.drawn
    found = Interval.of(drawn)
    numbers = {
        "difference": float(first.of_seeds.mean() - second.of_seeds.mean()),
        "low": found.low,
        "high": found.high,
        "p": p_value(drawn),
    }
    return {name: value if np.isfinite(value) else None for name, value in numbers.items()}


def average_ranks(values: Mapping[str, Floats]) -> dict[str, float | None]:
    """Row -> (K,) of its labels, the larger the better: the mean over labels of the row's rank, 1
    the best, equal ones sharing the mean of theirs; labels that a row lacks are left out."""
    table = np.array(list(values.values()))  # (R, K)
    table = table[:, ~np.isnan(table).any(axis=0)]
    if table.size == 0:
        return dict.fromkeys(values)
    ranks = rankdata(-table, axis=0).mean(axis=1)
    return dict(zip(values, ranks.tolist(), strict=True))

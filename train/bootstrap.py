"""How sure a number is: intervals over patients, and spread over seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxrfuture_data.schema import ContractError

LEVEL = 0.95
Rows = npt.NDArray[np.int64]
Metric = Callable[[Rows], float]  # of chosen rows, some of them several times


@dataclass(frozen=True)
class Interval:
    """``left_out``: draws on which the metric has no value, such as those of one class."""

    low: float
    high: float
    left_out: int

    @classmethod
    def of(cls, values: npt.NDArray[np.float64], level: float = LEVEL) -> "Interval":
        """The percentiles of a metric's values on draws; without any value: NaN."""
        kept = values[~np.isnan(values)]
        if len(kept) == 0:
            return cls(np.nan, np.nan, len(values))
        low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
        return cls(float(low), float(high), len(values) - len(kept))


def interval(
    metric: Metric, groups: npt.ArrayLike, *, seed: int, draws: int, level: float = LEVEL
) -> Interval:
    """The percentile interval of a metric over draws of whole patients with replacement.

    ``groups`` (N,): the patient of each row. All rows of a patient are drawn together, because they
    are alike (specs ehrxdiff 12.3). The same seed and groups give the same draws, so the interval
    of a difference is that of a metric that subtracts. Without any value: NaN.
    """
    rows_of = _Groups.of(np.asarray(groups))
    random = np.random.default_rng(seed)
    values = np.array([metric(rows_of.draw(random)) for _ in range(draws)], np.float64)
    return Interval.of(values, level)


def draw_copies(groups: npt.ArrayLike, *, seed: int, draws: int) -> npt.NDArray[np.float32]:
    """(N,) -> (N, D): how often each row is in each of the draws that ``interval`` makes."""
    _, at = np.unique(np.asarray(groups), return_inverse=True)
    random = np.random.default_rng(seed)
    count = int(at.max(initial=-1)) + 1
    copies = [
        np.bincount(random.integers(count, size=count), minlength=count) for _ in range(draws)
    ]
    return np.array(copies, np.float32).reshape(draws, count).T[at]


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard deviation over n - 1: NaN of one seed."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), spread


@dataclass(frozen=True)
class _Groups:
    """The rows of G groups, those of a group side by side."""

    rows: Rows  # (N,)
    starts: Rows  # (G,), in rows
    counts: Rows  # (G,)

    @classmethod
    def of(cls, groups: npt.NDArray[np.generic]) -> "_Groups":
        if groups.ndim != 1 or len(groups) == 0:
            raise ContractError(f"bootstrap: groups of shape {groups.shape}; give one a row")
        _, at, counts = np.unique(groups, return_inverse=True, return_counts=True)
        return cls(np.argsort(at, kind="stable"), np.cumsum(counts) - counts, counts)

    def draw(self, random: np.random.Generator) -> Rows:
        """The rows of as many groups as there are, drawn with replacement."""
        chosen = random.integers(len(self.counts), size=len(self.counts))
        counts = self.counts[chosen]
        before = np.cumsum(counts) - counts
        within = np.arange(counts.sum()) - np.repeat(before, counts)
        return self.rows[np.repeat(self.starts[chosen], counts) + within]

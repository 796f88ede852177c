"""ROC and precision-recall curves on grids that all models share, so that they can be averaged.

Shapes: N samples, G points of a grid.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

GRID = np.linspace(0, 1, 51)


class Curves(NamedTuple):
    """(G,) each: the true positive rate at each false one, the precision at each recall."""

    roc: npt.NDArray[np.float64]
    pr: npt.NDArray[np.float64]


def curves_of(scores: Floats, is_present: Flags, grid: Floats = GRID) -> Curves:
    """Of (N,) each with both classes.

    A rate between two thresholds is on the line between them, and the highest where several have
    one false positive rate. A precision is that of the first threshold with as much recall: as
    average precision sums it, without a line.
    """
    order = np.argsort(-scores, kind="stable")
    values = scores[order]
    ends = np.flatnonzero(np.append(values[1:] != values[:-1], True))  # of runs of equal scores
    found = np.cumsum(is_present[order])[ends]
    wrong = ends + 1 - found

    true_rate = np.concatenate([[0.0], found / found[-1]])
    false_rate = np.concatenate([[0.0], wrong / wrong[-1]])
    last = np.flatnonzero(np.append(false_rate[1:] != false_rate[:-1], True))
    first = np.searchsorted(false_rate, false_rate[last])
    # A line goes from the highest of one rate to the lowest of the next: both ends are given, the
    # second a hair to the left.
    x = np.stack([false_rate[first] - 1e-12, false_rate[last]], 1).ravel()
    y = np.stack([true_rate[first], true_rate[last]], 1).ravel()
    roc = np.interp(grid, x, y)

    at = np.searchsorted(found / found[-1], grid - 1e-12)
    return Curves(roc, (found / (found + wrong))[at])

"""What it is worth to act on a prediction: net benefit over thresholds of probability.

At a threshold t all with a probability of t or more are treated; a true positive is worth 1, a
false one costs t / (1 - t), as much as whoever acts at t says (Vickers and Elkin 2006):

    net benefit = tp / n - fp / n * t / (1 - t)

Shapes: N samples, T thresholds.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

THRESHOLDS = np.arange(1, 40) / 40


def net_benefit(
    probability: Floats, is_present: Flags, thresholds: Floats = THRESHOLDS
) -> npt.NDArray[np.float64]:
    """(N,) each -> (T,)."""
    is_treated = probability >= thresholds[:, None]  # (T, N)
    odds = thresholds / (1 - thresholds)
    return np.asarray((is_treated & is_present).mean(1) - (is_treated & ~is_present).mean(1) * odds)


def treat_all(is_present: Flags, thresholds: Floats = THRESHOLDS) -> npt.NDArray[np.float64]:
    """(N,) -> (T,): the net benefit of treating everyone; that of no one is 0."""
    share = is_present.mean()
    return np.asarray(share - (1 - share) * thresholds / (1 - thresholds))

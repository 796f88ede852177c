"""Whether a probability is the share of those who have the outcome: bins, their error, and Brier's.

ECE is the mean over samples of |mean probability - share with the outcome| of the sample's bin;
bins are of equal width. Brier's score is the mean of (probability - outcome)^2.

Shapes: N samples, D draws, Q bins.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

BINS = 10


def bin_of(probability: Floats, bins: int = BINS) -> Rows:
    """(N,) -> (N,): bin q is [q / Q, (q + 1) / Q), and 1 is in the last."""
    return np.minimum((probability * bins).astype(np.int64), bins - 1)


def calibration_error(
    probability: Floats, is_present: Flags, copies: Floats, bins: int = BINS
) -> Floats:
    """ECE of (N,) each on draws, copies (N, D) -> (D,)."""
    is_in = bin_of(probability, bins) == np.arange(bins)[:, None]  # (Q, N)
    excess = (is_in * (probability - is_present)).astype(copies.dtype)
    return np.abs(excess @ copies).sum(0) / copies.sum(0)


def brier(probability: Floats, is_present: Flags, copies: Floats) -> Floats:
    """Of (N,) each on draws, copies (N, D) -> (D,)."""
    squared = np.square(probability - is_present).astype(copies.dtype)
    return (squared @ copies) / copies.sum(0)


def reliability(
    probability: Floats, is_present: Flags, seeds: int = 1, bins: int = BINS
) -> list[dict[str, Any]]:
    """A dict a bin: its edges, how many are in it, their mean probability and the share with the
    outcome, null of none. ``seeds``: how often each stay is among the N, which ``stays`` is of one
    of them."""
    at = bin_of(probability, bins)
    count = np.bincount(at, minlength=bins)
    predicted = np.bincount(at, weights=probability, minlength=bins)
    observed = np.bincount(at, weights=is_present, minlength=bins)
    return [
        {
            "low": q / bins,
            "high": (q + 1) / bins,
            "stays": round(count[q] / seeds),
            "predicted": float(predicted[q] / count[q]) if count[q] else None,
            "observed": float(observed[q] / count[q]) if count[q] else None,
        }
        for q in range(bins)
    ]

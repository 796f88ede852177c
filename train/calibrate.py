"""Probabilities that mean what they say: Platt's scaling, fitted on validation stays.

Class weights teach a model to overstate what is rare. sigmoid(slope * logit + offset), of each
label its own two numbers, undoes that without changing any order. Platt 1999; his targets, which
keep a fit of few stays finite, are (positives + 1) / (positives + 2) and 1 / (negatives + 2).

Shapes: N stays, K labels.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
ROUNDS = 100
LEAST = 1e-10  # of a change that is still followed


class Platt(NamedTuple):
    slope: Floats  # (K,)
    offset: Floats  # (K,)

    def probability(self, logits: npt.NDArray[np.floating]) -> Floats:
        """(N, K) logits -> (N, K)."""
        return _sigmoid(logits.astype(np.float64) * self.slope + self.offset)


def fit_platt(logits: npt.NDArray[np.floating], is_present: Flags, is_known: Flags) -> Platt:
    """(N, K) each. A label of which one class is missing keeps its probabilities."""
    labels = logits.shape[1]
    slope, offset = np.ones(labels), np.zeros(labels)
    for label in range(labels):
        known = is_known[:, label]
        present = is_present[known, label]
        if present.any() and not present.all():
            slope[label], offset[label] = _fit(logits[known, label].astype(np.float64), present)
    return Platt(slope, offset)


def _fit(logits: Floats, is_present: Flags) -> tuple[float, float]:
    """Newton's method on a convex loss of two numbers; a step that does not help is halved."""
    positives = int(is_present.sum())
    negatives = len(is_present) - positives
    wanted = np.where(is_present, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, spread = logits.mean(), logits.std() or 1.0
    scaled = np.stack([(logits - centre) / spread, np.ones(len(logits))])  # (2, N)
    at = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    cost = _cost(at, scaled, wanted)
    for _ in range(ROUNDS):
        told = _sigmoid(at @ scaled)
        gradient = scaled @ (told - wanted)
        curvature = (scaled * (told * (1 - told))) @ scaled.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (tried := _cost(at - step, scaled, wanted)) > cost and np.abs(step).max() > LEAST:
            step /= 2
        at, before, cost = at - step, cost, min(tried, cost)
        if before - cost < LEAST * len(logits):
            break
    slope = at[0] / spread
    return float(slope), float(at[1] - slope * centre)


def _cost(at: Floats, scaled: Floats, wanted: Floats) -> float:
    value = at @ scaled
    return float((np.logaddexp(0, value) - wanted * value).sum())


def _sigmoid(value: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -value))

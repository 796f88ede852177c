"""How well scores tell those with an outcome from those without: as scikit-learn counts it.

Shapes: N stays, K labels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from train.ranking import Ranked, Ranking

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]
RANKED = ("auprc", "auroc")  # what ``macro`` gives; more is better


def auroc(scores: Floats, is_present: Flags) -> float:
    """Of (N,) each: the chance that one with the outcome scores higher than one without, of equal
    scores one half; NaN where one class is missing."""
    return float(_ranked(scores, is_present).auroc[0])


def auprc(scores: Floats, is_present: Flags) -> float:
    """Of (N,) each: average precision, the mean over those with the outcome of the precision at
    their score (sklearn's average_precision_score); NaN without any."""
    return float(_ranked(scores, is_present).auprc[0])


def macro(scores: Floats, is_present: Flags, is_known: Flags) -> dict[str, float]:
    """Of (N, K) each: the plain mean over the labels that have both classes; NaN of none."""
    found: dict[str, list[float]] = {name: [] for name in RANKED}
    for label in range(scores.shape[1]):
        known = is_known[:, label]
        one, present = scores[known, label], is_present[known, label]
        if present.any() and not present.all():
            ranked = _ranked(one, present)
            for name in RANKED:
                found[name].append(float(getattr(ranked, name)[0]))
    return {name: float(np.mean(values)) if values else np.nan for name, values in found.items()}


def _ranked(scores: Floats, is_present: Flags) -> Ranked:
    ranking = Ranking.of(scores, is_present, np.ones(len(scores), np.bool_))
    return ranking.score(np.ones((len(scores), 1)))

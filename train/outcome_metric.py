"""How well scores tell those with an outcome from those without: as scikit-learn counts it.

Shapes: N stays, K labels.
"""

import numpy as np
import numpy.typing as npt

SCORES = ("auprc", "auroc")  # what ``macro`` gives; more is better

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


def auroc(scores: Floats, is_present: Flags) -> float:
    """Of (N,) each: the chance that one with the outcome scores higher than one without, of equal
    scores one half; NaN where one class is missing."""
    present, absent = _counts(scores, is_present)
    pairs = present.sum() * absent.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(absent) - absent
    return float((present * (below + absent / 2)).sum() / pairs)


def auprc(scores: Floats, is_present: Flags) -> float:
    """Of (N,) each: average precision, the mean over those with the outcome of the precision at
    their score (sklearn's average_precision_score); NaN without any."""
    present, absent = _counts(scores, is_present)
    found, wrong = np.cumsum(present[::-1]), np.cumsum(absent[::-1])
    if len(found) == 0 or found[-1] == 0:
        return float("nan")
    return float((present[::-1] * found / (found + wrong)).sum() / found[-1])


def macro(scores: Floats, is_present: Flags, is_known: Flags) -> dict[str, float]:
    """Of (N, K) each: the plain mean over the labels that have both classes; NaN of none."""
    found: dict[str, list[float]] = {name: [] for name in SCORES}
    for label in range(scores.shape[1]):
        known = is_known[:, label]
        one, present = scores[known, label], is_present[known, label]
        if present.any() and not present.all():
            found["auprc"].append(auprc(one, present))
            found["auroc"].append(auroc(one, present))
    return {name: float(np.mean(values)) if values else np.nan for name, values in found.items()}


def _counts(scores: Floats, is_present: Flags) -> tuple[Floats, Floats]:
    """How many with and without the outcome have each distinct score, lowest first."""
    _, at = np.unique(scores, return_inverse=True)
    present = np.bincount(at, weights=is_present).astype(np.float64)
    return present, np.bincount(at).astype(np.float64) - present

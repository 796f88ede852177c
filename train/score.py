"""The numbers of a row of an evaluation, from what it says of each pair.

Shapes: N pairs, L labels, F features, K numbers of a latent.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from train.bootstrap import Interval, Metric, Rows, interval, over_seeds
from train.finding_auroc import SUBSETS, FindingScores, Records
from train.frechet import frechet_distance
from train.outcome_metric import auroc
from train.settings import Fidelity
from train.transport import transport_cost

Floats = npt.NDArray[np.floating]

# Resampling repeats films, which by itself changes how far two sets are apart: no interval.
DISTANCES = ("fid", "fd", "wd")
RESAMPLED = ("auroc_all", "auroc_diff", "auroc_same", "age_r", "sex_auroc")
COLUMNS = (*DISTANCES, *RESAMPLED)


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """What a row says of N pairs, in the order of their keys; None where it says nothing."""

    labels: Floats | None = None  # (N, L)
    age: Floats | None = None  # (N,) years
    is_male: Floats | None = None  # (N,)
    features: Floats | None = None  # (N, F)
    latents: Floats | None = None  # (N, K)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the N pairs; ``target`` holds features and latents of real targets."""

    records: Records
    fidelity: Fidelity
    age: Floats
    is_male: npt.NDArray[np.bool_]
    patients: npt.NDArray[np.int64]
    target: Answer


@dataclass(frozen=True)
class Sampling:
    """Of intervals."""

    draws: int
    seed: int


def score(answers: Sequence[Answer], truth: Truth, sampling: Sampling) -> dict[str, Any]:
    """Every column that the answers, one a seed, give: see ``_cell``."""
    cells: dict[str, Any] = {}
    for name, values in _distances(answers, truth).items():
        cells[name] = make_cell(values, None)
    metrics = [metrics_of(answer, truth) for answer in answers]
    everyone = np.arange(len(truth.patients))
    for name in metrics[0]:
        values = [found[name](everyone) for found in metrics]
        cells[name] = make_cell(values, _interval_of(_mean(metrics, name), truth, sampling))
    return cells


def compare(
    answers: Sequence[Answer], others: Sequence[Answer], truth: Truth, sampling: Sampling
) -> dict[str, Any]:
    """The differences of two rows' resampled columns, each over the same draws of patients."""
    metrics = [metrics_of(answer, truth) for answer in answers]
    less = [metrics_of(answer, truth) for answer in others]
    everyone = np.arange(len(truth.patients))
    cells = {}
    for name in metrics[0].keys() & less[0].keys():
        first, second = _mean(metrics, name), _mean(less, name)
        difference = partial(_difference, first, second)
        found = _interval_of(difference, truth, sampling)
        cells[name] = make_cell([difference(everyone)], found)
    return cells


def metrics_of(answer: Answer, truth: Truth) -> dict[str, Metric]:
    """By column: a number from rows of pairs."""
    found: dict[str, Metric] = {}
    if answer.labels is not None:
        scores = FindingScores(answer.labels, truth.records, truth.fidelity)
        found |= {f"auroc_{subset}": partial(scores.auroc, subset) for subset in SUBSETS}
    if answer.age is not None:
        found["age_r"] = partial(_correlation, answer.age, truth.age)
    if answer.is_male is not None:
        found["sex_auroc"] = partial(_sex_auroc, answer.is_male, truth.is_male)
    return found


def _distances(answers: Sequence[Answer], truth: Truth) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for answer in answers:
        if answer.features is not None and truth.target.features is not None:
            distance = frechet_distance(answer.features, truth.target.features)
            found.setdefault("fid", []).append(distance)
        if answer.latents is not None and truth.target.latents is not None:
            pair = answer.latents, truth.target.latents
            found.setdefault("fd", []).append(frechet_distance(*pair))
            found.setdefault("wd", []).append(transport_cost(*pair))
    return found


def _correlation(predicted: Floats, age: Floats, rows: Rows) -> float:
    one, other = predicted[rows], age[rows]
    # Of numbers that are all alike a mean in floating point is off by a last digit.
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def _sex_auroc(predicted: Floats, is_male: npt.NDArray[np.bool_], rows: Rows) -> float:
    return auroc(predicted[rows], is_male[rows])


def _mean(metrics: Sequence[Mapping[str, Metric]], name: str) -> Metric:
    """The mean over seeds, as a metric of its own."""

    def mean(rows: Rows) -> float:
        return float(np.mean([found[name](rows) for found in metrics]))

    return mean


def _difference(first: Metric, second: Metric, rows: Rows) -> float:
    return first(rows) - second(rows)


def _interval_of(metric: Metric, truth: Truth, sampling: Sampling) -> Interval | None:
    if sampling.draws == 0:
        return None
    return interval(metric, truth.patients, seed=sampling.seed, draws=sampling.draws)


def make_cell(values: Sequence[float], found: Interval | None) -> dict[str, Any]:
    """Mean and deviation over seeds; an interval over patients of the mean; null for no number."""
    mean, deviation = over_seeds(values)
    cell: dict[str, Any] = {"value": _number(mean), "sd": _number(deviation), "seeds": len(values)}
    if found is not None:
        cell |= {"low": _number(found.low), "high": _number(found.high)}
        cell["draws_left_out"] = found.left_out
    return cell


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

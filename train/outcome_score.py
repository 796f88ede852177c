"""The numbers of a row of an evaluation of outcomes, from what it says of each stay.

Intervals are over draws of whole patients, the same for all rows, of the mean over seeds.

Shapes: S seeds, N stays, K labels, D draws, G points of a curve.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxrfuture_data.sample import Array
from train.bootstrap import Interval
from train.decision_curve import THRESHOLDS, net_benefit, treat_all
from train.outcome_curve import GRID, curves_of
from train.outcome_groups import Groups
from train.outcome_metric import RANKED
from train.outcome_rows import Answers
from train.ranking import Ranking
from train.reliability import brier, calibration_error, reliability
from train.score import make_cell

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the N stays; ``copies``: how often each is in each draw."""

    labels: Sequence[str]  # K
    is_present: Flags  # (N, K)
    is_known: Flags  # (N, K)
    copies: npt.NDArray[np.float32]  # (N, D)
    groups: Groups

    def positives(self, chosen: Flags | None = None) -> Array:
        """(K,): how many of the chosen have each label."""
        present = self.is_present & self.is_known
        return np.asarray(present[slice(None) if chosen is None else chosen].sum(0))

    def known(self, chosen: Flags | None = None) -> Array:
        """(K,): of how many of the chosen it is known."""
        return np.asarray(self.is_known[slice(None) if chosen is None else chosen].sum(0))

    def scored(self, chosen: Flags | None = None) -> list[int]:
        """The labels that have both classes among the chosen."""
        positives, known = self.positives(chosen), self.known(chosen)
        return np.flatnonzero((positives > 0) & (positives < known)).tolist()


@dataclass(frozen=True, eq=False)
class Values:
    """A metric of each label: of each seed, and on draws its mean over seeds; else NaN."""

    of_seeds: Floats  # (S, K)
    drawn: Floats  # (K, D)

    def macro(self) -> "Macro":
        """The plain mean over the labels that have both classes."""
        return Macro(_mean_of_known(self.of_seeds, 1), _mean_of_known(self.drawn, 0))

    def cell(self, label: int) -> dict[str, Any]:
        """Of one label."""
        return Macro(self.of_seeds[:, label], self.drawn[label]).cell()


@dataclass(frozen=True, eq=False)
class Macro:
    of_seeds: Floats  # (S,)
    drawn: Floats  # (D,)

    def cell(self) -> dict[str, Any]:
        """The mean over seeds, with its interval where there are draws."""
        found = Interval.of(self.drawn) if len(self.drawn) else None
        return make_cell(self.of_seeds.tolist(), found)


def rank_labels(answers: Answers, truth: Truth, chosen: Flags | None = None) -> dict[str, Values]:
    """AUPRC and AUROC of the chosen stays, or of all."""
    seeds, stays, labels = answers.logits.shape
    draws = truth.copies.shape[1]
    values = {name: np.full((seeds, labels), np.nan) for name in RANKED}
    drawn = {name: np.full((labels, draws), np.nan) for name in RANKED}
    once = np.ones((stays, 1))
    for label in truth.scored(chosen):
        counts = truth.is_known[:, label] if chosen is None else truth.is_known[:, label] & chosen
        for name in RANKED:
            drawn[name][label] = 0
        for seed in range(seeds):
            scores = answers.logits[seed, :, label]
            ranking = Ranking.of(scores, truth.is_present[:, label], counts)
            whole, parts = ranking.score(once), ranking.score(truth.copies)
            for name in RANKED:
                values[name][seed, label] = getattr(whole, name)[0]
                drawn[name][label] += getattr(parts, name) / seeds
        # Of a draw in which nobody is without the label there is no AUROC, so no AUPRC either.
        drawn["auprc"][label][np.isnan(drawn["auroc"][label])] = np.nan
    return {name: Values(values[name], drawn[name]) for name in RANKED}


def calibrate_labels(probability: Floats, truth: Truth) -> dict[str, Values]:
    """Brier's score and ECE of (S, N, K)."""
    seeds, labels = len(probability), len(truth.labels)
    metrics = {"brier": brier, "ece": calibration_error}
    values = {name: np.full((seeds, labels), np.nan) for name in metrics}
    drawn = {name: np.full((labels, truth.copies.shape[1]), np.nan) for name in metrics}
    for label in truth.scored():
        known = truth.is_known[:, label]
        present, copies = truth.is_present[known, label], truth.copies[known]
        for name, metric in metrics.items():
            one = [probability[seed, known, label] for seed in range(seeds)]
            once = np.ones((len(present), 1))
            values[name][:, label] = [metric(said, present, once)[0] for said in one]
            with np.errstate(invalid="ignore"):
                drawn[name][label] = np.mean([metric(said, present, copies) for said in one], 0)
    return {name: Values(values[name], drawn[name]) for name in metrics}


def describe_row(answers: Answers, truth: Truth, ranked: Mapping[str, Values]) -> dict[str, Any]:
    """What outcomes.json holds of a row and an outcome; ``ranked`` as rank_labels gives it."""
    cells = {name: values.macro().cell() for name, values in ranked.items()}
    for suffix, probability in _probabilities(answers):
        for name, values in calibrate_labels(probability, truth).items():
            cells[name + suffix] = values.macro().cell()
    return {
        "runs": [run.facts() for run in answers.runs],
        "settings": dict(answers.settings),
        "cells": cells,
        "labels": {
            name: {metric: values.cell(label) for metric, values in ranked.items()}
            | {"stays": int(truth.known()[label]), "positives": int(truth.positives()[label])}
            for label, name in enumerate(truth.labels)
        },
        "groups": {
            grouping: {name: _group_cells(answers, truth, chosen) for name, chosen in of.items()}
            for grouping, of in truth.groups.items()
        },
        **_describe_labels(answers, truth),
        "attention": _attention(answers),
    }


def _probabilities(answers: Answers) -> list[tuple[str, Array]]:
    return [("", answers.probability), ("_uncalibrated", answers.uncalibrated)]


def _group_cells(answers: Answers, truth: Truth, chosen: Flags) -> dict[str, Any]:
    found = rank_labels(answers, truth, chosen)
    return {name: values.macro().cell() for name, values in found.items()}


def _describe_labels(answers: Answers, truth: Truth) -> dict[str, Any]:
    """Curves, bins and net benefit of each label that has both classes: of a label's curves and
    benefits the means over seeds, and of its bins the stays of all seeds together."""
    found: dict[str, dict[str, Any]] = {
        name: {} for name in ("curves", "reliability", "reliability_uncalibrated", "decision")
    }
    seeds = len(answers.logits)
    for label in truth.scored():
        name, known = truth.labels[label], truth.is_known[:, label]
        present = truth.is_present[known, label]
        curves = [curves_of(logits[known, label], present) for logits in answers.logits]
        found["curves"][name] = {
            kind: _points(GRID, np.mean([getattr(curve, kind) for curve in curves], 0))
            for kind in ("roc", "pr")
        }
        for suffix, probability in _probabilities(answers):
            said = probability[:, known, label].ravel()  # (S N,)
            bins = reliability(said, np.tile(present, seeds), seeds)
            found["reliability" + suffix][name] = bins
        benefit = np.mean(
            [net_benefit(said[known, label], present) for said in answers.probability], 0
        )
        everyone = treat_all(present)
        found["decision"][name] = [
            {"threshold": float(at), "net_benefit": float(one), "treat_all": float(other)}
            for at, one, other in zip(THRESHOLDS, benefit, everyone, strict=True)
        ]
    return found


def _points(x: Array, y: Array) -> list[list[float]]:
    return np.round(np.stack([x, y], 1), 6).tolist()


def _attention(answers: Answers) -> dict[str, Any] | None:
    """The mean over seeds and stays; None also of weights that are not numbers."""
    if answers.attention is None:
        return None
    mean = answers.attention.mean((0, 1), dtype=np.float64)
    if not np.isfinite(mean).all():
        return None
    return {"names": list(answers.modalities), "mean": mean.tolist()}


def _mean_of_known(values: Floats, axis: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing: NaN
        return np.asarray(np.nanmean(values, axis=axis))

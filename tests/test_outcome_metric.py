"""Metrics of outcomes: equal to scikit-learn's on a grid with ties, or to sums by hand."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    roc_auc_score,
    roc_curve,
)

from cxrfuture_data.schema import ContractError
from train.bootstrap import draw_copies, interval
from train.decision_curve import net_benefit, treat_all
from train.outcome_curve import GRID, curves_of
from train.outcome_metric import auprc, auroc, macro
from train.ranking import Ranking
from train.reliability import brier, calibration_error, reliability

LEVELS = (2, 5, 10**6)  # of scores: with many ties, few and none


def drawn_scores(samples, levels, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(levels, size=samples) / levels, random.random(samples) < 0.4


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("samples", [4, 30, 300])
def test_ranked_metrics_are_scikit_learns(levels, samples):
    for seed in range(10):
        scores, present = drawn_scores(samples, levels, seed)
        if 0 < present.sum() < samples:
            assert auroc(scores, present) == pytest.approx(
                roc_auc_score(present, scores), abs=1e-12
            )
            expected = average_precision_score(present, scores)
            assert auprc(scores, present) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("draws", [1, 40])  # few and many take different ways
def test_copies_are_repeated_samples(levels, draws):
    scores, present = drawn_scores(30, levels)
    copies = np.random.default_rng(1).integers(3, size=(30, draws)).astype(np.float64)
    ranked = Ranking.of(scores, present, np.ones(30, bool)).score(copies)
    for draw in range(draws):
        rows = np.repeat(np.arange(30), copies[:, draw].astype(int))
        given = present[rows], scores[rows]
        assert ranked.samples[draw] == len(rows)
        assert ranked.auroc[draw] == pytest.approx(roc_auc_score(*given), abs=1e-12)
        assert ranked.auprc[draw] == pytest.approx(average_precision_score(*given), abs=1e-12)


def test_parts_of_draws_are_the_whole(monkeypatch):
    scores, present = drawn_scores(50, 9)
    copies = np.random.default_rng(1).integers(3, size=(50, 70)).astype(np.float32)
    ranking = Ranking.of(scores, present, np.ones(50, bool))
    whole = ranking.score(copies)
    monkeypatch.setattr("train.ranking.CELLS_AT_ONCE", 50 * 17)
    np.testing.assert_array_equal(ranking.score(copies), whole)


def test_one_class_has_no_auroc():
    assert np.isnan(auroc(np.array([0.1, 0.2]), np.array([True, True])))
    assert np.isnan(auroc(np.array([0.1, 0.2]), np.array([False, False])))
    assert np.isnan(auprc(np.array([0.1, 0.2]), np.array([False, False])))
    assert auprc(np.array([0.1, 0.2]), np.array([True, True])) == 1
    with pytest.raises(ContractError, match="not finite"):
        auroc(np.array([np.nan, 0.2]), np.array([True, False]))


def test_ties_count_half():
    present = np.array([True, True, False, False])
    assert auroc(np.array([2.0, 1.0, 1.0, 0.0]), present) == 3.5 / 4
    assert auroc(np.zeros(4), present) == 0.5


def test_the_macro_mean_is_of_known_labels_with_both_classes():
    scores = np.array([[4.0, 1, 1], [3, 2, 2], [2, 3, 3], [1, 4, 4]])
    present = np.array([[1, 1, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]], bool)
    known = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 0, 1]], bool)
    found = macro(scores, present, known)
    assert found["auroc"] == (3 / 4 + 0) / 2
    assert found["auprc"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 3) / 2)


def test_draws_are_those_of_the_interval():
    patients = np.array([7, 7, 3, 5, 5, 5, 9])
    values = np.arange(7.0)
    copies = draw_copies(patients, seed=4, draws=50)
    means = (values @ copies) / copies.sum(0)
    found = interval(lambda rows: float(values[rows].mean()), patients, seed=4, draws=50)
    expected = np.quantile(means, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(copies[0], copies[1])
    np.testing.assert_array_equal(copies[3], copies[5])
    np.testing.assert_array_equal(copies[[0, 2, 3, 6]].sum(0), 4)


def test_calibration_by_hand():
    """Bins of a half: .2, .4 with 1 of 2; .5, .9, 1 with 2 of 3."""
    said = np.array([0.2, 0.4, 0.5, 0.9, 1.0])
    present = np.array([True, False, False, True, True])
    low, high = reliability(said, present, bins=2)
    assert (low["low"], low["high"], low["stays"], low["observed"]) == (0, 0.5, 2, 0.5)
    assert low["predicted"] == pytest.approx(0.3)
    assert (high["low"], high["high"], high["stays"]) == (0.5, 1, 3)
    assert high["predicted"] == pytest.approx(0.8)
    assert high["observed"] == pytest.approx(2 / 3)
    once = np.ones((5, 1))
    error = 2 / 5 * 0.2 + 3 / 5 * (0.8 - 2 / 3)
    assert calibration_error(said, present, once, bins=2) == pytest.approx([error])
    assert brier(said, present, once) == pytest.approx([brier_score_loss(present, said)])
    twice = np.array([[2.0], [0], [0], [0], [1]])
    assert brier(said, present, twice) == pytest.approx([2 * 0.64 / 3])


def test_empty_bins_have_no_number():
    found = reliability(np.array([0.05, 0.05]), np.array([True, False]), seeds=2)
    assert found[0] == {"low": 0, "high": 0.1, "stays": 1, "predicted": 0.05, "observed": 0.5}
    assert all(bin["stays"] == 0 and bin["observed"] is None for bin in found[1:])


def test_net_benefit_by_hand():
    said = np.array([0.1, 0.2, 0.3, 0.9])
    present = np.array([False, False, True, True])
    at = np.array([0.2, 0.5])
    assert net_benefit(said, present, at) == pytest.approx([2 / 4 - 1 / 4 * 0.25, 1 / 4])
    assert treat_all(present, at) == pytest.approx([2 / 4 - 2 / 4 * 0.25, 0])
    assert net_benefit(np.ones(4), present, at) == pytest.approx(treat_all(present, at))


@pytest.mark.parametrize("levels", LEVELS)
def test_curves_are_scikit_learns(levels):
    scores, present = drawn_scores(200, levels)
    found = curves_of(scores, present)
    false_rate, true_rate, _ = roc_curve(present, scores, drop_intermediate=False)
    assert found.roc == pytest.approx(np.interp(GRID, false_rate, true_rate), abs=1e-9)
    for recall, precision in zip(GRID, found.pr, strict=True):
        for threshold in sorted(set(scores), reverse=True):
            chosen = scores >= threshold
            if present[chosen].sum() >= recall * present.sum() - 1e-9:
                assert precision == pytest.approx(present[chosen].mean())
                break


def test_a_perfect_model_has_perfect_curves():
    found = curves_of(np.array([4.0, 3, 2, 1]), np.array([True, True, False, False]))
    np.testing.assert_array_equal(found.roc, 1)
    np.testing.assert_array_equal(found.pr, 1)

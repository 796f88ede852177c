"""Platt's scaling against scikit-learn's logistic regression, and what it must not change."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from train.calibrate import Platt, fit_platt


def drawn(seed, stays, slope, offset):
    """(N, 1) logits, and labels that follow sigmoid(slope * logit + offset)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (stays, 1))
    chance = 1 / (1 + np.exp(-(slope * logits + offset)))
    return logits, random.random((stays, 1)) < chance


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.3, -2.0), (3.0, 1.0), (-0.5, 0.0)])
def test_it_is_the_logistic_regression_of_platts_targets(slope, offset):
    logits, is_present = drawn(1, 300, slope, offset)
    found = fit_platt(logits, is_present, np.ones_like(is_present))
    positives, negatives = is_present.sum(), (~is_present).sum()
    target = np.where(is_present, (positives + 1) / (positives + 2), 1 / (negatives + 2))[:, 0]
    # A target between 0 and 1 is a stay of each class, weighted.
    both = np.concatenate([np.ones(300), np.zeros(300)])
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    weights = np.concatenate([target, 1 - target])
    model.fit(np.concatenate([logits, logits]), both, sample_weight=weights)
    assert found.slope[0] == pytest.approx(model.coef_[0, 0], abs=1e-4)
    assert found.offset[0] == pytest.approx(model.intercept_[0], abs=1e-4)


def test_many_stays_give_the_truth():
    logits, is_present = drawn(2, 100_000, 0.4, -1.5)
    found = fit_platt(logits, is_present, np.ones_like(is_present))
    assert found.slope[0] == pytest.approx(0.4, abs=0.02)
    assert found.offset[0] == pytest.approx(-1.5, abs=0.03)
    assert found.probability(logits).mean() == pytest.approx(is_present.mean(), abs=1e-4)


def test_labels_are_fitted_alone_and_unknown_ones_left_out():
    logits, is_present = drawn(3, 200, 1.0, 0.0)
    junk = np.full((50, 1), 9.0)
    more = np.concatenate([logits, junk])
    present = np.concatenate([is_present, np.zeros_like(junk, bool)])
    known = np.concatenate([np.ones_like(is_present), np.zeros_like(junk, bool)])
    alone = fit_platt(logits, is_present, np.ones_like(is_present))
    other = fit_platt(np.hstack([more, -more]), np.hstack([present] * 2), np.hstack([known] * 2))
    assert other.slope == pytest.approx([alone.slope[0], -alone.slope[0]], abs=1e-6)


@pytest.mark.parametrize("value", [False, True])
def test_a_label_of_one_class_keeps_its_probabilities(value):
    logits = np.array([[3.0], [-1.0]])
    found = fit_platt(logits, np.full((2, 1), value), np.ones((2, 1), bool))
    assert found == Platt(np.ones(1), np.zeros(1))


def test_a_perfect_split_and_equal_logits_stay_finite():
    logits = np.array([[-1e4]] * 5 + [[1e4]] * 5)
    found = fit_platt(logits, logits > 0, np.ones((10, 1), bool))
    assert np.isfinite([*found.slope, *found.offset]).all()
    assert found.probability(logits)[[0, -1], 0] == pytest.approx([1 / 7, 6 / 7], abs=1e-6)
    same = fit_platt(np.zeros((10, 1)), logits > 0, np.ones((10, 1), bool))
    assert same.probability(np.zeros((1, 1)))[0, 0] == pytest.approx(0.5)

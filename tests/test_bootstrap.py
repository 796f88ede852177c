"""Intervals over patients, and spread over seeds."""

import math

import numpy as np
import pytest

from cxrfuture_data.schema import ContractError
from train.bootstrap import interval, over_seeds

PATIENTS = np.array([7, 7, 3, 3, 3, 9])


def test_rows_of_a_patient_are_drawn_together():
    """Each draw holds three patients, and a drawn patient's rows as often as the patient."""
    seen = []

    def metric(rows):
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[1]
        assert counts[2] == counts[3] == counts[4]
        assert counts[0] + counts[2] + counts[5] == 3
        seen.append(tuple(counts))
        return 0.0

    interval(metric, PATIENTS, seed=0, draws=200)
    assert len(set(seen)) == 10  # all multisets of three of three patients


def test_one_patient_has_an_interval_of_no_width():
    values = np.array([1.0, 2.0, 6.0])
    found = interval(lambda rows: values[rows].mean(), ["a", "a", "a"], seed=0, draws=20)
    assert (found.low, found.high, found.left_out) == (3.0, 3.0, 0)


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    """400 patients of one row: the standard error is 1 / 20."""
    values = np.random.default_rng(0).normal(size=400)
    values = (values - values.mean()) / values.std()
    found = interval(lambda rows: values[rows].mean(), np.arange(400), seed=0, draws=4000)
    assert found.low == pytest.approx(-1.96 / 20, abs=0.006)
    assert found.high == pytest.approx(1.96 / 20, abs=0.006)


def test_copies_of_rows_do_not_narrow_it():
    values = np.random.default_rng(0).normal(size=50)
    once = interval(lambda rows: values[rows].mean(), np.arange(50), seed=1, draws=300)
    tenfold, groups = np.repeat(values, 10), np.repeat(np.arange(50), 10)
    found = interval(lambda rows: tenfold[rows].mean(), groups, seed=1, draws=300)
    assert found.low == pytest.approx(once.low)
    assert found.high == pytest.approx(once.high)


def test_draws_without_a_value_are_left_out_and_counted():
    """Without patient 9, whose draws are (2/3)^3 = 30% of all, there is no value."""
    found = interval(lambda rows: 0.5 if 5 in rows else math.nan, PATIENTS, seed=0, draws=1000)
    assert (found.low, found.high) == (0.5, 0.5)
    assert found.left_out == pytest.approx(296, abs=60)


def test_without_any_value_there_is_no_interval():
    found = interval(lambda _: math.nan, PATIENTS, seed=0, draws=10)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.left_out == 10


def test_a_difference_is_paired():
    """One number a constant above the other: the difference does not vary, though each does."""
    values = np.random.default_rng(0).normal(size=6)
    difference = interval(
        lambda rows: (values[rows] + 0.25).mean() - values[rows].mean(),
        PATIENTS,
        seed=0,
        draws=100,
    )
    assert difference.low == pytest.approx(0.25)
    assert difference.high == pytest.approx(0.25)


def test_a_seed_gives_the_same_draws():
    def found(seed):
        return interval(lambda rows: float(rows.sum()), PATIENTS, seed=seed, draws=50)

    assert found(1) == found(1)
    assert found(1) != found(2)


def test_spread_over_seeds():
    assert over_seeds([1.0, 2.0, 3.0]) == (2.0, 1.0)
    mean, spread = over_seeds([4.0])
    assert mean == 4.0
    assert math.isnan(spread)


def test_no_rows_are_refused():
    with pytest.raises(ContractError, match="one a row"):
        interval(lambda _: 0.0, [], seed=0, draws=1)

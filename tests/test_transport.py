"""Optimal transport of small sets, by hand and against every matching."""

from itertools import permutations

import numpy as np
import pytest

from cxrfuture_data.schema import ContractError
from train.transport import transport_cost


def test_a_permutation_costs_nothing():
    samples = np.random.default_rng(0).normal(size=(30, 50)) * 1000
    assert transport_cost(samples, samples[np.random.default_rng(1).permutation(30)]) == 0.0


def test_a_shift_costs_its_square():
    samples = np.random.default_rng(0).normal(size=(30, 2))
    assert transport_cost(samples, samples[::-1] + np.array([3.0, 4.0])) == pytest.approx(25.0)


def test_by_hand():
    """0 -> 1 and 10 -> 12 cost 1 and 4; the mean is 2.5."""
    assert transport_cost([[0.0], [10.0]], [[12.0], [1.0]]) == 2.5


def test_the_least_of_all_matchings():
    random = np.random.default_rng(3)
    one, other = random.normal(size=(5, 3)), random.normal(size=(5, 3))
    costs = [np.square(one - other[list(p)]).sum(1).mean() for p in permutations(range(5))]
    assert transport_cost(one, other) == pytest.approx(min(costs))


def test_to_a_constant_it_is_the_mean_square():
    assert transport_cost([[1.0, 0.0], [0.0, 3.0]], np.zeros((2, 2))) == 5.0


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (np.zeros((2, 3)), np.zeros((3, 3)), "as many"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "as many"),
        (np.full((2, 3), np.inf), np.zeros((2, 3)), "not finite"),
    ],
)
def test_what_cannot_be_matched_is_refused(one, other, words):
    with pytest.raises(ContractError, match=words):
        transport_cost(one, other)

"""The set wide as a model reads it, and in batches."""

import numpy as np
import pytest

from cxrfuture_data.manifest import Moments, WindowStatistics
from cxrfuture_data.schema import WIDE_VARIABLES, Variable
from cxrfuture_data.wide import wide_input, wide_names, wide_vector

VARIABLES = (
    Variable("Carried", "1", 5.0, 0.0, 100.0),
    Variable("Summed", "mL", 0.0, 0.0, 100.0, hourly="sum", fill="zero"),
    Variable("Constant", "1", 7.0, 0.0, 100.0),
)
NAN = np.nan


@pytest.fixture
def rule():
    moments = {
        "Carried": Moments(count=9, mean=50.0, std=10.0),
        "Summed": Moments(count=9, mean=20.0, std=5.0),
        "Constant": Moments(count=9, mean=7.0, std=0.0),
    }
    age = Moments(count=1, mean=60.0, std=0.0)
    return wide_input(WindowStatistics(variables=moments, age=age), VARIABLES)


def test_values_are_carried_or_zero_then_scaled_and_flagged(rule):
    hourly = np.array(
        [[NAN, NAN, NAN], [60, 30, 8], [NAN, NAN, NAN], [40, NAN, NAN]], dtype=np.float32
    )
    expected = [
        [0, -4, 0, 0, 0, 0],  # nothing measured yet: the mean; summed: nothing
        [1, 2, 1, 1, 1, 1],
        [1, -4, 1, 0, 0, 0],
        [-1, -4, 1, 1, 0, 0],
    ]
    found = wide_vector(hourly, rule)
    assert found.dtype == np.float32
    assert found.tolist() == expected


def test_values_beyond_their_bounds_become_the_bound(rule):
    found = wide_vector(np.array([[-5, 130, 7]], np.float32), rule)
    assert found[0, :3].tolist() == [-5, 16, 0]


def test_a_window_without_hours_is_empty(rule):
    assert wide_vector(np.empty((0, 3), np.float32), rule).shape == (0, rule.columns)


def test_a_column_a_variable_and_a_flag_each():
    names = wide_names()
    assert len(names) == len(set(names)) == 142
    assert (names[0], names[71]) == ("Heart Rate", "mask->Heart Rate")
    assert names[70] == WIDE_VARIABLES[-1].name

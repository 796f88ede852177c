import numpy as np
import pytest

from cxrfuture_data.hourly import COLUMNS, clip, impute, vector
from cxrfuture_data.manifest import Moments, WindowStatistics
from cxrfuture_data.schema import VARIABLES, ContractError

NAMES = [variable.name for variable in VARIABLES]
NAN = np.nan


def hourly(hours, **values):
    """Each value is (variable, hour)."""
    array = np.full((hours, 17), NAN, np.float32)
    for name, found in values.items():
        for hour, value in found.items():
            array[hour, NAMES.index(name.replace("_", " "))] = value
    return array


def statistics(mean=0.0, std=1.0):
    moments = Moments(count=10, mean=mean, std=std)
    names = [variable.name for variable in VARIABLES if not variable.categories]
    return WindowStatistics(variables=dict.fromkeys(names, moments), age=moments)


def test_a_value_holds_until_the_next_and_before_the_first_is_the_normal_one():
    values, observed = impute(hourly(5, Heart_Rate={1: 100, 3: 90}))
    rate = NAMES.index("Heart Rate")
    assert values[:, rate].tolist() == [86, 100, 100, 90, 90]
    assert observed[:, rate].tolist() == [False, True, False, True, False]
    assert values[:, NAMES.index("Glucose")].tolist() == [128] * 5
    assert values[0, NAMES.index("GCS eye opening")] == 3  # "4 Spontaneously"
    assert np.isfinite(values).all()


def test_filling_does_not_change_its_input():
    given = hourly(3, Glucose={0: 100})
    before = given.copy()
    impute(given)
    clip(given)
    assert np.array_equal(given, before, equal_nan=True)


def test_clipping_puts_a_value_on_its_bound_and_leaves_categories_and_gaps():
    given = hourly(2, Heart_Rate={0: 500, 1: 1}, GCS_motor_response={0: 11})
    found = clip(given)
    rate = NAMES.index("Heart Rate")
    assert found[:, rate] == pytest.approx([143.61, 33.21])
    assert found[0, NAMES.index("GCS motor response")] == 11
    assert np.isnan(found[1, NAMES.index("Glucose")])


def test_the_79_columns_are_those_of_the_specification():
    given = hourly(
        1,
        Capillary_refill_rate={0: 1},
        Diastolic_blood_pressure={0: 60},
        GCS_eye_opening={0: 2},
        GCS_motor_response={0: 11},
        GCS_verbal_response={0: 0},
        Glucose={0: 150},
        Temperature={0: 37},
        pH={0: 7},
    )
    row = vector(given, 70, "M", statistics())[0]
    assert len(row) == COLUMNS == 79
    assert row[0:2].tolist() == [0, 1]
    assert row[2] == 60
    assert row[3] == pytest.approx(0.21)
    assert np.flatnonzero(row[4:12]).tolist() == [2]
    assert np.flatnonzero(row[12:24]).tolist() == [11]
    assert np.flatnonzero(row[24:37]).tolist() == [4]  # not observed: "15"
    assert np.flatnonzero(row[37:49]).tolist() == [0]
    # Glucose, heart rate, height, mean pressure, saturation, breaths, systolic, temperature,
    # weight, pH: observed or normal.
    assert row[49:59].tolist() == [150, 86, 170, 77, 98, 19, 118, 37, 81, 7]
    assert row[59:61].tolist() == [0, 1]
    assert row[61] == 70
    assert row[62:79].tolist() == [1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1]


def test_only_continuous_variables_and_age_are_scaled():
    row = vector(hourly(1, Heart_Rate={0: 106}), 66, "F", statistics(mean=86, std=10))[0]
    assert row[50] == 2
    assert row[61] == -2
    assert row[59:61].tolist() == [1, 0]
    assert set(row[4:49].tolist()) == {0, 1}
    assert row[62 + NAMES.index("Heart Rate")] == 1


def test_values_are_clipped_before_they_are_scaled():
    row = vector(hourly(1, Oxygen_saturation={0: 1000}), 200, "F", statistics())[0]
    assert row[53] == pytest.approx(110.68)
    assert row[61] == pytest.approx(111.29)


def test_a_constant_column_is_centred_and_not_blown_up():
    row = vector(hourly(1), 40, "F", statistics(mean=40, std=0))[0]
    assert row[61] == 0
    assert row[50] == 46


def test_no_hours_give_no_rows():
    assert vector(hourly(0), 40, "F", statistics()).shape == (0, 79)


def test_a_category_beyond_the_schema_is_refused():
    with pytest.raises(ContractError, match="GCS eye opening"):
        vector(hourly(1, GCS_eye_opening={0: 8}), 40, "F", statistics())

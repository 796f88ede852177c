from dataclasses import replace

import numpy as np
import pytest

from cxrfuture_data.hourly import (
    COLUMN_NAMES,
    COLUMNS,
    HourlyInput,
    clip,
    column_names,
    impute,
    moments_of,
    normalise,
    raw_vector,
    vector,
)
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


def rule(mean=0.0, std=1.0):
    """79 columns by a dataset's own statistics."""
    moments = Moments(count=10, mean=mean, std=std)
    names = [variable.name for variable in VARIABLES if not variable.categories]
    statistics = WindowStatistics(variables=dict.fromkeys(names, moments), age=moments)
    return HourlyInput(COLUMNS, from_first_hour=False, moments=moments_of(statistics))


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
    row = vector(given, 70, "M", rule())[0]
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
    row = vector(hourly(1, Heart_Rate={0: 106}), 66, "F", rule(mean=86, std=10))[0]
    assert row[50] == 2
    assert row[61] == -2
    assert row[59:61].tolist() == [1, 0]
    assert set(row[4:49].tolist()) == {0, 1}
    assert row[62 + NAMES.index("Heart Rate")] == 1


def test_values_are_clipped_before_they_are_scaled():
    row = vector(hourly(1, Oxygen_saturation={0: 1000}), 200, "F", rule())[0]
    assert row[53] == pytest.approx(110.68)
    assert row[61] == pytest.approx(111.29)


def test_a_constant_column_is_centred_and_not_blown_up():
    row = vector(hourly(1), 40, "F", rule(mean=40, std=0))[0]
    assert row[61] == 0
    assert row[50] == 46


def test_no_hours_give_no_rows():
    assert vector(hourly(0), 40, "F", rule()).shape == (0, 79)


def test_a_category_beyond_the_schema_is_refused():
    with pytest.raises(ContractError, match="GCS eye opening"):
        vector(hourly(1, GCS_eye_opening={0: 8}), 40, "F", rule())


NAN_HOURS = hourly(4, Heart_Rate={1: 100.5, 2: 200})


def as_float64(record):
    return record.astype(np.float64)


def test_there_is_a_name_for_every_column():
    assert len(COLUMN_NAMES) == len(set(COLUMN_NAMES)) == 79
    assert COLUMN_NAMES[:5] == (
        "Capillary refill rate->0.0",
        "Capillary refill rate->1.0",
        "Diastolic blood pressure",
        "Fraction inspired oxygen",
        "GCS eye opening->To Pain",
    )
    assert COLUMN_NAMES[48:50] == ("GCS verbal response->3 Inapprop words", "Glucose")
    assert COLUMN_NAMES[58:63] == (
        "pH",
        "Gender->0.0",
        "Gender->1.0",
        "Age",
        "mask->Capillary refill rate",
    )
    assert COLUMN_NAMES[70] == "mask->Heart Rate"
    assert column_names(76) == COLUMN_NAMES[:59] + COLUMN_NAMES[62:]


def test_rows_have_the_precision_of_the_record():
    third = as_float64(hourly(1)) + 0.0
    third[0, NAMES.index("Weight")] = 100 / 3
    exact = raw_vector(third, 55, "M", from_first_hour=False)
    assert exact.dtype == np.float64
    assert exact[0, COLUMN_NAMES.index("Weight")] == 100 / 3
    assert exact[0, COLUMN_NAMES.index("Diastolic blood pressure")] == 59.0
    assert exact[0, COLUMN_NAMES.index("Fraction inspired oxygen")] == 0.21  # no float32 of it
    assert vector(third, 55, "M", rule(mean=1, std=3)).dtype == np.float64
    rows = vector(third.astype(np.float32), 55, "M", rule())
    assert rows.dtype == np.float32
    assert rows[0, COLUMN_NAMES.index("Weight")] == np.float32(100 / 3)


def test_as_published_sex_and_age_begin_with_the_first_measured_hour():
    rows = raw_vector(as_float64(NAN_HOURS), 40, "M", from_first_hour=True)
    assert rows[:, 59:62].tolist() == [[1, 0, 65], [0, 1, 40], [0, 1, 40], [0, 1, 40]]
    corrected = raw_vector(as_float64(NAN_HOURS), 40, "M", from_first_hour=False)
    assert corrected[:, 59:62].tolist() == [[0, 1, 40]] * 4
    others = [column for column in range(79) if column not in (59, 60, 61)]
    assert np.array_equal(rows[:, others], corrected[:, others])


@pytest.mark.parametrize("hours", [0, 3])
def test_as_published_a_window_without_a_measurement_is_of_a_woman_of_65(hours):
    rows = raw_vector(hourly(hours), 40, "M", from_first_hour=True)
    assert rows[:, 59:62].tolist() == [[1, 0, 65]] * hours


def test_76_columns_have_neither_sex_nor_age_and_no_bound():
    rows = raw_vector(as_float64(NAN_HOURS), 40, "M", from_first_hour=False, columns=76)
    assert rows.shape == (4, 76)
    rate = column_names(76).index("Heart Rate")
    assert rows[:, rate].tolist() == [86, 100.5, 200, 200]  # 200 is beyond the bound of 79 columns
    assert rows[:, 59 + NAMES.index("Heart Rate")].tolist() == [0, 1, 1, 0]
    full = raw_vector(as_float64(NAN_HOURS), 40, "M", from_first_hour=False)
    assert full[:, COLUMN_NAMES.index("Heart Rate")].tolist() == [86, 100.5, 143.61, 143.61]
    others = [column for column in range(59) if column != rate]
    assert np.array_equal(rows[:, others], full[:, others])


def test_normalising_leaves_its_input_and_the_flags_alone():
    raw = raw_vector(NAN_HOURS, 40, "M", from_first_hour=False)
    before = raw.copy()
    scaled = normalise(raw, rule(mean=10, std=2).moments)
    assert np.array_equal(raw, before)
    changed = [COLUMN_NAMES[i] for i in np.flatnonzero((scaled != raw).any(axis=0))]
    assert changed == [COLUMN_NAMES[i] for i in (2, 3, *range(49, 59), 61)]
    assert scaled[0, 50] == (86 - 10) / 2


def test_scaled_values_beyond_a_limit_become_0():
    limited = replace(rule(), zero_beyond=100)
    row = vector(hourly(1, Heart_Rate={0: 140}, Glucose={0: 99}), 40, "F", limited)[0]
    assert row[50] == 0
    assert row[49] == 99

"""A batch of hourly records at once is each sample's own, to the last bit, then 0."""

from dataclasses import replace

import numpy as np
import pytest

from cxrfuture_data.hour_batch import HourFiller, Patients
from cxrfuture_data.hourly import HourlyInput, bounds_of, vector
from cxrfuture_data.published import DDL_CXR_PAIR, DDL_CXR_STAY, MIMIC_III, moments_from
from cxrfuture_data.schema import VARIABLES, WIDE_VARIABLES, ContractError, Variable
from cxrfuture_data.wide import WideInput, wide_vector

NAMES = [variable.name for variable in VARIABLES]
SHARES = (0.0, 0.02, 0.4, 0.95, 1.0)  # of a variable's hours that were measured


def wide_rule(variables, seed):
    rng = np.random.default_rng(seed)
    return WideInput(
        bounds=bounds_of(variables),
        is_zero=np.array([variable.fill == "zero" for variable in variables]),
        mean=rng.uniform(-50, 150, len(variables)),
        std=rng.uniform(0.01, 40, len(variables)),
    )


PAIR = HourlyInput(79, from_first_hour=False, moments=moments_from(DDL_CXR_PAIR))
DRFUSE = HourlyInput(76, False, moments_from(MIMIC_III), zero_beyond=10.0)
RULES = {
    "79": PAIR,
    "79 published": HourlyInput(79, from_first_hour=True, moments=moments_from(DDL_CXR_STAY)),
    "79 published, zero beyond": replace(PAIR, from_first_hour=True, zero_beyond=1.5),
    "76": HourlyInput(76, from_first_hour=False, moments=moments_from(MIMIC_III)),
    "76, zero beyond": DRFUSE,
    "76, zero beyond a half": replace(DRFUSE, zero_beyond=0.5),  # flags too
    "wide": wide_rule(WIDE_VARIABLES, seed=1),
    "wide, none is zero": wide_rule([v for v in WIDE_VARIABLES if v.fill == "carry"], seed=2),
}
LENGTHS = {
    "as in training": [13, 60, 30, 22, 48, 17, 30, 31],
    "one hour each": [1, 1, 1, 1],
    "one window": [24],
    "empty windows first, between and last": [0, 5, 0, 0, 7, 1, 0],
    "no hours": [0, 0],
    "powers of two, and one more": [2, 3, 4, 5, 8, 9, 16, 17],
}


def variables_of(rule):
    if not isinstance(rule, WideInput):
        return VARIABLES
    is_all = len(rule.mean) == len(WIDE_VARIABLES)
    return [v for v in WIDE_VARIABLES if is_all or v.fill == "carry"]


def random_record(rng, variables, hours):
    """Values within, on and far beyond the bounds, each variable measured more or less often."""
    record = rng.normal(80, 60, (hours, len(variables)))
    bounds = bounds_of(variables)
    for column, variable in enumerate(variables):
        if variable.categories:
            record[:, column] = rng.integers(0, len(variable.categories), hours)
    is_extreme = rng.random(record.shape)
    record = np.where((is_extreme < 0.05) & np.isfinite(bounds.low), bounds.low, record)
    record = np.where((is_extreme > 0.95) & np.isfinite(bounds.high), bounds.high, record)
    record = np.where((is_extreme > 0.98) & np.isfinite(bounds.high), 1e6, record)
    record[rng.random(record.shape) >= rng.choice(SHARES, len(variables))] = np.nan
    return record.astype(np.float32)


def random_windows(rng, variables, lengths):
    """One in four is never measured, one in four begins with hours that are not."""
    windows = [random_record(rng, variables, hours) for hours in lengths]
    for window in windows:
        fate = rng.integers(0, 4)
        window[: len(window) if fate == 0 else len(window) // 3 if fate == 1 else 0] = np.nan
    return windows


def read_alone(window, age, is_male, rule):
    if isinstance(rule, WideInput):
        return wide_vector(window, rule)
    return vector(window, age, "M" if is_male else "F", rule)


def fill(filler, windows, patients, shape):
    """Into arrays that held something else."""
    out, is_hour = np.full(shape, np.nan, np.float32), np.ones(shape[:2], bool)
    lengths = np.array([len(window) for window in windows])
    filler.fill(out, is_hour, np.concatenate(windows), lengths, patients)
    return out, is_hour


def check(filler, rule, windows, rng, spare_hours=0):
    patients = Patients(rng.uniform(1, 130, len(windows)), rng.random(len(windows)) < 0.5)
    longest = max(len(window) for window in windows) + spare_hours
    out, is_hour = fill(filler, windows, patients, (len(windows), longest, rule.columns))
    for number, window in enumerate(windows):
        hours = len(window)
        alone = read_alone(window, patients.age[number], patients.is_male[number], rule)
        assert out[number, :hours].tobytes() == alone.tobytes()
        assert out[number, hours:].tobytes() == bytes(out[number, hours:].nbytes)
        assert is_hour[number].tolist() == [True] * hours + [False] * (longest - hours)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("name", RULES)
def test_a_batch_is_each_sample_alone(name, lengths):
    rule = RULES[name]
    for seed in range(4):
        rng = np.random.default_rng(seed)
        windows = random_windows(rng, variables_of(rule), lengths)
        check(HourFiller(rule), rule, windows, rng, spare_hours=seed)


@pytest.mark.parametrize("name", RULES)
def test_a_filler_keeps_nothing_of_the_batch_before(name):
    rule, filler = RULES[name], HourFiller(RULES[name])
    rng = np.random.default_rng(7)
    for _ in range(12):
        lengths = rng.integers(0, 40, rng.integers(1, 12))
        check(filler, rule, random_windows(rng, variables_of(rule), lengths), rng)


@pytest.mark.parametrize("hours", range(1, 70))
def test_a_value_is_carried_to_the_end_of_its_window_and_no_further(hours):
    rate = NAMES.index("Heart Rate")
    windows = [np.full((hours, 17), np.nan, np.float32) for _ in range(3)]
    windows[1][0, rate] = 100
    rule = RULES["76"]
    patients = Patients(np.full(3, 50.0), np.zeros(3, bool))
    out, _ = fill(HourFiller(rule), windows, patients, (3, hours, 76))
    mean, std = MIMIC_III["Heart Rate"]
    normal, measured = (np.float32((value - mean) / std) for value in (86.0, 100.0))
    assert out[:, :, 50].tolist() == [[normal] * hours, [measured] * hours, [normal] * hours]


def test_a_record_that_is_no_whole_array_is_read_as_well():
    rng = np.random.default_rng(3)
    wider = random_record(rng, [*VARIABLES, *VARIABLES], 12)
    record = wider[:, ::2][:, :17]
    record[:, [0, 3, 4, 5, 6]] = 1
    check(HourFiller(PAIR), PAIR, [record[:5], record[5:]], rng)
    out, is_hour = np.empty((2, 7, 79), np.float32), np.empty((2, 7), bool)
    patients = Patients(np.array([50.0, 60]), np.array([True, False]))
    HourFiller(PAIR).fill(out, is_hour, record, np.array([5, 7]), patients)
    assert out[1].tobytes() == vector(record[5:], 60.0, "F", PAIR).tobytes()


def test_rows_go_into_a_part_of_a_larger_array_and_nowhere_else():
    rng = np.random.default_rng(4)
    window = random_record(rng, VARIABLES, 6)
    larger, is_hour = np.full((1, 6, 90), 7, np.float32), np.empty((1, 6), bool)
    patients = Patients(np.array([50.0]), np.array([True]))
    HourFiller(PAIR).fill(larger[:, :, 3:82], is_hour, window, np.array([6]), patients)
    assert larger[0, :, 3:82].tobytes() == vector(window, 50.0, "M", PAIR).tobytes()
    assert (larger[:, :, :3] == 7).all()
    assert (larger[:, :, 82:] == 7).all()


def test_the_record_is_left_as_it_was():
    rng = np.random.default_rng(5)
    windows = random_windows(rng, WIDE_VARIABLES, [9, 4])
    before = np.concatenate(windows).tobytes()
    check(HourFiller(RULES["wide"]), RULES["wide"], windows, rng)
    assert np.concatenate(windows).tobytes() == before


@pytest.mark.parametrize("value", [8, 8.5, 1e9, np.inf, -1, -1.5, -1e9, -np.inf])
def test_a_category_beyond_the_schema_is_refused_as_it_is_alone(value):
    window = np.full((3, 17), np.nan, np.float32)
    window[1, NAMES.index("GCS eye opening")] = value
    patients = Patients(np.full(2, 50.0), np.zeros(2, bool))
    with np.errstate(invalid="ignore"), pytest.raises(ContractError) as batch:
        fill(HourFiller(PAIR), [window[:1], window], patients, (2, 3, 79))
    with np.errstate(invalid="ignore"), pytest.raises(ContractError) as alone:
        vector(window, 50.0, "F", PAIR)
    assert str(batch.value) == str(alone.value)
    assert str(batch.value) == "GCS eye opening: a category that schema.py lacks"


def test_of_several_unknown_categories_the_first_samples_first_is_named():
    windows = [np.full((4, 17), np.nan, np.float32) for _ in range(3)]
    windows[1][3, NAMES.index("GCS total")] = 99
    windows[1][2, NAMES.index("GCS verbal response")] = 99
    windows[2][0, NAMES.index("Capillary refill rate")] = 99
    patients = Patients(np.full(3, 50.0), np.zeros(3, bool))
    with pytest.raises(ContractError, match="GCS total"):
        fill(HourFiller(PAIR), windows, patients, (3, 4, 79))


@pytest.mark.parametrize("value", [0.9, 7.9, -0.9])
def test_a_category_is_cut_to_a_whole_number_as_it_is_alone(value):
    window = np.full((2, 17), np.nan, np.float32)
    window[1, NAMES.index("GCS eye opening")] = value
    check(HourFiller(PAIR), PAIR, [window], np.random.default_rng(0))


def test_a_zero_that_its_bounds_do_not_hold_stays_zero():
    # As wide_vector has it: what is measured is clipped, what is not is 0.
    summed = Variable("Summed", "mL", 0.0, 10.0, 100.0, hourly="sum", fill="zero")
    rule = wide_rule([summed], seed=3)
    window = np.array([[np.nan], [5], [np.nan]], np.float32)
    check(HourFiller(rule), rule, [window], np.random.default_rng(0))


@pytest.mark.parametrize(("lengths", "hours"), [([3, 3], 3), ([2, 3], 2), ([5], 4)])
def test_windows_that_do_not_fit_are_refused(lengths, hours):
    shape = (len(lengths), hours, 79)
    patients = Patients(np.full(len(lengths), 50.0), np.zeros(len(lengths), bool))
    record = np.zeros((5, 17), np.float32)
    with pytest.raises(ValueError, match="5 hours for"):
        HourFiller(PAIR).fill(
            np.empty(shape, np.float32),
            np.empty(shape[:2], bool),
            record,
            np.array(lengths),
            patients,
        )

import numpy as np
import pytest

from cxrfuture_data import ContractError
from cxrfuture_data.hourly import COLUMN_NAMES, SCALED_NAMES, moments_of, normalise, raw_vector
from cxrfuture_data.manifest import Moments, WindowStatistics
from cxrfuture_data.published import (
    DDL_CXR_PAIR,
    DDL_CXR_STAY,
    MIMIC_III,
    hourly_input,
    measure_moments,
    moments_from,
)
from cxrfuture_data.schema import VARIABLES

OWN = Moments(count=10, mean=5.0, std=2.0)
STATISTICS = WindowStatistics(
    variables={variable.name: OWN for variable in VARIABLES if not variable.categories}, age=OWN
)
BOTH = {"training_normaliser": "3.8", "age_and_sex_in_every_hour": "3.6"}
RATE = SCALED_NAMES.index("Heart Rate")


def recipe(rules="ddl_cxr", fidelity="published", corrections=BOTH):
    how = {"fidelity": fidelity, "corrections": corrections}
    return {"rules": rules, "cohort": {}} | how


@pytest.mark.parametrize("table", [DDL_CXR_PAIR, DDL_CXR_STAY, MIMIC_III])
def test_a_table_names_the_scaled_columns_in_their_order(table):
    assert tuple(table) == SCALED_NAMES[: len(table)]
    assert list(moments_from(table).mean) == [mean for mean, _ in table.values()]


def test_the_tables_are_those_of_the_specifications():
    assert DDL_CXR_PAIR["Oxygen saturation"] == pytest.approx((96.84731, 3.19270), abs=5e-6)
    assert DDL_CXR_STAY["Height"] == pytest.approx((169.98006, 1.05824), abs=5e-6)
    assert MIMIC_III["Oxygen saturation"] == pytest.approx((105.0, 5135.2), abs=0.05)


@pytest.mark.parametrize(("kind", "table"), [("pair", DDL_CXR_PAIR), ("stay", DDL_CXR_STAY)])
def test_published_ddl_cxr_reads_by_its_authors_moments(kind, table):
    rule = hourly_input(recipe(), kind, STATISTICS)
    assert (rule.columns, rule.from_first_hour) == (79, True)
    assert rule.moments.named()["Age"] == dict(zip(("mean", "std"), table["Age"], strict=True))
    hours = raw_vector(np.full((1, 17), np.nan), 40, "M", from_first_hour=False)
    mean, std = table["Heart Rate"]
    found = normalise(hours, rule.moments)[0, COLUMN_NAMES.index("Heart Rate")]
    assert found == (86.0 - mean) / std


def test_corrected_ddl_cxr_reads_by_the_statistics_of_its_dataset():
    rule = hourly_input(recipe(fidelity="corrected"), "stay", STATISTICS)
    assert (rule.columns, rule.from_first_hour) == (79, False)
    assert rule.moments.mean.tolist() == [5.0] * 13
    assert rule.moments.std.tolist() == [2.0] * 13


def test_each_correction_that_a_recipe_leaves_out_is_an_error_kept():
    only = {"age_and_sex_in_every_hour": "3.6"}
    rule = hourly_input(recipe(fidelity="corrected", corrections=only), "stay", STATISTICS)
    assert rule.moments.mean[RATE] == DDL_CXR_STAY["Heart Rate"][0]
    assert rule.from_first_hour is False
    only = {"training_normaliser": "3.8"}
    rule = hourly_input(recipe(fidelity="corrected", corrections=only), "stay", STATISTICS)
    assert rule.moments.mean[RATE] == 5.0
    assert rule.from_first_hour is True


@pytest.mark.parametrize(("fidelity", "columns"), [("published", 76), ("corrected", 79)])
def test_medfuse_reads_76_columns_as_published_and_79_corrected(fidelity, columns):
    body = recipe("medfuse", fidelity, {"training_normaliser": "3.6"})
    rule = hourly_input(body, "stay", STATISTICS)
    assert (rule.columns, rule.from_first_hour) == (columns, False)
    assert len(rule.moments.mean) == {79: 13, 76: 12}[columns]
    expected = 5.0 if columns == 79 else MIMIC_III["Heart Rate"][0]
    assert rule.moments.mean[RATE] == expected


def test_a_recipe_without_an_hourly_record_of_its_own_reads_by_its_statistics():
    rule = hourly_input(recipe("ehrxdiff", corrections={}), "pair", STATISTICS)
    assert rule.columns == 79
    assert np.array_equal(rule.moments.mean, moments_of(STATISTICS).mean)


def window(rates, weight=81.0):
    hourly = np.full((len(rates), 17), np.nan)
    hourly[:, [variable.name for variable in VARIABLES].index("Heart Rate")] = rates
    hourly[0, [variable.name for variable in VARIABLES].index("Weight")] = weight
    return raw_vector(hourly, 50, "F", from_first_hour=True)


def test_the_rule_of_a_normaliser_counts_every_hour_imputed_ones_too():
    # Heart rates 80, 80 (carried), 90; then 100: mean 87.5, sum of squares about it 275.
    found = measure_moments([window([80, np.nan, 90]), window([100])]).named()
    assert found["Heart Rate"]["mean"] == 87.5
    assert found["Heart Rate"]["std"] == pytest.approx((275 / 3) ** 0.5)
    assert found["Glucose"] == {"mean": 128.0, "std": 1e-7}  # never measured: the floor
    assert found["Age"] == {"mean": 50.0, "std": 1e-7}
    assert tuple(found) == SCALED_NAMES


def test_a_constant_that_rounds_badly_has_the_floor_and_no_nan():
    found = measure_moments([window([80] * 7, weight=100 / 3)]).named()
    assert found["Weight"]["std"] >= 1e-7
    assert np.isfinite(found["Weight"]["std"])


def test_moments_of_76_columns_have_no_age():
    raw = raw_vector(np.full((3, 17), np.nan), 50, "F", from_first_hour=False, columns=76)
    assert tuple(measure_moments([raw]).named()) == SCALED_NAMES[:-1]


@pytest.mark.parametrize("hours", [0, 1])
def test_moments_of_fewer_than_two_hours_are_refused(hours):
    windows = [np.zeros((hours, 79))] if hours else []
    with pytest.raises(ContractError, match=f"moments of {hours} hours"):
        measure_moments(windows)


def test_drfuse_puts_what_lies_beyond_ten_to_zero():
    body = recipe("medfuse") | {"cohort": {"zero_beyond": 10.0}}
    assert hourly_input(body, "stay", STATISTICS).zero_beyond == 10
    assert hourly_input(recipe("medfuse"), "stay", STATISTICS).zero_beyond == np.inf

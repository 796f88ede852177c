"""Groups of stays: who is in which, by columns written by hand."""

import numpy as np
import pytest

from cxrfuture_data.columns import SHARD, Columns, text_column
from cxrfuture_data.schema import FINDINGS
from train.outcome_groups import group_races, group_samples


def stays(film="previous", **columns):
    """Columns of stays with a film each of which no report says anything."""
    count = len(columns["age"])
    stored = {SHARD: np.zeros(count, np.int32), "is_male": np.zeros(count, bool)}
    stored |= {
        f"{film}.has": np.ones(count, bool),
        f"{film}.labels": np.zeros((count, 14), np.int8),
        f"{film}.label_known": np.zeros((count, 14), bool),
    }
    for name, column in ({f"{film}.view": ["AP"] * count} | columns).items():
        is_text = isinstance(column[0], str)
        stored |= text_column(column, name) if is_text else {name: np.array(column)}
    return Columns((), (), stored)


def group(**columns):
    return group_samples(stays(**columns), "stay")


def members(groups):
    return {name: np.flatnonzero(chosen).tolist() for name, chosen in groups.items()}


def test_time_gaps_are_closed_on_the_left():
    """Of specs ddl-cxr 5.1: the boundaries that give the published prevalences."""
    hours = [0.0, 11.99, 12.0, 23.99, 24.0, 35.99, 36.0, 71.4, np.nan]
    found = group(age=[50.0] * 9, hours_since_previous=hours)
    expected = {"<12": [0, 1], "12-24": [2, 3], "24-36": [4, 5], ">=36": [6, 7], "no film": [8]}
    assert members(found["gap"]) == expected


def test_age_bands():
    found = group(age=[17.9, 18.0, 44.9, 45.0, 64.9, 65.0, 79.9, 80.0, 91.0])
    assert members(found["age"]) == {
        "<18": [0],
        "18-44": [1, 2],
        "45-64": [3, 4],
        "65-79": [5, 6],
        ">=80": [7, 8],
    }


@pytest.mark.parametrize(
    ("race", "group"),
    [
        ("WHITE", "WHITE"),
        ("WHITE - RUSSIAN", "WHITE"),
        ("BLACK/AFRICAN AMERICAN", "BLACK"),
        ("HISPANIC/LATINO - PUERTO RICAN", "HISPANIC"),
        ("HISPANIC OR LATINO", "HISPANIC"),
        ("ASIAN - CHINESE", "ASIAN"),
        ("AMERICAN INDIAN/ALASKA NATIVE", "other"),
        ("OTHER", "other"),
        ("UNKNOWN", "unknown"),
        ("PATIENT DECLINED TO ANSWER", "unknown"),
        ("UNABLE TO OBTAIN", "unknown"),
        ("", "unknown"),
    ],
)
def test_races_as_mimic_spells_them(race, group):
    assert group_races(np.array([race, "ASIAN"])).tolist() == [group, "ASIAN"]


def test_devices_and_views_are_of_the_last_film():
    at = FINDINGS.index("Support Devices")
    labels, known = np.zeros((5, 14), np.int8), np.zeros((5, 14), bool)
    labels[:, at] = [1, 0, -1, 0, 0]
    known[:3, at] = True
    known[3:, at - 1] = True  # another finding is mentioned
    found = group(
        age=[50.0] * 5,
        **{
            "previous.labels": labels,
            "previous.label_known": known,
            "previous.has": [True, True, True, True, False],
            "previous.view": ["AP", "PA", "AP", "AP", ""],
        },
    )
    assert members(found["devices"]) == {
        "present": [0],
        "absent": [1],
        "uncertain": [2],
        "not said": [3],
        "no film": [4],
    }
    assert members(found["view"]) == {"AP": [0, 2, 3], "PA": [1], "no film": [4]}


def test_columns_that_a_dataset_lacks_make_no_group():
    assert group(age=[50.0]).keys() == {"sex", "age", "view", "devices"}
    found = group(age=[50.0, 60.0], race=["ASIAN", ""], insurance=["Medicare", ""])
    assert members(found["race"]) == {"ASIAN": [0], "unknown": [1]}
    assert members(found["insurance"]) == {"Medicare": [0], "unknown": [1]}
    films = group_samples(stays(film="image", age=[50.0]), "image")
    assert films.keys() == {"sex", "age", "view", "devices"}


def test_every_stay_is_in_one_group_of_each_grouping():
    random = np.random.default_rng(0)
    count = 200
    found = group(
        age=random.uniform(10, 100, count),
        is_male=random.random(count) < 0.5,
        hours_since_previous=np.where(random.random(count) < 0.1, np.nan, random.random(count)),
        race=random.choice(["WHITE - RUSSIAN", "OTHER", ""], count).tolist(),
        **{
            "previous.has": random.random(count) < 0.9,
            "previous.labels": random.integers(-1, 2, (count, 14)).astype(np.int8),
            "previous.label_known": random.random((count, 14)) < 0.5,
        },
    )
    assert found.keys() == {"sex", "age", "view", "devices", "gap", "race"}
    for groups in found.values():
        assert (np.sum(list(groups.values()), axis=0) == 1).all()

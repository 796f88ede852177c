"""Groups of stays: who is in which, by columns written by hand."""

import numpy as np
import pytest
from tiny_build import build_dataset, leave_out_film, write_build

import cxrfuture_data
from cxrfuture_data.columns import SHARD, Columns, text_column
from cxrfuture_data.schema import FINDINGS
from etl import shard
from train.outcome_groups import group_races, group_samples


class Stays:
    """What a split is for groups: its kind and its columns."""

    kind = "stay"

    def __init__(self, **columns):
        count = len(columns["age"])
        stored = {SHARD: np.zeros(count, np.int32), "is_male": np.zeros(count, bool)}
        stored |= {
            "previous.has": np.ones(count, bool),
            "previous.labels": np.zeros((count, 14), np.int8),
            "previous.label_known": np.zeros((count, 14), bool),
        }
        for name, column in ({"previous.view": ["AP"] * count} | columns).items():
            is_text = isinstance(column[0], str)
            stored |= text_column(column, name) if is_text else {name: np.array(column)}
        self.columns = Columns((), (), stored)


def members(groups):
    return {name: np.flatnonzero(chosen).tolist() for name, chosen in groups.items()}


def test_time_gaps_are_closed_on_the_left():
    """Of specs ddl-cxr 5.1: the boundaries that give the published prevalences."""
    hours = [0.0, 11.99, 12.0, 23.99, 24.0, 35.99, 36.0, 71.4, np.nan]
    found = group_samples(Stays(age=[50.0] * 9, hours_since_previous=hours))
    expected = {"<12": [0, 1], "12-24": [2, 3], "24-36": [4, 5], ">=36": [6, 7], "no film": [8]}
    assert members(found["gap"]) == expected


def test_age_bands():
    found = group_samples(Stays(age=[17.9, 18.0, 44.9, 45.0, 64.9, 65.0, 79.9, 80.0, 91.0]))
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
    stays = Stays(
        age=[50.0] * 5,
        **{
            "previous.labels": labels,
            "previous.label_known": known,
            "previous.has": [True, True, True, True, False],
            "previous.view": ["AP", "PA", "AP", "AP", ""],
        },
    )
    found = group_samples(stays)
    assert members(found["devices"]) == {
        "present": [0],
        "absent": [1],
        "uncertain": [2],
        "not said": [3],
        "no film": [4],
    }
    assert members(found["view"]) == {"AP": [0, 2, 3], "PA": [1], "no film": [4]}


def test_columns_that_a_dataset_lacks_make_no_group():
    assert group_samples(Stays(age=[50.0])).keys() == {"sex", "age", "view", "devices"}
    stays = Stays(age=[50.0, 60.0], race=["ASIAN", ""], insurance=["Medicare", ""])
    found = group_samples(stays)
    assert members(found["race"]) == {"ASIAN": [0], "unknown": [1]}
    assert members(found["insurance"]) == {"Medicare": [0], "unknown": [1]}


def test_every_stay_is_in_one_group_of_each_grouping(tmp_path):
    params, recipe = write_build(tmp_path, "ddl_cxr")
    leave_out_film(params.build("ddl_cxr"), 4)
    shard.run(params, recipe)
    split = cxrfuture_data.open_dataset(params.build("ddl_cxr", "shard")).split("train", "stay")
    found = group_samples(split)
    for groups in found.values():
        assert (np.sum(list(groups.values()), axis=0) == 1).all()
    assert found["gap"]["no film"].sum() == found["view"]["no film"].sum() == 1


def test_films_alone_have_groups(tmp_path):
    dataset = build_dataset(tmp_path, "diff3m")
    split = cxrfuture_data.open_dataset(dataset).split("train", "image")
    found = group_samples(split)
    assert found.keys() >= {"sex", "age", "view", "devices"}
    assert "gap" not in found

"""MedFuse's and DrFuse's stays, films and windows at the ends of their intervals (specs
fusion-baselines 1, 5, 18)."""

from typing import Any

import pytest
from tiny_medfuse import MEASURED, length, medfuse
from tiny_stages import (
    HADM,
    STAY,
    SUBJECT,
    Built,
    admission,
    at,
    build,
    chart,
    film,
    heart_rates,
    icu_stay,
    lab,
    patient,
)

from etl.check import check_tables

SECOND = 1 / 3600


def film_of(built: Built) -> list[str | None]:
    return built.column("cohort", "stay", "previous_dicom_id")


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
@pytest.mark.parametrize(
    ("hours", "is_taken"),
    [(-SECOND, False), (0, True), (48, True), (48 + SECOND, False)],
)
def test_mortality_takes_films_from_admission_to_hour_48(tmp_path, fidelity, hours, is_taken):
    built = medfuse(tmp_path, [film("a", hours, 1)], fidelity=fidelity)
    assert film_of(built) == ["a" if is_taken else None]


def test_the_later_of_two_ap_films_is_taken_and_a_pa_film_never(tmp_path):
    films = [
        film("late", 30, 1),
        film("early", 5, 2),
        film("later but PA", 31, 3, viewposition="PA"),
        film("another AP", 32, 4, viewposition="AP AXIAL"),
    ]
    built = medfuse(tmp_path, films)
    assert film_of(built) == ["late"]
    assert built.removed("cohort", "film") == {"view is not AP": 2}
    assert built.removed("cohort", "film of a stay") == {"a later film of the same stay": 1}


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
def test_of_films_at_one_time_the_last_in_the_file_is_taken(tmp_path, fidelity):
    # DDL-CXR takes that of the higher study, and one film of a study before that.
    films = [film("one", 30, 9), film("two", 30, 1), film("three", 30, 2)]
    assert film_of(medfuse(tmp_path, films, fidelity=fidelity)) == ["three"]


def test_published_cuts_the_seconds_of_a_film(tmp_path):
    # 0.6 s after hour 48: a tie at 48:00:00 for the authors.
    films = [film("a", 48, 1), film("b", 48 + 0.6 * SECOND, 2)]
    assert film_of(medfuse(tmp_path / "c", films)) == ["a"]
    assert film_of(medfuse(tmp_path / "p", films, fidelity="published")) == ["b"]


@pytest.mark.parametrize(
    ("recipe", "hours", "is_kept"),
    [
        ("medfuse", 48, True),
        ("medfuse", 48 - SECOND, False),
        ("ddl_cxr", 48, False),  # strictly longer
        ("ddl_cxr", 48 + SECOND, True),
        ("medfuse_phenotyping", 1, True),
        ("drfuse", 1, True),
    ],
)
def test_the_shortest_stay(tmp_path, recipe, hours, is_kept):
    # A second patient keeps the cohort from being empty.
    other = {"subject_id": SUBJECT + 1, "hadm_id": HADM + 1}
    tables: dict[str, Any] = {
        "patients": [patient(), patient(SUBJECT + 1)],
        "admissions": [admission(), admission(**other)],
        "icustays": [icu_stay(**length(hours)), icu_stay(STAY + 1, **other)],
        "chartevents": [
            chart(220045, 0.5, 80),
            chart(220045, 0.5, 80, **other, stay_id=STAY + 1),
        ],
        "cxr_metadata": [film("a", 0, 1), film("b", 0, 2, subject_id=SUBJECT + 1)],
    }
    built = build(tmp_path, recipe, tables, until="cohort")
    assert sorted(built.column("cohort", "stay", "stay_id")) == [STAY, STAY + 1][not is_kept :]
    if not is_kept:
        named = {"ddl_cxr": "not longer than", "medfuse": "shorter than"}[recipe]
        assert built.removed("cohort", "stay") == {f"{named} the minimum stay": 1}


def test_a_stay_without_a_film_is_a_sample_of_partial_and_none_of_paired(tmp_path):
    own = [{"subject_id": SUBJECT + n, "hadm_id": HADM + n} for n in range(3)]
    tables: dict[str, Any] = {
        "patients": [patient(SUBJECT + n) for n in range(3)],
        "admissions": [admission(**ids) for ids in own],
        "icustays": [icu_stay(STAY + n, **ids) for n, ids in enumerate(own)],
        "chartevents": [chart(220045, 1, 80, **own[n], stay_id=STAY + n) for n in range(3)],
    }
    films = [film("a", 5, 1), film("long ago", -9999, 2, subject_id=SUBJECT + 1)]
    columns = (
        "stay_id, previous_dicom_id, previous_study_id, previous_at, previous_view"
        ", hours_since_previous"
    )
    partial = medfuse(tmp_path / "partial", films, kinds=["stay"], **tables)
    rows = {row[0]: row[1:] for row in partial.rows("cohort", "stay", columns)}
    assert rows.keys() == {STAY, STAY + 1, STAY + 2}
    assert rows[STAY][0] == "a"
    assert rows[STAY + 1] == rows[STAY + 2] == (None,) * 5
    assert partial.removed("cohort", "stay") == {}
    # The ledger says how many have both.
    assert partial.removed("cohort", "stay with a film") == {"no film in its interval": 2}
    assert partial.column("cohort", "film", "dicom_id") == ["a"]
    assert check_tables(partial.params, partial.recipe)

    paired = medfuse(tmp_path / "paired", films, kinds=["stay"], pairing="paired", **tables)
    assert paired.rows("cohort", "stay", columns) == [(STAY, *rows[STAY])]
    # Measurements of stays that no film is near are not even read.
    assert paired.removed("cohort", "stay") == {"nothing measured in the window": 2}


def test_paired_drops_a_stay_whose_film_is_out_of_its_interval(tmp_path):
    ids = {"subject_id": SUBJECT + 1, "hadm_id": HADM + 1}
    built = medfuse(
        tmp_path,
        [film("a", 49, 1), film("b", 1, 2, subject_id=SUBJECT + 1)],
        pairing="paired",
        patients=[patient(), patient(SUBJECT + 1)],
        admissions=[admission(), admission(**ids)],
        icustays=[icu_stay(), icu_stay(STAY + 1, **ids)],
        chartevents=[*MEASURED, chart(220045, 1, 80, **ids, stay_id=STAY + 1)],
    )
    assert built.removed("cohort", "stay") == {"no film in its interval": 1}
    assert film_of(built) == ["b"]


# Hours of a stay, measured at -> window hours, hours that hold a measurement.
WINDOWS = [
    pytest.param("medfuse", 96, [-SECOND, 0, 48, 48 + SECOND], 48, [0, 47], id="0 and 48 belong"),
    pytest.param("medfuse", 48, [1, 1 + SECOND, 48], 48, [0, 1, 47], id="bins are (k, k + 1]"),
    pytest.param("medfuse_phenotyping", 50.5, [0, 50.5, 51], 51, [0, 50], id="a part of an hour"),
    pytest.param("medfuse_phenotyping", 50, [0, 50, 50 + SECOND], 50, [0, 49], id="whole hours"),
    pytest.param("medfuse_phenotyping", 0.5, [0.25, 1], 1, [0], id="less than an hour"),
    pytest.param("drfuse", 50.5, [48, 48 + SECOND], 48, [47], id="the first 48 of a longer stay"),
    pytest.param("drfuse", 20.25, [0, 20.25, 21], 21, [0, 20], id="all of a shorter one"),
]


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
@pytest.mark.parametrize(("recipe", "stay_hours", "measured", "hours", "held"), WINDOWS)
def test_windows(tmp_path, fidelity, recipe, stay_hours, measured, hours, held):
    built = medfuse(
        tmp_path,
        [film("a", 0, 1)],
        recipe,
        fidelity=fidelity,
        icustays=[icu_stay(**length(stay_hours))],
        labevents=[lab(50931, hour, 100 + hour) for hour in measured],
        chartevents=[],
    )
    assert built.column("window", "window", "hours") == [hours]
    assert built.column("window", "hourly", "hour") == held
    assert check_tables(built.params, built.recipe)


@pytest.mark.parametrize(
    ("recipe", "hours", "is_taken"),
    [
        ("medfuse_phenotyping", 60.5, True),
        ("medfuse_phenotyping", 60.5 + SECOND, False),
        ("drfuse", 48, True),
        ("drfuse", 48 + SECOND, False),
    ],
)
def test_phenotyping_takes_films_to_discharge_and_drfuse_to_hour_48(
    tmp_path, recipe, hours, is_taken
):
    stays = [icu_stay(**length(60.5))]
    built = medfuse(tmp_path, [film("a", hours, 1)], recipe, icustays=stays)
    assert film_of(built) == ["a" if is_taken else None]


def test_drfuse_takes_films_from_after_a_short_stay_only_as_published(tmp_path):
    columns = "previous_dicom_id, window_end_at::VARCHAR, prediction_at::VARCHAR"
    found = {}
    for fidelity in ("corrected", "published"):
        built = medfuse(
            tmp_path / fidelity,
            [film("within", 10, 1), film("after", 30, 2)],
            "drfuse",
            fidelity=fidelity,
            icustays=[icu_stay(**length(20))],
        )
        (found[fidelity],) = built.rows("cohort", "stay", columns)
        assert check_tables(built.params, built.recipe)
    assert found == {
        "corrected": ("within", at(20), at(20)),
        "published": ("after", at(20), at(48)),
    }


@pytest.mark.parametrize(
    ("measured", "is_kept"),
    [([-SECOND], False), ([48 + SECOND], False), ([0], True), ([48], True)],
)
def test_a_stay_without_a_measurement_in_its_window_is_dropped(tmp_path, measured, is_kept):
    ids = {"subject_id": SUBJECT + 1, "hadm_id": HADM + 1}
    built = medfuse(
        tmp_path,
        [film("a", 1, 1)],
        patients=[patient(), patient(SUBJECT + 1)],
        admissions=[admission(), admission(**ids)],
        icustays=[icu_stay(), icu_stay(STAY + 1, **ids)],
        chartevents=[
            *heart_rates(*measured),
            # Height is carried into the window, and is no measurement of it.
            chart(226730, -3, 170),
            chart(220045, 1, 80, **ids, stay_id=STAY + 1),
        ],
    )
    assert sorted(built.column("cohort", "stay", "stay_id")) == [STAY, STAY + 1][not is_kept :]
    dropped = {} if is_kept else {"nothing measured in the window": 1}
    assert built.removed("cohort", "stay") == dropped


def test_under_known_a_result_counts_only_if_the_chart_had_it_by_hour_48(tmp_path):
    late = [chart(220045, 47, 80, storetime=at(48 + SECOND)), chart(220045, 46, 81)]
    built = medfuse(tmp_path, [film("a", 1, 1)], availability="known", chartevents=late)
    assert built.column("window", "hourly", "hour") == [45]


def test_a_stay_that_moved_between_units_goes_first_then_admissions_of_several(tmp_path):
    # One admission of a stay with a transfer and a whole one; another of two whole ones.
    other = {"subject_id": SUBJECT + 1, "hadm_id": HADM + 1}
    built = medfuse(
        tmp_path,
        [film("a", 5, 1)],
        patients=[patient(), patient(SUBJECT + 1)],
        admissions=[admission(), admission(**other)],
        icustays=[
            icu_stay(),
            icu_stay(STAY + 1, last_careunit="SICU", intime=at(120), outtime=at(200), los=80 / 24),
            icu_stay(STAY + 2, **other),
            icu_stay(STAY + 3, intime=at(100), outtime=at(180), los=80 / 24, **other),
        ],
    )
    assert built.removed("cohort", "stay") == {
        "moved between care units": 1,
        "several stays in the admission": 2,
    }
    assert built.column("cohort", "stay", "stay_id") == [STAY]


def test_a_film_belongs_to_both_of_two_stays_that_overlap(tmp_path):
    # Two admissions of one patient, the second from hour 40 on: their intervals are [0, 48] and
    # [40, 88].
    second = {"hadm_id": HADM + 1, "stay_id": STAY + 1}
    built = medfuse(
        tmp_path,
        [film("first only", 39, 1), film("both", 44, 2), film("second only", 60, 3)],
        admissions=[admission(), admission(HADM + 1, admittime=at(40))],
        icustays=[
            icu_stay(),
            icu_stay(STAY + 1, hadm_id=HADM + 1, intime=at(40), outtime=at(140), los=100 / 24),
        ],
        chartevents=[*MEASURED, chart(220045, 41, 80, **second)],
        kinds=["stay"],
    )
    taken = dict(built.rows("cohort", "stay", "stay_id, previous_dicom_id"))
    assert taken == {STAY: "both", STAY + 1: "second only"}
    assert built.column("cohort", "split", "COUNT(*)") == [1]

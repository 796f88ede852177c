"""DDL-CXR's own errors, one literal row each: kept under `published`, mended under `corrected`."""

from typing import Any

import pytest
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

from cxrfuture_data.schema import VARIABLES, ContractError
from etl.published_hours import charted_hours, edges, film_hours, read_back
from etl.recipe import read_recipe

SECOND = 1 / 3600
FILMS = [film("a", 0, 1), film("b", 20, 2)]
SIX_HOURS = heart_rates(1, 2, 3, 4, 5, 6)
CATEGORIES = {variable.name: variable.categories for variable in VARIABLES}


def ddl_cxr(tmp_path: Any, fidelity: str, **tables: Any) -> Built:
    given = {"cxr_metadata": FILMS, "chartevents": SIX_HOURS, **tables}
    return build(tmp_path / fidelity, "ddl_cxr", given, fidelity=fidelity)


def cells(built: Built, kind: str, variable: str) -> dict[int, float]:
    rows = built.rows("window", "hourly", f'kind, hour, "{variable}"')
    return {hour: value for found, hour, value in rows if found == kind and value is not None}


# variable, rows -> hours of the stay's window under published, and under corrected.
VALUES = [
    pytest.param(
        "Fraction inspired oxygen",
        [chart(223835, 1, 0.5), chart(223835, 2, 40), chart(223835, 3, 1)],
        {0: 0.005, 1: 0.4, 2: 0.01},
        {0: 0.5, 1: 0.4, 2: 1.0},
        id="FiO2 is divided by 100, always",
    ),
    pytest.param(
        "Temperature",
        [chart(223761, 1, 98.6), chart(223761, 2, 70), chart(223762, 3, 37), chart(223762, 4, 80)],
        {0: 37.0, 1: 70, 2: 37, 3: 80 / 3},
        {0: 37.0, 1: 190 / 9, 2: 37, 3: 80 / 3},
        id="only 79 degrees and more are Fahrenheit",
    ),
    pytest.param(
        "Height",
        [chart(226707, 1, 70), chart(226730, 2, 178)],
        {0: 70, 1: 178},
        {0: 177.8, 1: 178},
        id="inches stay inches",
    ),
    pytest.param(
        "Weight",
        [chart(226531, 1, 200), chart(224639, 2, 80)],
        {0: 90.7184, 1: 80},
        {0: 90.7184, 1: 80},
        id="pounds are converted in both",
    ),
    pytest.param(
        "Oxygen saturation",
        [chart(220277, 1, 0.97), chart(220277, 2, 1), chart(220277, 3, 95)],
        {0: 97, 1: 100, 2: 95},
        {0: 97, 1: 100, 2: 95},
        id="a saturation of 1 or less is a fraction in both",
    ),
    pytest.param(
        "Respiratory rate",
        [chart(220210, 1, 9), chart(224690, 1, 10), chart(220210, 2, 100), chart(224690, 2, 86)],
        {0: 9, 1: 86},
        {0: 10, 1: 100},
        id="of texts at one time the larger text wins",
    ),
    pytest.param(
        "Systolic blood pressure",
        [chart(220050, 1, 9), chart(220179, 1, 100)],
        {0: 100},
        {0: 100},
        id="pressures are numbers in both",
    ),
    pytest.param(
        "Heart Rate",
        [chart(220045, 1, 86, value="___"), chart(220045, 2, None, value="90")],
        {1: 90},
        {0: 86},
        id="numbers come from the text, or from valuenum",
    ),
    pytest.param(
        "Heart Rate",
        [chart(220045, 0, 60), chart(220045, 48, 61), chart(220045, 48 + SECOND, 62)],
        {47: 61},
        {0: 60, 47: 61},
        id="hour 0 is dropped",
    ),
    pytest.param(
        "Heart Rate",
        [chart(220045, 1, 900), chart(220045, 2, 90)],
        {0: 900, 1: 90},
        {1: 90},
        id="impossible values are kept, to be clipped",
    ),
    pytest.param(
        "GCS total",
        [
            chart(220739, 1, 4, value="Spontaneously"),
            chart(223900, 1, 4, value="Confused"),
            chart(223901, 1, 6, value="Obeys Commands"),
            chart(226755, 3, 15),
        ],
        {},
        {0: CATEGORIES["GCS total"].index("14"), 2: CATEGORIES["GCS total"].index("15")},
        id="GCS total has no item, or is charted and added up",
    ),
    pytest.param(
        "Capillary refill rate",
        [chart(223951, 1, 0, value="Normal <3 Seconds")],
        {},
        {0: 0},
        id="capillary refill has no item",
    ),
]


@pytest.mark.parametrize("fidelity", ["published", "corrected"])
@pytest.mark.parametrize(("variable", "rows", "published", "corrected"), VALUES)
def test_a_value(tmp_path, variable, rows, published, corrected, fidelity):
    built = ddl_cxr(tmp_path, fidelity, chartevents=rows, cxr_metadata=[film("a", 0, 1)])
    expected = published if fidelity == "published" else corrected
    found = cells(built, "stay", variable)
    assert found.keys() == expected.keys()
    assert list(found.values()) == pytest.approx(list(expected.values()), abs=1e-12)


LABS = [
    pytest.param(lab(50931, 1, 140, value="___"), {}, {0: 140}, "Glucose", id="blanked out"),
    pytest.param(lab(50931, 1, 140, value="<10"), {}, {0: 140}, "Glucose", id="no plain number"),
    pytest.param(lab(51478, 1, 300), {0: 300}, {}, "Glucose", id="urine glucose"),
    pytest.param(lab(51094, 1, 6), {0: 6}, {}, "pH", id="urine pH"),
    pytest.param(lab(50820, 1, 7.4, hadm_id=None), {}, {0: 7.4}, "pH", id="no admission named"),
    pytest.param(lab(50820, 1, 7.4), {0: 7.4}, {0: 7.4}, "pH", id="blood"),
]


@pytest.mark.parametrize("fidelity", ["published", "corrected"])
@pytest.mark.parametrize(("row", "published", "corrected", "variable"), LABS)
def test_a_laboratory_result(tmp_path, row, published, corrected, variable, fidelity):
    built = ddl_cxr(tmp_path, fidelity, labevents=[row])
    expected = published if fidelity == "published" else corrected
    assert cells(built, "stay", variable) == expected


@pytest.mark.parametrize(
    ("fidelity", "none_text", "found"),
    [("published", "lost", {}), ("published", "kept", {0: 4}), ("corrected", "lost", {0: 4})],
)
def test_eye_opening_none_is_lost_under_pandas_2(tmp_path, fidelity, none_text, found):
    cohort = read_recipe("ddl_cxr").cohort.model_copy(update={"none_text": none_text})
    rows = [chart(220739, 1, 1, value="None")]
    tables = {"cxr_metadata": [film("a", 0, 1)], "chartevents": rows}
    built = build(tmp_path, "ddl_cxr", tables, fidelity=fidelity, cohort=cohort)
    assert cells(built, "stay", "GCS eye opening") == found


def test_a_height_of_the_admission_is_carried_into_a_later_window(tmp_path):
    rows = [chart(226730, 1, 178), *heart_rates(3, 4, 5, 6, 7, 8)]
    films = [film("a", 2, 1), film("b", 20, 2)]
    found = {
        fidelity: cells(
            ddl_cxr(tmp_path, fidelity, chartevents=rows, cxr_metadata=films), "pair", "Height"
        )
        for fidelity in ("published", "corrected")
    }
    assert found == {"published": {}, "corrected": {0: 178}}


def test_a_carried_height_neither_starts_a_window_nor_counts_as_an_hour(tmp_path):
    rows = [chart(226730, 1, 178), *heart_rates(3, 4, 5, 6, 7)]
    films = [film("a", 2, 1), film("b", 20, 2)]
    built = ddl_cxr(tmp_path, "corrected", chartevents=rows, cxr_metadata=films)
    assert built.removed("cohort", "pair") == {"too few hours with a measurement": 1}


def test_fractions_of_a_second_are_lost(tmp_path):
    films = [film("a", 0, 1), film("b", 20, 2, studytime=200000.75)]
    times = {
        fidelity: ddl_cxr(tmp_path, fidelity, cxr_metadata=films).column(
            "cohort", "stay", "previous_at::VARCHAR"
        )
        for fidelity in ("published", "corrected")
    }
    assert times == {"published": [at(20)], "corrected": ["2150-01-02 20:00:00.75"]}


def test_age_is_the_anchor_age_and_dod_a_midnight(tmp_path):
    facts = {}
    for fidelity in ("published", "corrected"):
        built = ddl_cxr(
            tmp_path, fidelity, patients=[patient(dod="2150-01-01")], admissions=[admission()]
        )
        facts[fidelity] = built.rows("cohort", "stay", "age, died_in_hospital")
    # Admitted on 2150-01-01 at 00:00, so that midnight is just within; born 60 years before 2148.
    assert facts == {"published": [(60, True)], "corrected": [(62, True)]}
    later = {"admissions": [admission(admittime=at(-23))], "patients": [patient(dod="2150-01-01")]}
    built = ddl_cxr(tmp_path / "later", "published", **later)
    assert built.column("cohort", "stay", "died_in_hospital") == [False]


def test_a_deathtime_decides_before_dod(tmp_path):
    # Died an hour after discharge, which only who died in hospital has a time for.
    tables = {
        "patients": [patient(dod="2150-01-12")],
        "admissions": [admission(deathtime=at(236), dischtime=at(235))],
    }
    died = {
        fidelity: ddl_cxr(tmp_path, fidelity, **tables).column("cohort", "stay", "died_in_hospital")
        for fidelity in ("published", "corrected")
    }
    assert died == {"published": [False], "corrected": [True]}


@pytest.mark.parametrize("fidelity", ["published", "corrected"])
def test_an_admission_without_a_discharge(tmp_path, fidelity):
    tables = {"admissions": [admission(dischtime=at(-25))]}
    if fidelity == "published":
        assert len(ddl_cxr(tmp_path, fidelity, **tables).rows("cohort", "stay")) == 1
    else:
        with pytest.raises(ContractError, match="no sample is left"):
            ddl_cxr(tmp_path, fidelity, **tables)


def test_events_of_another_stay_count_where_two_stays_overlap(tmp_path):
    other = {"hadm_id": HADM + 1}
    tables = {
        "admissions": [admission(), admission(HADM + 1)],
        "icustays": [icu_stay(), icu_stay(STAY + 1, **other, intime=at(2))],
        "chartevents": [
            *SIX_HOURS,
            chart(220179, 5, 120, stay_id=STAY + 1, **other),
        ],
    }
    found = {}
    for fidelity in ("published", "corrected"):
        built = ddl_cxr(tmp_path, fidelity, **tables)
        keys = {stay: key for key, stay in built.rows("cohort", "stay", "key, stay_id")}
        hourly = built.rows("window", "hourly", 'key, hour, "Systolic blood pressure"')
        found[fidelity] = {hour for key, hour, value in hourly if key == keys[STAY] and value}
    assert found == {"published": {4}, "corrected": set()}


# Seconds since ICU admission, and the hours that pandas 2.0.3 reads from "0.016666666666666666" ...
READ_BY_PANDAS = {
    0: 0.0,
    60: 0.0166666666666666,
    240: 0.0666666666666666,
    3660: 1.0166666666666666,
    172500: 47.91666666666666,
    -51234: -14.231666666666666,
}


def test_hours_go_through_a_csv_file():
    assert {second: charted_hours(second) for second in READ_BY_PANDAS} == READ_BY_PANDAS
    assert read_back(1e-05) == 1e-05
    assert film_hours(48 * 3600) == 48


def test_a_value_charted_in_the_second_of_a_film_may_fall_out_of_the_window():
    # The film is at 1/60 h, the value is read as 0.0166666666666666: before a window that starts
    # there, and in one that ends there; cut, the window has the film's hours from a csv file too.
    assert edges(60) == {
        "seconds": 60,
        "in_length_at_start": False,
        "in_length_at_end": True,
        "in_window_at_start": True,
        "in_window_at_end": True,
    }


def test_some_whole_hours_fall_short_of_themselves():
    short = [
        minute
        for minute in range(60)
        if charted_hours(8 * 3600 + 60 * minute) - charted_hours(2 * 3600 + 60 * minute) < 6
    ]
    assert 0 < len(short) < 60


def test_a_split_that_the_rule_leaves_empty_stays_empty(tmp_path):
    built = ddl_cxr(tmp_path, "published")
    assert built.rows("cohort", "split", "subject_id, split") == [(SUBJECT, "test")]

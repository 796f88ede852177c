"""Measurements in one unit each, and events as text."""

from typing import Any

import duckdb
import pytest
from tiny_stages import HADM, SUBJECT, Built, at, build, chart, film, lab

from cxrfuture_data.schema import EVENT_TABLES, VARIABLES
from etl.source_text import TEXT_TABLES
from etl.sqlfile import read_sql

FILMS = [film("a", 0, 1), film("b", 24, 2)]


def measure(tmp_path: Any, **tables: Any) -> Built:
    return build(tmp_path, "ddl_cxr", {"cxr_metadata": FILMS, **tables}, until="event")


def texts(tmp_path: Any, **tables: Any) -> Built:
    return build(tmp_path, "ehrxdiff", {"cxr_metadata": FILMS, **tables}, until="event")


NUMBERS = [
    (223835, 0.5, "Fraction inspired oxygen", 0.5),  # a fraction already
    (223835, 1, "Fraction inspired oxygen", 1.0),
    (223835, 40, "Fraction inspired oxygen", 0.4),
    (223835, 100, "Fraction inspired oxygen", 1.0),
    (223761, 98.6, "Temperature", 37.0),
    (223762, 37, "Temperature", 37.0),
    (223762, 98.6, "Temperature", 37.0),  # Fahrenheit under the Celsius item
    (226707, 70, "Height", 177.8),
    (226730, 178, "Height", 178.0),
    (226531, 220, "Weight", 99.79024),
    (224639, 99, "Weight", 99.0),
    (220277, 0.97, "Oxygen saturation", 97.0),
    (220277, 97, "Oxygen saturation", 97.0),
    (220045, 80, "Heart Rate", 80.0),
]


def test_a_charted_number_becomes_the_unit_of_the_contract(tmp_path):
    rows = [chart(itemid, hour, number) for hour, (itemid, number, _, _) in enumerate(NUMBERS)]
    built = measure(tmp_path, chartevents=rows)
    found = built.rows("event", "measurement", "variable, value")
    assert [variable for variable, _ in found] == [row[2] for row in NUMBERS]
    assert [value for _, value in found] == pytest.approx([row[3] for row in NUMBERS], rel=1e-6)


TEXTS = [
    (220739, "None", "GCS eye opening", "None"),  # a category, not a missing value
    (220739, "To Speech", "GCS eye opening", "To Speech"),
    (223900, "No Response-ETT", "GCS verbal response", "No Response-ETT"),
    (223901, "Obeys Commands", "GCS motor response", "Obeys Commands"),
    (223951, "Normal <3 Seconds", "Capillary refill rate", "0.0"),
    (224308, "Abnormal >3 Seconds", "Capillary refill rate", "1.0"),
    (224308, "Delayed", "Capillary refill rate", "1.0"),
]


def test_a_charted_text_becomes_its_position(tmp_path):
    rows = [chart(itemid, hour, 4, value=text) for hour, (itemid, text, _, _) in enumerate(TEXTS)]
    built = measure(tmp_path, chartevents=rows)
    categories = {variable.name: variable.categories for variable in VARIABLES}
    assert built.rows("event", "measurement", "variable, value") == [
        (variable, categories[variable].index(category)) for _, _, variable, category in TEXTS
    ]


def test_what_is_no_measurement_is_counted_by_reason(tmp_path):
    built = measure(
        tmp_path,
        chartevents=[
            chart(220045, 1, 80),
            chart(220046, 1, 120),  # an alarm limit
            chart(220045, 2, None, value="see note"),
            chart(220739, 2, 4, value="Maybe"),
            chart(223835, 2, 4050),
            chart(220045, 2, 80, hadm_id=HADM + 1),  # an admission without films
        ],
    )
    assert built.removed("event", "chartevents row") == {
        "item not used": 1,
        "admission without the films a sample needs": 1,
        "no number, or a text that is no category": 2,
        "inspired oxygen above 100 percent": 1,
    }
    assert len(built.rows("event", "measurement")) == 1


def test_urine_and_other_fluids_are_not_read_as_blood(tmp_path):
    rows = [lab(itemid, 1, 6.0) for itemid in (51478, 51094, 51491, 50831)]
    built = measure(tmp_path, labevents=rows)
    assert built.rows("event", "measurement") == []


def test_a_blanked_out_text_keeps_its_number(tmp_path):
    built = measure(tmp_path, labevents=[lab(50931, 1, 140, value="___")])
    assert built.rows("event", "measurement", "variable, value") == [("Glucose", 140.0)]


def test_a_result_without_admission_belongs_to_the_one_it_was_drawn_in(tmp_path):
    nobody: Any = {"hadm_id": None}
    built = measure(
        tmp_path,
        labevents=[
            lab(50931, -24, 100, **nobody),  # at admission
            lab(50931, 240, 101, **nobody),  # at discharge
            lab(50931, 240.01, 102, **nobody),
            lab(50931, -24.01, 103, **nobody),
        ],
    )
    assert built.rows("event", "measurement", "hadm_id, stay_id, value") == [
        (HADM, None, 100.0),
        (HADM, None, 101.0),
    ]
    reason = "no admission named, and drawn in none that has films"
    assert built.removed("event", "labevents row") == {reason: 2}


def test_known_at_is_the_storetime_but_never_before_the_event(tmp_path):
    stored = [at(3), None, at(0)]
    rows = [chart(220045, 1, 80, storetime=storetime) for storetime in stored]
    built = measure(tmp_path, chartevents=rows)
    assert built.column("event", "measurement", "known_at::VARCHAR") == [at(3), at(1), at(1)]


def test_a_lab_reads_as_its_columns_with_the_label_for_the_item(tmp_path):
    built = texts(
        tmp_path,
        d_labitems=[{"itemid": 50821, "label": "pO2", "category": "Blood Gas"}],
        labevents=[
            lab(
                50821,
                1,
                75.0,
                value="75",
                valueuom="mm Hg",
                ref_range_lower=85,
                ref_range_upper=105.5,
                flag="abnormal",
                comments="two\nlines,  wide",
            )
        ],
    )
    assert built.texts() == [
        "labevents itemid pO2 value 75 valueuom mm Hg ref_range_lower 85"
        " ref_range_upper 105.5 flag abnormal comments two lines, wide"
    ]


def test_long_decimals_are_rounded_and_the_rest_keeps_its_spelling(tmp_path):
    charted = ("1.2000000476837158", "97.0", "0.12346", "12:00")
    built = texts(
        tmp_path,
        d_items=[
            {"itemid": 7, "label": "Rate", "linksto": "chartevents", "category": "Respiratory"}
        ],
        chartevents=[chart(7, hour, None, value=value) for hour, value in enumerate(charted)],
    )
    assert built.texts() == [
        f"chartevents itemid Rate value {spelt}" for spelt in ("1.2", "97.0", "0.1235", "12:00")
    ]


def test_an_item_without_label_is_left_out_of_the_text(tmp_path):
    built = texts(
        tmp_path,
        outputevents=[
            {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(1), "itemid": 9, "value": 50}
        ],
    )
    assert built.texts() == ["outputevents value 50"]


def test_drugs_are_compared_with_their_blanks(tmp_path):
    rows = [
        {"subject_id": SUBJECT, "hadm_id": HADM, "starttime": at(1), "drug": drug}
        for drug in ("Aspirin 81 mg ", "Aspirin 81 mg", "Acetaminophen")
    ]
    built = texts(tmp_path, prescriptions=rows)
    assert built.texts() == ["prescriptions drug Aspirin 81 mg"]
    assert built.removed("event", "prescriptions row") == {"drug not used": 2}


def test_a_culture_with_a_date_alone_has_no_time(tmp_path):
    culture = {
        "subject_id": SUBJECT,
        "hadm_id": HADM,
        "chartdate": at(0),
        "spec_type_desc": "SPUTUM",
    }
    built = texts(tmp_path, microbiologyevents=[culture, culture | {"charttime": at(1)}])
    assert built.removed("event", "microbiologyevents row") == {"no time": 1}
    assert built.texts() == ["microbiologyevents spec_type_desc SPUTUM"]


def test_one_film_makes_no_pair_so_its_admission_brings_no_text(tmp_path):
    row = {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(1), "itemid": 9, "value": 5}
    built = build(
        tmp_path, "ehrxdiff", {"cxr_metadata": FILMS[:1], "outputevents": [row]}, until="event"
    )
    assert built.removed("event", "outputevents row") == {
        "admission without the films a sample needs": 1
    }


@pytest.mark.parametrize(("recipe", "table"), [("ddl_cxr", "event"), ("ehrxdiff", "measurement")])
def test_what_a_recipe_does_not_ask_for_is_an_empty_table_of_the_same_types(
    tmp_path, recipe, table
):
    built = build(tmp_path, recipe, {"cxr_metadata": FILMS}, until="event")
    assert built.rows("event", table) == []
    path = built.params.build(recipe, "event", f"{table}.parquet")
    types = {row[0]: row[1] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()}
    assert types["event_at"] == types["known_at"] == "TIMESTAMP"
    assert types.get("value", "FLOAT") == "FLOAT"
    assert types.get("event_table", "UTINYINT") == "UTINYINT"


@pytest.mark.parametrize("number", range(len(EVENT_TABLES)))
def test_an_event_points_at_its_table(number):
    body = read_sql(f"event/text/{EVENT_TABLES[number]}").body
    assert f"CAST({number} AS UTINYINT) AS event_table" in body
    assert f", '{EVENT_TABLES[number]}'" in body
    assert TEXT_TABLES[number].name == EVENT_TABLES[number]


@pytest.mark.parametrize(
    ("name", "count"),
    # As many as specs ehrxdiff A.2 to A.7 list: 113 + 205 drugs, none of them twice.
    [("drug", 318), ("chart_category", 24), ("specimen", 15), ("procedure_category", 7)],
)
def test_the_lists_are_whole(name, count):
    sql = read_sql(f"event/text/{name}")
    assert duckdb.sql(f"SELECT COUNT(*) FROM ({sql.body})").fetchall() == [(count,)]


def test_every_item_is_a_variable_of_the_contract():
    body = read_sql("event/variable_item").body
    mapped = {row[0] for row in duckdb.sql(f"SELECT variable FROM ({body})").fetchall()}
    assert {variable.name for variable in VARIABLES} - mapped == {"GCS total"}
    assert mapped <= {variable.name for variable in VARIABLES}

"""Measurements in one unit each, and events as text."""

import gzip
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tiny_mimic import REPOSITORY, rewrite
from tiny_stages import HADM, SUBJECT, Built, at, build, chart, film, lab

from cxrfuture_data.schema import EHRXDIFF_TABLES, VARIABLES, ContractError
from etl import event
from etl.recipe import WindowRule, read_recipe
from etl.source_text import TEXT_TABLES
from etl.sqlfile import read_sql

RECIPES = REPOSITORY / "etl" / "recipes"
FILMS = [film("a", 0, 1), film("b", 24, 2)]


def measure(tmp_path: Any, **tables: Any) -> Built:
    return build(tmp_path, "ddl_cxr", {"cxr_metadata": FILMS, **tables}, until="event")


def texts(tmp_path: Any, **tables: Any) -> Built:
    return build(tmp_path, "ehrxdiff", {"cxr_metadata": FILMS, **tables}, until="event")


def published(tmp_path: Any, **tables: Any) -> Built:
    given = {"cxr_metadata": FILMS, **tables}
    return build(tmp_path, "ehrxdiff", given, until="event", fidelity="published")


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
        "admission without the stay and films a sample needs": 1,
        "no number, or a text that is no category": 2,
        "outside the plausible range": 1,
    }
    assert len(built.rows("event", "measurement")) == 1
    # Two files hold the rules: the second counts on from what the first leaves.
    drops = [drop for drop in built.drops("event") if drop.unit == "chartevents row"]
    assert drops[0].before == 6
    assert [drop.before for drop in drops[1:]] == [drop.after for drop in drops[:-1]]
    assert drops[-1].after == 1


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


PO2 = {"itemid": 50821, "label": "pO2", "category": "Blood Gas"}
# What Python's regular expression and float made of the same cells in the authors' code.
SPELT = [
    ("1.0", "1.0"),
    ("1", "1"),
    (".5", "0.5"),
    ("-.5", "-0.5"),
    ("7.3500001", "7.35"),
    ("12.", "12."),
    ("1e-05", "1e-05"),
    ("0.000049", "0.0"),
    ("0.00005", "0.0001"),
    ("1.00005", "1.0001"),
    ("1.99995", "1.9999"),
    ("0.99999", "1.0"),
    ("100000000000000000000.5", "1e+20"),
    ("12345678901234567.5", "1.2345678901234568e+16"),
    ("1.5.2", "1.50.2"),
    ("v1.2.3.4", "v1.20.30.4"),
    ("1..2", "1.0.2"),
    ("10.10", "10.1"),
    ("2.00", "2.0"),
    ("007.50", "7.5"),
    ("007", "007"),
    ("> 10.0", "> 10.0"),
    ("<0.50 ", "<0.5 "),
    ("1,000.5", "1,0.5"),
    ("10.25/5.125", "10.25/5.125"),
    ("1.7976931348623159e309", "1.7977e309"),
    ("\u0663.\u0665", "3.5"),
    ("9.50\u00b5g", "9.5\u00b5g"),
    ("...", "..."),
    (" 5", " 5"),
    (" ", " "),
    ("a  b", "a  b"),
]


def test_a_published_text_rounds_numbers_with_a_dot_and_keeps_all_else(tmp_path):
    rows = [lab(50821, 1 + n / 60, None, value=cell) for n, (cell, _) in enumerate(SPELT)]
    built = published(tmp_path, d_labitems=[PO2], labevents=rows)
    assert built.texts() == [f"labevents itemid pO2 value {spelt}" for _, spelt in SPELT]


def test_a_published_text_takes_numbers_and_names_from_the_file(tmp_path):
    row = {"subject_id": SUBJECT, "hadm_id": HADM, "starttime": at(1), "itemid": 9}
    row |= {"ordercategoryname": "Imaging", "value": "5039.0", "originalamount": "5039.50"}
    built = published(tmp_path, procedureevents=[row | {"location": "R IJ  "}])
    path = Path(built.params.paths.mimic_iv) / "icu" / "procedureevents.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode().replace("originalamount", "ORIGINALAMOUNT")
    rewrite(path, text)
    event.run(built.params, built.recipe)
    assert built.texts() == [
        "procedureevents value 5039.0 location R IJ   ordercategoryname Imaging"
        " ORIGINALAMOUNT 5039.5"
    ]


def test_a_published_text_skips_a_quoted_empty_cell_and_a_row_may_hold_none(tmp_path):
    row = {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(1), "valueuom": "ml"}
    built = published(tmp_path, outputevents=[row])
    path = Path(built.params.paths.mimic_iv) / "icu" / "outputevents.csv.gz"
    rewrite(path, gzip.decompress(path.read_bytes()).decode().replace(",ml", ',""'))
    event.run(built.params, built.recipe)
    assert built.texts() == ["outputevents"]


def test_published_drops_are_counted_by_the_same_rules(tmp_path):
    gas = lab(50821, 1, 75)
    rows = [gas, gas | {"itemid": 50822}, gas | {"hadm_id": None}, gas | {"hadm_id": HADM + 1}]
    rows += [gas | {"charttime": None}]
    built = published(tmp_path, d_labitems=[PO2], labevents=rows)
    assert built.removed("event", "labevents row") == {
        "item not used": 1,
        "no admission named": 1,
        "admission without the films a sample needs": 1,
        "no time": 1,
    }


@pytest.mark.parametrize(("make", "fraction"), [(published, ""), (texts, ".9")])
def test_fractions_of_an_event_s_second_are_cut_as_published(tmp_path, make, fraction):
    built = make(tmp_path, d_labitems=[PO2], labevents=[lab(50821, 1 + 0.9 / 3600, 75)])
    assert built.column("event", "event", "event_at::VARCHAR") == [f"2150-01-02 01:00:00{fraction}"]


def test_a_result_without_admission_is_lost_as_published_and_found_by_time_when_corrected(tmp_path):
    rows = [lab(50821, hours, 75, hadm_id=None) for hours in (-24, 240, 240.01)]
    tables: Any = {"d_labitems": [PO2], "labevents": rows}
    assert published(tmp_path / "published", **tables).texts() == []
    built = texts(tmp_path / "corrected", **tables)
    assert built.column("event", "event", "hadm_id") == [HADM, HADM]
    reason = "no admission named, and drawn in none that has films"
    assert built.removed("event", "labevents row") == {reason: 1}


CULTURE = {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(1), "spec_type_desc": "SPUTUM"}


@pytest.mark.parametrize(
    ("stored", "known_hours"),
    [
        ({"storetime": at(50), "storedate": at(48)}, 50),
        ({"storedate": at(48)}, 72),  # the end of that day
        ({}, 240),  # discharge
        ({"storetime": at(0)}, 1),  # never before it was taken
    ],
)
def test_a_culture_is_known_when_its_result_was_stored(tmp_path, stored, known_hours):
    rows = [CULTURE | {"org_name": "KLEBSIELLA"} | stored]
    built = texts(tmp_path, microbiologyevents=rows)
    assert built.column("event", "event", "known_at::VARCHAR") == [at(known_hours)]


def test_as_published_a_culture_without_times_of_storing_is_known_when_taken(tmp_path):
    built = published(tmp_path, microbiologyevents=[CULTURE])
    assert built.column("event", "event", "known_at::VARCHAR") == [at(1)]


def test_what_lasts_says_neither_how_long_nor_how_much(tmp_path):
    here: Any = {"subject_id": SUBJECT, "hadm_id": HADM, "starttime": at(1)}
    procedure = here | {"ordercategoryname": "Ventilation", "value": 60, "valueuom": "min"}
    infusion = here | {"amount": 100, "amountuom": "ml", "rate": 50, "totalamount": 500}
    infusion |= {"totalamountuom": "ml", "originalamount": 500}
    ends = [at(1), at(1 + 1 / 60), at(1 + 2 / 60)]
    built = texts(
        tmp_path,
        procedureevents=[procedure | {"endtime": end, "originalamount": 60} for end in ends[:2]],
        inputevents=[infusion | {"endtime": end} for end in ends[1:]],
    )
    assert built.texts() == [
        "inputevents amount 100 amountuom ml rate 50 totalamount 500 totalamountuom ml"
        " originalamount 500",  # pushed within a minute
        "inputevents rate 50",
        "procedureevents value 60 valueuom min ordercategoryname Ventilation originalamount 60",
        "procedureevents ordercategoryname Ventilation",
    ]


def test_a_clean_text_says_a_number_once_and_nothing_that_is_blanked_out(tmp_path):
    rows = [
        lab(50821, 1, 75.0, value="75.0"),
        lab(50821, 2, 75.0, value="___", comments="___"),
        lab(50821, 3, 75.0, value=">75"),
    ]
    assert texts(tmp_path, d_labitems=[PO2], labevents=rows).texts() == [
        "labevents itemid pO2 value 75.0",
        "labevents itemid pO2 valuenum 75",
        "labevents itemid pO2 value >75 valuenum 75",
    ]


def test_word_pieces_are_what_all_later_stages_read(tmp_path):
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] labevents item ##id po value 7 5 2 ."
    (tmp_path / "vocab.txt").write_text("\n".join(words.split()))
    rule = read_recipe("ehrxdiff").window.model_dump()
    rule |= {"text": str(tmp_path)}
    built = build(
        tmp_path,
        "ehrxdiff",
        {"cxr_metadata": FILMS, "d_labitems": [PO2], "labevents": [lab(50821, 1, 7.5)]},
        fidelity="published",
        window=WindowRule.model_validate(rule),
    )
    assert built.window_texts() == ["labevents itemid po 2 value 7. 5 7. 5"]  # no valuenum


def test_word_pieces_without_a_vocabulary_are_refused(tmp_path):
    rule = read_recipe("ehrxdiff").window.model_copy(update={"text": str(tmp_path / "bert")})
    with pytest.raises(ContractError, match=r"window.text: no vocab.txt in .*bert; word pieces"):
        build(tmp_path, "ehrxdiff", {"cxr_metadata": FILMS}, fidelity="published", window=rule)


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
    assert types.get("value", "DOUBLE") == "DOUBLE"
    assert types.get("event_table", "UTINYINT") == "UTINYINT"


@pytest.mark.parametrize("number", range(len(EHRXDIFF_TABLES)))
def test_an_event_points_at_its_table(number):
    body = read_sql(f"event/text/{EHRXDIFF_TABLES[number]}").body
    assert f"CAST({number} AS UTINYINT) AS event_table" in body
    assert f", '{EHRXDIFF_TABLES[number]}'" in body
    assert TEXT_TABLES[number].name == EHRXDIFF_TABLES[number]


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
    for is_corrected, items in ((True, 44), (False, 44)):
        rules = {"blood_without_urine": is_corrected, "gcs_total_and_refill": is_corrected}
        rows = duckdb.execute(f"SELECT variable FROM ({body})", rules).fetchall()
        # Specs ddl-cxr 3.1 lists 44 items; corrected leaves out four and takes in four.
        assert len(rows) == items
        missing = {variable.name for variable in VARIABLES} - {row[0] for row in rows}
        assert missing == (set() if is_corrected else {"GCS total", "Capillary refill rate"})

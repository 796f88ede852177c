"""What the recipe `future` measures: items, units, moments and what runs."""

import csv
import gzip
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tiny_mimic import REPOSITORY, demo_root, write_tree
from tiny_stages import HADM, ICU_ADMISSION, SUBJECT, admission, at, chart, film, lab, patient

from cxrfuture_data.schema import WIDE_VARIABLES
from etl import ingest
from etl.event import create_filmed_admission
from etl.ledger import Drop
from etl.params import SqlParams
from etl.recipe import FutureRecipe, read_recipe
from etl.sqlfile import NAME_TYPES, bind_tables, open_sql, read_sql
from etl.wide_measurement import TABLES, write_wide_measurements

FILMS = [film("a", 1, 1)]


def infusion(itemid: int, begins: float, ends: float, **changes: Any) -> dict[str, Any]:
    """A row of inputevents, stored when it began."""
    return {
        "subject_id": SUBJECT,
        "hadm_id": HADM,
        "starttime": at(begins),
        "endtime": at(ends),
        "storetime": at(begins),
        "itemid": itemid,
        "ordercategoryname": "01-Drips",
        "patientweight": 80.0,
        "statusdescription": "FinishedRunning",
    } | changes


def fluid(begins: float, ends: float, amount: float, **changes: Any) -> dict[str, Any]:
    """NaCl 0.9%, at an even rate."""
    rate = amount / (ends - begins)
    rows = {"amount": amount, "amountuom": "ml", "rate": rate, "rateuom": "mL/hour"}
    return infusion(225158, begins, ends, **rows) | changes


def pressor(rate: float | None, unit: str, itemid: int = 221906, **changes: Any) -> dict[str, Any]:
    """An hour of norepinephrine, or of another agent."""
    return infusion(itemid, 5, 6, rate=rate, rateuom=unit, amount=1.0, amountuom="mg", **changes)


def output(itemid: int, hours: float, volume: float, **changes: Any) -> dict[str, Any]:
    return {
        "subject_id": SUBJECT,
        "hadm_id": HADM,
        "charttime": at(hours),
        "storetime": at(hours),
        "itemid": itemid,
        "value": volume,
        "valueuom": "ml",
    } | changes


class Measured:
    def __init__(self, folder: Path, drops: list[Drop]) -> None:
        self.drops = drops
        query = "SELECT variable, value, event_at, ends_at, known_at FROM read_parquet($path)"
        path = str(folder / "measurement.parquet")
        rows = duckdb.execute(query, {"path": path}).fetchall()
        self.rows = [(row[0], row[1], *map(_hours, row[2:])) for row in rows]
        self.values = {row[0]: row[1] for row in rows}

    def removed(self) -> dict[str, int]:
        return {drop.reason: drop.removed for drop in self.drops if drop.removed}


def _hours(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - ICU_ADMISSION) / timedelta(hours=1)


@pytest.fixture
def measure(tmp_path):
    def run(**tables: list[dict[str, Any]]) -> Measured:
        whole = {"patients": [patient()], "admissions": [admission()], "cxr_metadata": FILMS}
        recipe = read_recipe("future")
        assert isinstance(recipe, FutureRecipe)
        empty: dict[str, list[dict[str, Any]]] = {name: [] for name in recipe.needed_tables}
        params = write_tree(tmp_path, empty | whole | tables)
        params = params.model_copy(update={"sql": SqlParams(memory_limit="1GB", threads=1)})
        ingest.run(params)
        names = ("admissions", "cxr_metadata", *TABLES)
        with open_sql(params.sql, tmp_path / "spill") as connection:
            ingested = {name: params.build("ingest", f"{name}.parquet") for name in names}
            bind_tables(connection, ingested)
            create_filmed_admission(connection, recipe)
            drops = write_wide_measurements(connection, tmp_path, recipe)
        return Measured(tmp_path, drops)

    return run


def test_units_become_those_of_the_variables(measure):
    found = measure(
        chartevents=[
            chart(223761, 2, 98.6),
            chart(226531, 2, 200),
            chart(226707, 2, 70),
            chart(223835, 2, 40),
            chart(220739, 2, 3, value="To Speech"),
            chart(223901, 2, 6, value="Obeys Commands"),
            chart(223900, 2, 5, value="Oriented"),
            chart(228096, 2, -2),
        ]
    )
    assert found.values == {
        "Temperature": pytest.approx(37.0),
        "Weight": pytest.approx(90.718474),
        "Height": pytest.approx(177.8),
        "Fraction inspired oxygen": 0.4,
        "GCS eye opening": 3,
        "GCS motor response": 6,
        "GCS verbal response": 5,
        "GCS total": 14,
        "RASS": -2,
    }


@pytest.mark.parametrize(
    ("itemid", "value", "is_kept"),
    [
        (220045, 350, True),
        (220045, 351, False),
        (220045, 0, True),
        (220045, -1, False),
        (223835, 20, True),
        (223835, 0.5, True),
        (223835, 19, False),
        (223761, 37, True),  # charted in Celsius
        (228096, -5, True),
        (228096, -6, False),
    ],
)
def test_implausible_values_are_dropped_and_counted(measure, itemid, value, is_kept):
    found = measure(chartevents=[chart(itemid, 2, value)])
    assert len(found.rows) == is_kept
    assert found.removed() == ({} if is_kept else {"outside the plausible range": 1})


def test_an_intubated_patient_has_no_verbal_response_and_no_total(measure):
    found = measure(
        chartevents=[
            chart(220739, 2, 4, value="Spontaneously"),
            chart(223901, 2, 6, value="Obeys Commands"),
            chart(223900, 2, 1, value="No Response-ETT"),
        ]
    )
    assert found.values == {"GCS eye opening": 4, "GCS motor response": 6}
    assert found.removed() == {
        "no number, or a text without points": 1,
        "a response is not charted at this time": 1,
    }


def test_a_total_is_known_with_its_last_response_and_not_changed_by_a_later_one(measure):
    found = measure(
        chartevents=[
            chart(220739, 2, 4, value="Spontaneously", storetime=at(3)),
            chart(220739, 2, 1, value="None", storetime=at(9)),
            chart(223901, 2, 6, value="Obeys Commands"),
            chart(223900, 2, 5, value="Oriented"),
        ]
    )
    totals = [row for row in found.rows if row[0] == "GCS total"]
    assert totals == [("GCS total", 15, 2, None, 3)]


def test_gases_are_arterial_only_where_the_laboratory_says_so(measure):
    found = measure(
        labevents=[
            lab(52033, 2, None, value="ART.", specimen_id=1, storetime=at(4)),
            lab(50821, 2, 90, specimen_id=1, storetime=at(3)),
            lab(52033, 2, None, value="VEN.", specimen_id=2),
            lab(50821, 2, 40, specimen_id=2),
            lab(50820, 2, 7.31, specimen_id=2),
        ]
    )
    assert found.rows == [("PaO2", 90, 2, None, 4), ("pH", 7.31, 2, None, 2)]
    assert found.removed()["not of arterial blood, or not known to be"] == 1


def test_results_are_known_when_stored_else_at_discharge(measure):
    found = measure(
        labevents=[
            lab(50983, 2, 140, storetime=at(5)),
            lab(50971, 2, 4, storetime=None),
            lab(50912, 3, 1.1, storetime=at(1)),  # stored before it was drawn
        ]
    )
    known = {row[0]: row[4] for row in found.rows}
    assert known == {"Sodium": 5, "Potassium": 240, "Creatinine": 3}


def test_a_result_without_an_admission_belongs_to_the_one_it_was_drawn_in(measure):
    found = measure(
        labevents=[
            lab(50983, -24, 140, hadm_id=None),  # at admission, and the admission begins with it
            lab(50983, 240, 141, hadm_id=None),
            lab(50983, 241, 142, hadm_id=None),
        ]
    )
    assert [row[1] for row in found.rows] == [140, 141]
    assert found.removed() == {"admission without the films a sample needs, or none": 1}


def test_admissions_without_films_and_items_without_a_variable_are_counted(measure):
    found = measure(
        admissions=[admission(), admission(7, admittime=at(500), dischtime=at(600))],
        chartevents=[chart(220045, 2, 80), chart(1, 2, 80), chart(220045, 510, 80, hadm_id=7)],
    )
    assert len(found.rows) == 1
    assert found.removed() == {
        "item not used": 1,
        "admission without the films a sample needs": 1,
    }


def test_urine_and_other_output_are_apart_and_irrigant_is_taken_off(measure):
    rows = [output(226559, 2, 100), output(227488, 3, 500), output(226588, 4, 30)]
    found = measure(outputevents=rows)
    assert found.rows == [
        ("Urine output", 100, 2, None, 2),
        ("Urine output", -500, 3, None, 3),
        ("Fluid output", 30, 4, None, 4),
    ]


def test_what_runs_has_a_rate_and_an_end_and_a_bolus_is_a_moment(measure):
    found = measure(
        inputevents=[
            fluid(1, 3, 250),
            fluid(4, 4 + 1 / 60, 500, rate=None, rateuom=None),
            fluid(5, 7, 300, rate=None, rateuom=None),  # no rate, but two hours: evenly
            fluid(8, 8.5, 0.25, amountuom="L", rate=None, rateuom=None),
        ]
    )
    assert found.rows == [
        ("Fluid intake", 125, 1, 3, 1),
        ("Fluid intake", 500, 4, None, 4),
        ("Fluid intake", 150, 5, 7, 5),
        ("Fluid intake", 500, 8, 8.5, 8),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"statusdescription": "Rewritten"}, "rewritten: another row stands for it"),
        ({"starttime": at(3), "endtime": at(2)}, "ends before it begins"),
        ({"ordercategoryname": "16-Pre Admission/Non-ICU"}, "given before the ICU, over unknown"),
        ({"amountuom": "mg"}, "unit not known for this item"),
        ({"rate": 10_001.0}, "outside the plausible range"),
        ({"rate": -1.0}, "outside the plausible range"),
        ({"starttime": None}, "no time"),
    ],
)
def test_fluids_that_are_no_intake_are_counted(measure, changes, reason):
    found = measure(inputevents=[fluid(1, 3, 250) | changes])
    assert found.rows == []
    assert [name for name in found.removed() if name.startswith(reason)]


@pytest.mark.parametrize(
    ("row", "dose"),
    [
        (pressor(0.1, "mcg/kg/min"), 0.1),
        (pressor(8.0, "mcg/min"), 0.1),
        (pressor(0.48, "mg/hour"), 0.1),
        (pressor(0.0001, "mg/kg/min"), 0.1),
        (pressor(0.1, "mg/kg/min", patientweight=1.0), 0.1),  # charted wrongly
        (pressor(6.0, "mcg/kg/hour"), 0.1),
        (pressor(0.1, "mcg/kg/min", 221289), 0.1),
        (pressor(1.0, "mcg/kg/min", 221749), 0.1),
        (pressor(80.0, "mcg/min", 229630), 0.1),
        (pressor(10.0, "mcg/kg/min", 221662), 0.1),
        (pressor(2.4, "units/hour", 222315), 0.1),
        (pressor(0.04, "units/min", 222315, patientweight=None), 0.1),
        (pressor(10.0, "ng/kg/min", 229764), 0.1),
    ],
)
def test_vasopressors_are_doses_of_norepinephrine(measure, row, dose):
    [found] = measure(inputevents=[row]).rows
    assert found == ("Vasopressors", pytest.approx(dose, abs=1e-12), 5, 6, 5)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (pressor(8.0, "mcg/min", patientweight=None), "a rate not per kg, and no plausible weight"),
        (pressor(8.0, "mcg/min", patientweight=19.9), "a rate not per kg, and no plausible weight"),
        (pressor(8.0, "drops/min"), "unit not known for this item"),
        (pressor(8.0, "units/hour"), "unit not known for this item"),
        (pressor(0.1, "mcg/kg/min", 222315), "unit not known for this item"),
        (pressor(None, ""), "a dose without a rate that runs"),
        (pressor(5.1, "mcg/kg/min"), "outside the plausible range"),
    ],
)
def test_doses_that_cannot_be_read_are_counted(measure, row, reason):
    found = measure(inputevents=[row])
    assert found.rows == []
    assert found.removed() == {reason: 1}


def _rows(name: str) -> list[tuple[Any, ...]]:
    body = read_sql(name).body
    for kind in NAME_TYPES:
        body = body.replace(f"AS {kind}", "AS VARCHAR")
    return duckdb.sql(body).fetchall()


def _hourly_columns(spill: Path) -> list[str]:
    """The columns of hourly.parquet, from no row."""
    with open_sql(SqlParams(memory_limit="1GB", threads=1), spill) as connection:
        connection.execute(
            "CREATE TABLE hourly_value (window_number INTEGER, hour INTEGER"
            ", variable contract_variable, value DOUBLE)"
        )
        connection.execute(
            "CREATE TABLE sample_window (window_number INTEGER, kind VARCHAR, key VARCHAR)"
        )
        body = read_sql("window/future/hourly").body
        return [row[0] for row in connection.execute(f"DESCRIBE {body}").fetchall()]


def test_the_sql_and_the_contract_agree_on_every_variable(tmp_path):
    rules = {row[0]: row[1:4] for row in _rows("event/future/wide_variable")}
    assert rules == {v.name: (v.hourly, v.low, v.high) for v in WIDE_VARIABLES}
    names = [variable.name for variable in WIDE_VARIABLES]
    assert _hourly_columns(tmp_path) == ["kind", "key", "hour", *names]
    assert all((v.fill == "carry") == (v.hourly == "last") for v in WIDE_VARIABLES)
    items = _rows("event/future/wide_item")
    assert len({row[:2] for row in items}) == len(items)
    assert {row[2] for row in items} == {v.name for v in WIDE_VARIABLES} - {
        "GCS total",
        "Fluid balance",
    }


def _named(path: Path, column: str) -> dict[int, tuple[str, str]]:
    with gzip.open(path, "rt") as file:
        return {int(row["itemid"]): (row["label"], row[column]) for row in csv.DictReader(file)}


def test_items_are_what_the_release_calls_them():
    root = demo_root()
    named = _named(root / "icu" / "d_items.csv.gz", "linksto")
    fluids = _named(root / "hosp" / "d_labitems.csv.gz", "fluid")
    for itemid, source, _, _, label in _rows("event/future/wide_item"):
        expected = (label, "Blood" if source == "labevents" else source)
        assert (fluids if source == "labevents" else named)[itemid] == expected


def test_the_document_lists_every_variable_and_item():
    text = (REPOSITORY / "docs" / "variables.md").read_text()
    rows = {
        cells[1]: cells
        for line in text.splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) == 8
    }
    for variable in WIDE_VARIABLES:
        _, name, unit, _, plausible, hourly, _, _ = rows[variable.name]
        assert (name, unit, hourly) == (variable.name, variable.unit, variable.hourly)
        assert plausible.startswith(f"{variable.low:g} to {variable.high:g}: ")
    for itemid, _, variable, _, label in _rows("event/future/wide_item"):
        listed = f"{itemid} {label}"
        assert listed in rows[variable][3] or listed in text.partition("## Fluids")[2]

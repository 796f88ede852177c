"""Event texts of `future`: every table, whose row it is, when it counts, what it says."""

from typing import Any

import pytest
from tiny_mimic import demo_root, tiny_params, write_tree
from tiny_stages import HADM, SUBJECT, Built, admission, at, build, film

from cxrfuture_data.schema import EVENT_TABLES, ContractError
from etl import event, ingest
from etl.recipe import EventRule, FutureRecipe, read_recipe
from etl.simulate import SimulateOptions, simulate
from etl.sqlfile import read_sql

FILMS = [film("a", 0, 1), film("b", 30, 2)]
NEW_TABLES = EVENT_TABLES[7:16]


def future(*tables: str, **events: Any) -> FutureRecipe:
    """The shipped recipe with texts of these tables alone, and nothing hourly."""
    recipe = read_recipe("future")
    rule = recipe.events.model_copy(update={"tables": list(tables), **events})
    window = recipe.window.model_copy(update={"hourly": False})
    return recipe.model_copy(update={"events": rule, "window": window})


def texts(root: Any, tables: dict[str, Any], **events: Any) -> Built:
    recipe = future(*(name for name in EVENT_TABLES if name in tables), **events)
    given = {"cxr_metadata": FILMS, **tables}
    return build(root, "future", given, "event", events=recipe.events, window=recipe.window)


def here(**columns: Any) -> dict[str, Any]:
    return {"subject_id": SUBJECT, "hadm_id": HADM, **columns}


def times(built: Built) -> list[tuple[Any, ...]]:
    return built.rows(
        "event", "event", "event_at::VARCHAR, ends_at::VARCHAR, known_at::VARCHAR, event_table"
    )


DAY = "2150-01-03"  # ends at hour 48
ITEM = {"itemid": 7, "label": "Dextrose 5%", "linksto": "inputevents"}
# Table, its row, what it reads, event_at, ends_at, known_at in hours.
ROWS: list[tuple[str, dict[str, Any], str, float, float | None, float]] = [
    (
        "emar",
        here(charttime=at(1), storetime=at(2), medication="Heparin", event_txt="Administered")
        | {"emar_id": "10000001-7", "poe_id": "10000001-9", "enter_provider_id": "P00X"},
        "emar medication Heparin event_txt Administered",
        *(1, None, 2),
    ),
    (
        "ingredientevents",
        here(starttime=at(1), endtime=at(5), storetime=at(1.5), itemid=7, amount=50, rate=12.5)
        | {"amountuom": "ml", "rateuom": "ml/hour", "orderid": 5, "originalrate": 12.5}
        | {"statusdescription": "FinishedRunning"},
        "ingredientevents itemid Dextrose 5% rate 12.5 rateuom ml/hour originalrate 12.5",
        *(1, 5, 1.5),
    ),
    (
        "ingredientevents",
        here(starttime=at(1), endtime=at(1 + 1 / 60), itemid=7, amount=50, amountuom="ml"),
        "ingredientevents itemid Dextrose 5% amount 50 amountuom ml",
        *(1, 1 + 1 / 60, 1),
    ),
    (
        "datetimeevents",
        here(charttime=at(30), storetime=at(30), itemid=7, value=at(-20), warning=0),
        "datetimeevents itemid Dextrose 5% value 2 days before",
        *(30, None, 30),
    ),
    (
        "transfers",
        here(intime=at(-24), outtime=at(0), eventtype="admit", careunit="Medicine", transfer_id=8),
        "transfers eventtype admit careunit Medicine",
        *(-24, 0, -24),
    ),
    (
        "services",
        here(transfertime=at(3), prev_service="MED", curr_service="CMED"),
        "services prev_service MED curr_service CMED",
        *(3, None, 3),
    ),
    (
        "omr",
        {"subject_id": SUBJECT, "chartdate": DAY, "seq_num": 1, "result_name": "BMI (kg/m2)"}
        | {"result_value": "27.1"},
        "omr result_name BMI (kg/m2) result_value 27.1",
        *(48, None, 48),
    ),
    (
        "procedures_icd",
        here(chartdate=DAY, icd_code="0BH17EZ", icd_version=10),
        "procedures_icd icd_code Insertion of Airway",
        *(48, None, 240),  # coded for billing
    ),
    (
        "hcpcsevents",
        here(chartdate=DAY, hcpcs_cd="93455", short_description="Cardiovascular"),
        "hcpcsevents hcpcs_cd Cardiovascular",
        *(48, None, 240),
    ),
    (
        "poe",
        here(ordertime=at(4), order_type="Radiology", order_subtype="General Xray")
        | {"transaction_type": "New", "order_status": "Inactive", "poe_id": "10000001-3"}
        | {"order_provider_id": "P00X", "discontinued_by_poe_id": "10000001-5"},
        "poe order_type Radiology order_subtype General Xray transaction_type New",
        *(4, None, 4),
    ),
    (
        "inputevents",
        here(starttime=at(1), endtime=at(5), storetime=at(1), itemid=7, amount=50, rate=12.5),
        "inputevents itemid Dextrose 5% rate 12.5",
        *(1, 5, 1),
    ),
    (
        "procedureevents",
        here(starttime=at(1), endtime=at(5), storetime=at(1), ordercategoryname="Ventilation")
        | {"value": 240, "valueuom": "min"},
        "procedureevents ordercategoryname Ventilation",
        *(1, 5, 1),
    ),
    (
        "prescriptions",
        here(starttime=at(1), stoptime=at(100), drug="Furosemide", poe_id="10000001-3"),
        "prescriptions drug Furosemide",
        *(1, 100, 1),
    ),
    (
        "microbiologyevents",
        here(chartdate=f"{DAY} 00:00:00", spec_type_desc="SPUTUM", storetime=at(40)),
        "microbiologyevents spec_type_desc SPUTUM",
        *(48, None, 48),  # a day alone counts from its end, whenever it was stored
    ),
]
TITLES = [{"icd_code": "0BH17EZ", "icd_version": 10, "long_title": "Insertion of Airway"}]


@pytest.mark.parametrize(("table", "row", "text", "event_at", "ends_at", "known_at"), ROWS)
def test_a_row_becomes_a_text_with_its_times(
    tmp_path, table, row, text, event_at, ends_at, known_at
):
    tables = {"d_items": [ITEM], "d_icd_procedures": TITLES, table: [row]}
    built = texts(tmp_path, tables)
    assert built.texts() == [text]
    end = None if ends_at is None else at(ends_at)
    assert times(built) == [(at(event_at), end, at(known_at), EVENT_TABLES.index(table))]
    assert built.column("event", "event", "hadm_id") == [HADM]


def test_every_new_table_is_tried_above():
    assert {row[0] for row in ROWS} >= set(NEW_TABLES)


@pytest.mark.parametrize("number", range(len(EVENT_TABLES)))
def test_an_event_points_at_its_table(number):
    body = read_sql(f"event/text/{EVENT_TABLES[number]}").body
    assert f"CAST({number} AS UTINYINT) AS event_table" in body
    assert f"'{EVENT_TABLES[number]}'" in body


ENDS = {"inputevents": "endtime", "ingredientevents": "endtime", "procedureevents": "endtime"}
ENDS |= {"prescriptions": "stoptime", "transfers": "outtime"}


@pytest.mark.parametrize("end", [None, 1, 0.5])
@pytest.mark.parametrize("table", ENDS)
def test_without_an_end_after_its_start_a_row_is_a_moment(tmp_path, table, end):
    start = "intime" if table == "transfers" else "starttime"
    row = here(**{start: at(1), ENDS[table]: None if end is None else at(end)})
    built = texts(tmp_path, {table: [row]}, selection="all")
    assert [row[:3] for row in times(built)] == [(at(1), None, at(1))]


def test_a_row_that_names_no_admission_belongs_to_the_one_of_its_time(tmp_path):
    """Arrival at hour -30; a second admission begins within the first, and has what is later."""
    first = admission(edregtime=at(-30), edouttime=at(-25))
    second = admission(HADM + 1, admittime=at(100), dischtime=at(200))
    hours = [-30.5, -30, 99.5, 100, 200, 200.5, 240, 240.5]
    rows = [
        {"subject_id": SUBJECT, "hadm_id": None, "intime": at(hour), "eventtype": "ED"}
        for hour in hours
    ]
    films = [*FILMS, film("c", 110, 3)]
    tables = {"admissions": [first, second], "transfers": rows, "cxr_metadata": films}
    built = texts(tmp_path, tables)
    assert built.rows("event", "event", "event_at::VARCHAR, hadm_id") == [
        (at(-30), HADM),
        (at(99.5), HADM),
        (at(100), HADM + 1),
        (at(200), HADM + 1),
        (at(200.5), HADM),
        (at(240), HADM),
    ]
    reason = "no admission named, and begun in none that has films"
    assert built.removed("event", "transfers row") == {reason: 2}


def test_a_row_belongs_to_the_admission_it_names_whenever_it_is(tmp_path):
    rows = [here(transfertime=at(900)), here(hadm_id=HADM + 7, transfertime=at(1)), here()]
    built = texts(tmp_path, {"services": rows})
    assert [row[0] for row in times(built)] == [at(900)]
    assert built.removed("event", "services row") == {
        "admission without the films a sample needs": 1,
        "no time": 1,
    }


def test_one_film_is_enough_for_a_stay(tmp_path):
    tables = {"services": [here(transfertime=at(1))], "cxr_metadata": FILMS[:1]}
    assert len(texts(tmp_path, tables).texts()) == 1


SELECTED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("labevents", {"itemid": 50821, "charttime": at(1)}, {"itemid": 51301, "charttime": at(1)}),
    ("chartevents", {"itemid": 1, "charttime": at(1)}, {"itemid": 2, "charttime": at(1)}),
    (
        "prescriptions",
        {"drug": "Furosemide", "starttime": at(1)},
        {"drug": "Docusate Sodium", "starttime": at(1)},
    ),
    (
        "procedureevents",
        {"ordercategoryname": "Imaging", "starttime": at(1)},
        {"ordercategoryname": "Communication", "starttime": at(1)},
    ),
    (
        "microbiologyevents",
        {"spec_type_desc": "SPUTUM", "charttime": at(1)},
        {"spec_type_desc": "URINE", "charttime": at(1)},
    ),
]
DICTIONARIES = {
    "d_labitems": [
        {"itemid": 50821, "label": "pO2", "category": "Blood Gas"},
        {"itemid": 51301, "label": "White Blood Cells", "category": "Hematology"},
    ],
    "d_items": [
        {"itemid": 1, "label": "PEEP", "linksto": "chartevents", "category": "Respiratory"},
        {"itemid": 2, "label": "Braden", "linksto": "chartevents", "category": "Skin - Assessment"},
    ],
}


@pytest.mark.parametrize(("table", "listed", "other"), SELECTED)
def test_a_list_selects_or_every_row_counts(tmp_path, table, listed, other):
    tables = DICTIONARIES | {table: [here(**listed), here(**other)]}
    assert texts(tmp_path / "listed", tables).column("event", "event", "source_row") == [1]
    every = texts(tmp_path / "all", tables, selection="all")
    assert sorted(every.column("event", "event", "source_row")) == [1, 2]
    if "itemid" in other:
        assert any("White Blood Cells" in text or "Braden" in text for text in every.texts())


def test_texts_outside_the_lengths_are_dropped_and_counted(tmp_path):
    services = ("A", "AB", "ABC", "ABCD", "A  B")
    rows = [here(transfertime=at(n), curr_service=name) for n, name in enumerate(services)]
    shortest = len("services curr_service AB")
    built = texts(
        tmp_path, {"services": rows}, minimum_length=shortest, maximum_length=shortest + 1
    )
    # White space counts as it reads: one blank.
    kept = ["AB", "ABC", "A B"]
    assert built.texts() == [f"services curr_service {name}" for name in kept]
    assert built.removed("event", "event text") == {
        "text shorter than minimum_length": 1,
        "text longer than maximum_length": 1,
    }
    assert len(built.rows("event", "text")) == 3


def test_a_table_the_recipe_needs_and_the_release_lacks_stops_ingest(tmp_path):
    params = write_tree(tmp_path, {})
    with pytest.raises(ContractError, match=r"emar: no emar.csv.gz, .csv or .parquet") as error:
        ingest.run(params.model_copy(update={"recipes": ["future"]}))
    assert "\n" not in str(error.value)
    ingest.run(params.model_copy(update={"recipes": ["ddl_cxr"]}))
    assert not params.build("ingest", "emar.parquet").exists()
    with pytest.raises(ContractError, match=r"recipe future needs hosp/emar.csv.gz") as error:
        event.run(params, future("emar"))
    assert "name the recipe under `recipes` in params.yaml" in str(error.value)


def test_omr_may_be_missing_and_is_noted(tmp_path):
    params = write_tree(tmp_path, {"cxr_metadata": FILMS})
    ingest.run(params)
    assert not params.build("ingest", "omr.parquet").exists()
    recipe = future("omr")
    event.run(params, recipe)
    built = Built(params, recipe)
    assert built.texts() == []
    assert ("omr row", "table not in this release") in [
        (drop.unit, drop.reason) for drop in built.drops("event")
    ]


def test_a_recipe_names_at_least_one_known_table():
    rule = read_recipe("future").events.model_dump()
    for tables in ([], ["discharge"]):
        with pytest.raises(ValueError, match="tables"):
            EventRule.model_validate(rule | {"tables": tables})


@pytest.mark.demo
def test_every_table_of_the_demo_becomes_texts(tmp_path):
    root = demo_root()
    simulate(
        SimulateOptions(
            out=tmp_path, patients=50, seed=1, image_size=64, mimic_iv_from=root, render=False
        )
    )
    tables = [table for table in EVENT_TABLES if table != "report"]
    params = tiny_params(tmp_path, paths={"mimic_iv": str(root)}, ingest={"tables": "all"})
    ingest.run(params)
    recipe = future(*EVENT_TABLES, selection="all")
    event.run(params, recipe)
    built = Built(params, recipe)
    counts = dict(built.rows("event", "event", "DISTINCT event_table, 1"))
    assert {EVENT_TABLES[number] for number in counts} == {*tables, "report"}
    assert built.rows("event", "event", "COUNT(*) FILTER (known_at < event_at)") == [(0,)]
    assert built.rows("event", "event", "COUNT(*) FILTER (ends_at <= event_at)") == [(0,)]
    repeated = "COUNT(*) - COUNT(DISTINCT (event_table, source_row))"
    assert built.rows("event", "event", repeated) == [(0,)]
    assert built.rows("event", "text", "MAX(LENGTH(text)) <= 512, MIN(LENGTH(text)) > 4") == [
        (True, True)
    ]
    used = built.params.build("future", "event", "event.parquet")
    assert used.is_file()
    ids = built.rows("event", "text", "COUNT(*) FILTER (text ~ 'provider_id|poe_id|orderid')")
    assert ids == [(0,)]

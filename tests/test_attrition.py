"""The ledgers as a table: on screen, as csv, after any stage."""

import csv

import pytest
from rich.console import Console
from tiny_mimic import tiny_params
from tiny_stages import SUBJECT, build, film, heart_rates

from cxrfuture_data import ContractError
from etl import attrition
from etl.ledger import Drop
from etl.recipe import read_recipe

TABLES = {
    "cxr_metadata": [
        film("first", 1, 51),
        film("second", 20, 52),
        film("side", 21, 53, viewposition="LATERAL"),
    ],
    "chartevents": heart_rates(*(hour + 0.5 for hour in range(1, 12))),
}
DROPS = [
    Drop("cohort", "stay", "too short", 4, 1),
    Drop("cohort", "stay", "too young", 3, 0),
    Drop("window", "event", "none came", 0, 0),
]


def test_it_works_as_far_as_the_stages_have_run(tmp_path):
    built = build(tmp_path, "ddl_cxr", TABLES, until="event")
    drops = attrition.collect_drops(built.params, built.recipe)
    assert {drop.stage for drop in drops} == {"event"}
    built = build(tmp_path, "ddl_cxr", TABLES)
    drops = attrition.collect_drops(built.params, built.recipe)
    assert list(dict.fromkeys(drop.stage for drop in drops)) == ["event", "cohort", "window"]
    assert Drop("cohort", "film", "view is not AP", 3, 1) in drops


def test_before_any_stage_the_next_step_is_named(tmp_path):
    with pytest.raises(ContractError, match="no ledger yet; run `cxrfuture event` first"):
        attrition.collect_drops(tiny_params(tmp_path), read_recipe("ddl_cxr"))


def test_the_csv_has_a_line_a_filter_whose_name_is_unique(tmp_path):
    path = tmp_path / "attrition.csv"
    attrition.write_attrition(DROPS, path)
    with path.open() as lines:
        rows = list(csv.DictReader(lines))
    assert rows[0] == {
        "stage": "cohort",
        "unit": "stay",
        "reason": "too short",
        "before": "4",
        "removed": "1",
        "after": "3",
        "percent": "25.00",
        "filter": "cohort: stay: too short",
    }
    assert rows[2]["percent"] == "0.00"
    assert len({row["filter"] for row in rows}) == 3


def test_the_filters_of_a_whole_recipe_have_unique_names(tmp_path):
    built = build(tmp_path, "ddl_cxr", TABLES)
    attrition.write_attrition(
        attrition.collect_drops(built.params, built.recipe), tmp_path / "a.csv"
    )
    text = (tmp_path / "a.csv").read_text()
    names = [row["filter"] for row in csv.DictReader(text.splitlines())]
    assert len(set(names)) == len(names)
    assert str(SUBJECT) not in text


def test_a_unit_is_named_at_its_first_filter():
    console = Console(width=120)
    with console.capture() as printed:
        console.print(attrition.attrition_table("ddl_cxr", DROPS))
    lines = [line.split() for line in printed.get().splitlines()]
    assert ["cohort", "stay", "too", "short", "4", "1", "25.0", "3"] in lines
    assert ["too", "young", "3", "0", "0.0", "3"] in lines
    assert ["window", "event", "none", "came", "0", "0", "0.0", "0"] in lines

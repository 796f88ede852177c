"""The Arrow table and the Polars frame of a split say what its samples say."""

import sys
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from tiny_build import build_dataset

from cxrfuture_data import ContractError, PairSample, StaySample, open_dataset
from cxrfuture_data.frame import to_arrow, to_polars
from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES
from cxrfuture_data.schema import COMORBIDITIES, FILMS_OF_KIND, FINDINGS, PHENOTYPES

KINDS = [("future", "pair"), ("future", "stay"), ("ddl_cxr", "stay"), ("ddl_cxr", "image")]
SAME = ("key", "subject_id", "hadm_id", "stay_id", "age", "sex")
SAME_OF_STAY = (
    "prediction_at",
    "hours_since_previous",
    "remaining_hours",
    "icu_transfer",
    "readmitted",
    "label",
)
SAME_OF_WINDOW = (
    "start_at",
    "end_at",
    "latest_event_at",
    "latest_known_at",
    "hourly_start_hours",
    "variables",
)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    shard = {"samples_per_shard": 4, "workers": 1, "keep_films": "levels"}
    return {
        name: open_dataset(build_dataset(tmp_path_factory.mktemp(name), name, shard=shard))
        for name in ("future", "ddl_cxr")
    }


def row_of(sample: Any, kind: str) -> dict[str, Any]:
    """A sample as a row of the table, by its own fields."""
    row = {name: getattr(sample, name) for name in SAME}
    for role in FILMS_OF_KIND[kind]:
        film = getattr(sample, role)
        row[f"{role}_has"] = film is not None
        for name in ("study_id", "dicom_id", "taken_at", "view"):
            row[f"{role}_{name}"] = getattr(film, name, None)
        for name, words in (("labels", FINDINGS), ("attributes", ATTRIBUTES)):
            said = getattr(film, name, {})
            row[f"{role}_{name}"] = {word: said.get(word) for word in words}
    if kind == "image":
        return row | {"has_static": sample.static.size > 0}
    row |= {name: getattr(sample.window, name) for name in SAME_OF_WINDOW}
    row |= {"hours": len(sample.window.hourly), "events": len(sample.window.event_row)}
    history = sample.history
    row |= {name: getattr(sample, name) for name in ("race", "insurance")}
    for name in ("bmi", "earlier_admissions"):
        row[name] = getattr(history, name, None)
    said = {} if history is None else history.comorbidities
    row["comorbidities"] = {word: said.get(word) for word in COMORBIDITIES}
    row["died_in_hospital"] = sample.died_in_hospital
    if isinstance(sample, PairSample):
        row |= {"gap_hours": sample.gap_hours, "is_null_event": sample.is_null_event}
        row["changes"] = {word: sample.changes.get(word) for word in CHANGE_ATTRIBUTES}
    if isinstance(sample, StaySample):
        row |= {name: getattr(sample, name) for name in SAME_OF_STAY}
        generation = sample.generation
        row["generation_hours"] = 0 if generation is None else len(generation.hourly)
        said = sample.phenotypes or {}
        row["phenotypes"] = {word: said.get(word) for word in PHENOTYPES}
    return row


@pytest.mark.parametrize(("recipe", "kind"), KINDS)
def test_arrow_has_the_values_of_every_sample(datasets, recipe, kind):
    for name in datasets[recipe].manifest.splits:
        split = datasets[recipe].split(name, kind)
        rows = to_arrow(split.columns).to_pylist()
        shards = [f"{name}/{row.pop('shard')}" for row in rows]
        assert shards == [split.shard(position) for position in range(len(split))]
        assert rows == [row_of(sample, kind) for sample in split]


@pytest.mark.parametrize(("recipe", "kind"), KINDS)
def test_polars_has_the_values_of_the_arrow_table(datasets, recipe, kind):
    columns = datasets[recipe].split("train", kind).columns
    assert to_polars(columns).to_dicts() == to_arrow(columns).to_pylist()


def test_the_types_are_those_to_count_and_group_by(datasets):
    table = to_arrow(datasets["future"].split("train", "stay").columns)
    words = pa.dictionary(pa.int32(), pa.string())
    types = {name: table.schema.field(name).type for name in table.column_names}
    assert table.column_names[:6] == list(SAME)
    assert {types[name] for name in ("sex", "race", "previous_view", "shard")} == {words}
    assert {types[name] for name in ("previous_taken_at", "prediction_at")} == {pa.timestamp("us")}
    assert {types[name] for name in ("died_in_hospital", "readmitted")} == {pa.bool_()}
    assert {field.type for field in types["previous_labels"]} == {pa.int8()}
    frame = to_polars(datasets["future"].split("train", "stay").columns)
    died = frame.group_by("sex").agg(pl.col("died_in_hospital").sum()).sort("sex")
    assert died.rows() == [("F", 1), ("M", 0)]  # patient 2


def test_of_no_samples_the_types_are_the_same(datasets):
    split = datasets["ddl_cxr"].split("train", "pair")
    none = to_arrow(split.where(np.zeros(len(split), np.bool_)).columns)
    assert none.num_rows == 0
    assert none.schema == to_arrow(split.columns).schema


@pytest.mark.parametrize(("function", "name"), [(to_arrow, "pyarrow"), (to_polars, "polars")])
def test_a_package_that_is_missing_is_named(datasets, monkeypatch, function, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ContractError, match=f"{name} is not installed; run: pip install {name}"):
        function(datasets["future"].split("train", "pair").columns)

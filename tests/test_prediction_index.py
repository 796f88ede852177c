"""A cohort written elsewhere, as ACES writes it, and what becomes of each of its rows."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml
from tiny_mimic import write_tree
from tiny_stages import HADM, SUBJECT, admission, at, film, icu_stay, patient

from cxrfuture_data.schema import ContractError
from etl import cohort, export, ingest
from etl.ledger import read_ledger
from etl.params import Params
from etl.prediction_index import read_index
from etl.prepare import prepare_cohort
from etl.recipe import Recipe, read_recipe

WHEN = datetime(2150, 1, 2)
SECOND, THIRD = SUBJECT + 1, SUBJECT + 2
SHIPPED = Path(__file__).resolve().parent.parent / "etl" / "recipes" / "future.yaml"


def index_rows(*rows: tuple, value: str = "boolean_value", kind: object = pl.Boolean):
    """(subject, hours after WHEN, value) as MEDS has labels."""
    return pl.DataFrame(
        [(subject, WHEN + timedelta(hours=hours), label) for subject, hours, label in rows],
        schema={"subject_id": pl.Int64, "prediction_time": pl.Datetime("us"), value: kind},
        orient="row",
    )


def written(path: Path, rows: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(path)
    return path


def test_a_file_is_read_in_the_order_of_patient_and_time(tmp_path):
    rows = index_rows((2, 1, True), (1, 5, False), (1, 2, None))
    assert read_index(written(tmp_path / "index.parquet", rows)).rows() == [
        (1, WHEN + timedelta(hours=2), None),
        (1, WHEN + timedelta(hours=5), 0.0),
        (2, WHEN + timedelta(hours=1), 1.0),
    ]


def test_the_shards_of_a_folder_are_one_index_as_aces_writes_them(tmp_path):
    # ACES writes every value column, all but one of them empty; an empty shard has no rows.
    empty = {
        "integer_value": pl.Int64,
        "float_value": pl.Float32,
        "categorical_value": pl.String,
    }
    of_aces = [pl.lit(None, dtype=kind).alias(name) for name, kind in empty.items()]
    first = index_rows((1, 5, True)).with_columns(of_aces)
    written(tmp_path / "out" / "train" / "0.parquet", first)
    written(tmp_path / "out" / "held_out" / "0.parquet", index_rows((2, 1, False)))
    written(tmp_path / "out" / "tuning" / "0.parquet", first.clear())
    assert read_index(tmp_path / "out")["label"].to_list() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("value", "kind", "label", "read"),
    [
        ("boolean_value", pl.Boolean, True, 1.0),
        ("integer_value", pl.Int64, -3, -3.0),
        ("integer_value", pl.Int64, 2**60, float(2**60)),
        ("float_value", pl.Float32, 0.5, 0.5),
        ("float_value", pl.Float64, 1e300, 1e300),
    ],
)
def test_a_label_may_be_of_each_kind_of_number(tmp_path, value, kind, label, read):
    rows = index_rows((1, 0, label), value=value, kind=kind)
    assert read_index(written(tmp_path / "index.parquet", rows))["label"].to_list() == [read]


def test_an_index_without_labels_has_times_alone(tmp_path):
    rows = index_rows((1, 0, True)).drop("boolean_value")
    assert read_index(written(tmp_path / "index.parquet", rows))["label"].to_list() == [None]


ONE = index_rows((1, 0, True))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ONE.drop("prediction_time"), "no column prediction_time"),
        (ONE.drop("subject_id"), "no column subject_id"),
        (pl.concat([ONE, ONE]), "stand on several rows"),
        (ONE.with_columns(prediction_time=None), "a row without subject_id or prediction_time"),
        (ONE.with_columns(subject_id=None), "a row without subject_id or prediction_time"),
        (ONE.with_columns(categorical_value=pl.lit("a")), "write the classes as integer_value"),
        (ONE.with_columns(subject_id=pl.lit("p1")), "subject_id is String"),
        (ONE.with_columns(prediction_time=pl.lit("today")), "prediction_time is String"),
        (ONE.with_columns(boolean_value=pl.lit("yes")), "boolean_value is String"),
    ],
)
def test_an_index_that_says_no_time_of_a_patient_is_refused(tmp_path, rows, said):
    with pytest.raises(ContractError, match=said):
        read_index(written(tmp_path / "index.parquet", rows))


def test_no_file_an_empty_folder_and_another_format_are_refused(tmp_path):
    with pytest.raises(ContractError, match=r"no such index; set cohort\.index"):
        read_index(tmp_path / "none.parquet")
    with pytest.raises(ContractError, match=r"no such index; set cohort\.index"):
        read_index(tmp_path)
    (tmp_path / "index.parquet").write_text("subject_id,prediction_time\n")
    with pytest.raises(ContractError, match="not a readable Parquet file"):
        read_index(tmp_path / "index.parquet")


def tree(root: Path) -> Params:
    """Three patients with films, the second of whom dies at hour 100."""
    return write_tree(
        root,
        {
            "patients": [patient(), patient(SECOND), patient(THIRD)],
            "admissions": [
                admission(),
                admission(HADM + 1, subject_id=SECOND, deathtime=at(100), dischtime=at(110)),
                admission(HADM + 2, subject_id=THIRD),
            ],
            "icustays": [icu_stay()],
            "cxr_metadata": [
                film("a", 1, 51),
                film("b", 2, 52, subject_id=SECOND),
                film("c", 2, 53, subject_id=THIRD),
            ],
        },
    )


def recipe_with(index: Path, folder: Path) -> Recipe:
    """The shipped recipe with an index, as a user would write it."""
    value = yaml.safe_load(SHIPPED.read_text())
    value["name"] = "indexed"
    value["cohort"]["index"] = str(index)
    path = folder / "indexed.yaml"
    path.write_text(yaml.safe_dump(value))
    return read_recipe(str(path))


def stays(params: Params, recipe: Recipe) -> pl.DataFrame:
    return pl.read_parquet(params.build(recipe.name, "cohort", "stay.parquet"))


def test_times_of_no_admission_or_after_death_are_counted(tmp_path):
    params = tree(tmp_path)
    rows = index_rows(
        (SUBJECT, -24, True),  # at admission
        (SUBJECT, 239, False),
        (SUBJECT, 240, True),  # at discharge, which no longer holds it
        (SUBJECT, -25, True),  # before admission
        (SECOND, 99, False),
        (SECOND, 105, True),  # dead, and not yet discharged
        (SUBJECT + 9, 1, True),  # no patient of the hospital
    )
    recipe = recipe_with(written(tmp_path / "index.parquet", rows), tmp_path)
    ingest.run(params)
    cohort.run(params, recipe)
    kept = stays(params, recipe).sort("subject_id", "prediction_at")
    assert kept["subject_id", "prediction_at", "label"].rows() == [
        (SUBJECT, WHEN - timedelta(hours=24), 1.0),
        (SUBJECT, WHEN + timedelta(hours=239), 0.0),
        (SECOND, WHEN + timedelta(hours=99), 0.0),
    ]
    drops = read_ledger(params.build(recipe.name, "cohort"))
    removed = {drop.reason: drop.removed for drop in drops if drop.unit == "prediction"}
    assert removed["no admission of the cohort holds the time"] == 3
    assert removed["left or dead by then"] == 1


def test_exported_labels_make_the_same_samples_again(tmp_path):
    params = tree(tmp_path)
    export.run(params, read_recipe("future"), "meds", tmp_path / "out")
    recipe = recipe_with(tmp_path / "out" / "labels" / "in_hospital_death", tmp_path)
    prepare_cohort(params, recipe)
    columns = ["key", "subject_id", "hadm_id", "prediction_at", "died_in_hospital"]
    ours = stays(params, read_recipe("future")).filter(pl.col("died_in_hospital").is_not_null())
    again = stays(params, recipe)
    assert ours.height == 3
    assert again.select(columns).equals(ours.select(columns))
    assert again["label"].to_list() == again["died_in_hospital"].cast(pl.Float64).to_list()
    assert sorted(again["label"]) == [0.0, 0.0, 1.0]


def test_a_changed_index_makes_the_cohort_again(tmp_path):
    params = tree(tmp_path)
    path = written(tmp_path / "index.parquet", index_rows((SUBJECT, 1, True)))
    recipe = recipe_with(path, tmp_path)
    prepare_cohort(params, recipe)
    assert stays(params, recipe)["label"].to_list() == [1.0]
    written(path, index_rows((SUBJECT, 1, False)))
    prepare_cohort(params, recipe)
    assert stays(params, recipe)["label"].to_list() == [0.0]

import csv
import json
from datetime import timedelta

import polars as pl
import pytest
from tiny_build import add_null_event, leave_out_film, write_build

from cxrfuture_data import ContractError
from etl import check, shard


def run(root, name, spoil=None):
    """Build and check; ``spoil`` plants an offence in the inputs of shard."""
    params, recipe = write_build(root, name, shard={"samples_per_shard": 4, "workers": 1})
    if spoil is not None:
        spoil(params.build(name))
    shard.run(params, recipe)
    check.check_samples(check.open_dataset(params.build(name, "shard")))
    return params, recipe


def change(path, *columns):
    pl.read_parquet(path).with_columns(*columns).write_parquet(path)


def one(key_column, value, otherwise):
    """``value`` in the first row of a table, else what is there."""
    is_first = pl.int_range(pl.len()) == 0
    return pl.when(is_first).then(value).otherwise(pl.col(otherwise)).alias(key_column)


def event_after_the_end(folder):
    late = pl.col("window_end_at") + timedelta(minutes=6)
    change(folder / "window" / "window.parquet", one("latest_event_at", late, "latest_event_at"))


def patient_in_two_splits(folder):
    """One pair of patient 8 (train) says test."""
    path = folder / "cohort" / "pair.parquet"
    is_chosen = (pl.col("subject_id") == 8) & pl.col("previous_dicom_id").str.ends_with("0")
    change(path, pl.when(is_chosen).then(pl.lit("test")).otherwise("split").alias("split"))


def gap_that_lies(folder):
    change(folder / "cohort" / "pair.parquet", pl.lit(9.0).alias("gap_hours"))


def window_before_previous(folder):
    early = pl.col("window_start_at") - timedelta(hours=1)
    change(folder / "cohort" / "pair.parquet", early.alias("window_start_at"))


PLANTED = [
    (event_after_the_end, "check window_ends_in_time", "latest_event_at is 0.1 h after the window"),
    (patient_in_two_splits, "check patient_in_one_split", "its patient is in test too"),
    (gap_that_lies, "check previous_before_target", "gap_hours is 9, the films are 10 h apart"),
    (window_before_previous, "check window_starts_with_its_sample", "beyond the two films"),
]


@pytest.mark.parametrize(("spoil", "name", "words"), PLANTED)
def test_a_planted_offence_is_named_with_shard_and_key_and_not_the_patient(
    tmp_path, spoil, name, words
):
    with pytest.raises(ContractError) as error:
        run(tmp_path, "ehrxdiff", spoil)
    message = str(error.value)
    assert message.startswith(name)
    assert words in message
    assert ".tar: sample " in message
    assert "subject" not in message
    assert "\n" not in message


def of_generation(column, value):
    """Another value in the rows of generation windows."""
    is_chosen = pl.col("kind") == "generation"
    return pl.when(is_chosen).then(value).otherwise(pl.col(column)).alias(column)


def generated_from_what_is_later(folder):
    late = pl.col("window_end_at") + timedelta(minutes=6)
    change(folder / "window" / "window.parquet", of_generation("latest_event_at", late))


def generated_from_hours_that_are_later(folder):
    start = of_generation("hourly_start_hours", pl.lit(40.0))
    change(folder / "window" / "window.parquet", start)


def generated_from_after_the_film(folder):
    late = pl.col("generation_start_at") + timedelta(hours=1)
    change(folder / "cohort" / "stay.parquet", late.alias("generation_start_at"))


def generated_up_to_another_time(folder):
    early = pl.col("window_end_at") - timedelta(hours=1)
    change(folder / "cohort" / "stay.parquet", early.alias("window_end_at"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (generated_from_what_is_later, "generation: latest_event_at is 0.1 h after the window"),
        (generated_from_hours_that_are_later, "its last hour begins after the prediction"),
        (generated_from_after_the_film, "the generation window begins after the film"),
        (generated_up_to_another_time, "the generation window does not end at the prediction"),
    ],
)
def test_nothing_that_a_film_is_generated_from_is_later_than_the_prediction(tmp_path, spoil, words):
    run(tmp_path / "whole", "ddl_cxr")
    with pytest.raises(ContractError, match=words):
        run(tmp_path / "spoilt", "ddl_cxr", spoil)


@pytest.mark.parametrize(
    ("previous", "target", "gap_hours", "is_null_event", "words"),
    [
        ("2150-01-01T00:00:00", "2150-01-01T12:30:00", 12.5, False, None),
        ("2150-01-01T00:00:00", "2150-01-01T12:30:00", 12, False, "gap_hours is 12, the films"),
        ("2150-01-01T01:00:00", "2150-01-01T00:00:00", -1, False, "1 h before the previous film"),
        ("2150-01-01T01:00:00", "2150-01-01T01:00:00", 0, False, "0 h before the previous film"),
        ("2150-01-01T01:00:00", "2150-01-01T01:00:00", 0, True, None),
        ("2150-01-01T01:00:00", "2150-01-01T01:00:00", 1, True, "the films are 0 h apart"),
        ("2150-01-01T01:00:00", "2150-01-01T01:00:01", 0, True, "is another film"),
    ],
)
def test_the_target_is_later_than_the_previous_film_but_for_a_null_event(
    previous, target, gap_hours, is_null_event, words
):
    films = {"previous": {"taken_at": previous}, "target": {"taken_at": target}}
    facts = {"kind": "pair", "gap_hours": gap_hours, "is_null_event": is_null_event}
    found = check.order_offence(facts | films)
    assert found is None if words is None else words in found


@pytest.mark.parametrize(
    ("previous", "hours_since_previous", "words"),
    [
        (None, None, None),
        ("2150-01-03T00:00:00", 0, None),
        ("2150-01-01T00:00:00", 48, None),
        ("2149-12-31T23:59:59", 48, "the window reaches beyond the prediction"),
        ("2150-01-03T01:00:00", -1, "the previous film is later than the prediction"),
        # Of a stay that ended before the prediction: its film is from after the window.
        ("2150-01-03T10:00:00", 2, None),
    ],
)
def test_film_and_window_of_a_stay_are_no_later_than_its_prediction(
    previous, hours_since_previous, words
):
    window = {"start_at": "2150-01-01T00:00:00", "end_at": "2150-01-03T00:00:00"}
    facts = {"kind": "stay", "window": window, "hours_since_previous": hours_since_previous}
    found = check.window_offence(
        facts | {"previous": None if previous is None else {"taken_at": previous}}
    )
    assert found is None if words is None else words in found


@pytest.mark.parametrize(("events", "hours"), [(0, 0), (1, 0), (0, 1)])
def test_the_window_of_a_null_event_is_empty(events, hours):
    at = "2150-01-01T00:00:00"
    film = {"taken_at": at}
    window = {"start_at": at, "end_at": at, "events": events, "hours": hours}
    facts = {"kind": "pair", "previous": film, "target": film, "window": window}
    found = check.window_offence(facts | {"is_null_event": True})
    assert (found is None) is (events + hours == 0)


def null_event_and_stay_without_film(folder):
    leave_out_film(folder, 9)
    add_null_event(folder, 1)


def test_a_build_with_null_events_and_stays_without_films_passes(tmp_path):
    params, recipe = run(tmp_path, "ddl_cxr", null_event_and_stay_without_film)
    check.run(params, recipe)
    rows = json.loads((params.build("ddl_cxr", "check") / "check.json").read_text())
    assert {"check": "whole_dataset", "rows": 48} in rows


def pair_of_one_film(folder):
    """A null event that does not say so."""
    add_null_event(folder, 1)
    change(folder / "cohort" / "pair.parquet", pl.lit(value=False).alias("is_null_event"))


def test_a_pair_of_one_film_is_an_offence_unless_it_is_a_null_event(tmp_path):
    with pytest.raises(ContractError, match="0 h before the previous film"):
        run(tmp_path / "samples", "ddl_cxr", pair_of_one_film)
    params, recipe = write_build(tmp_path / "tables", "ddl_cxr")
    pair_of_one_film(params.build("ddl_cxr"))
    with pytest.raises(ContractError, match="check/pair_out_of_order: 1 rows"):
        check.check_tables(params, recipe)


WINDOW = {
    "end_at": "2150-01-01T10:00:00",
    "latest_event_at": "2150-01-01T09:00:00",
    "latest_known_at": "2150-01-01T09:30:00",
    "events": 3,
}


@pytest.mark.parametrize(
    ("includes_end", "as_known", "change", "is_offence"),
    [
        (True, False, {}, False),
        (True, False, {"latest_event_at": "2150-01-01T10:00:00"}, False),
        (False, False, {"latest_event_at": "2150-01-01T10:00:00"}, True),
        (False, False, {"latest_event_at": "2150-01-01T09:59:59.999999"}, False),
        (True, False, {"latest_event_at": "2150-01-01T10:00:00.000001"}, True),
        (True, False, {"latest_known_at": "2150-01-01T10:00:01"}, False),
        (True, True, {"latest_known_at": "2150-01-01T10:00:01"}, True),
        (True, True, {"latest_known_at": "2150-01-01T10:00:00"}, False),
        (False, True, {"latest_known_at": "2150-01-01T10:00:00"}, True),
        (True, True, {"latest_event_at": None}, True),
        (True, True, {"latest_event_at": None, "latest_known_at": None, "events": 0}, False),
    ],
)
def test_the_end_of_a_window_is_held_to_the_microsecond(includes_end, as_known, change, is_offence):
    offence = check.WindowEnd(includes_end, as_known).offence({"window": WINDOW | change})
    assert (offence is not None) is is_offence


@pytest.mark.parametrize("name", ["ddl_cxr", "ehrxdiff"])
def test_a_sound_build_passes_and_says_what_was_looked_at(tmp_path, name):
    params, recipe = run(tmp_path, name)
    check.run(params, recipe)
    folder = params.build(name, "check")
    rows = {row["check"]: row["rows"] for row in json.loads((folder / "check.json").read_text())}
    samples = {"ddl_cxr": 47, "ehrxdiff": 23}[name]
    for fact in ("whole_dataset", "patient_in_one_split", "window_ends_in_time"):
        assert rows[fact] == samples
    assert rows["check/subject_in_two_splits"] == 12  # patients in cohort/split.parquet
    with (folder / "attrition.csv").open() as lines:
        table = list(csv.DictReader(lines))
    assert table[0] == {
        "stage": "cohort",
        "unit": "pair",
        "reason": "gap",
        "before": "30",
        "removed": "6",
        "after": "24",
        "percent": "20.00",
        "filter": "cohort: pair: gap",
    }


def test_an_offence_in_the_tables_is_named_by_its_sql_file(tmp_path):
    params, recipe = run(tmp_path, "ehrxdiff")
    path = params.build("ehrxdiff", "cohort", "split.parquet")
    splits = pl.read_parquet(path)
    twice = pl.DataFrame({"subject_id": [99, 99], "split": ["train", "test"]})
    pl.concat([splits, twice]).write_parquet(path)
    with pytest.raises(ContractError, match="subject_in_two_splits"):
        check.run(params, recipe)


def test_an_old_verdict_does_not_outlive_a_broken_dataset(tmp_path):
    params, recipe = run(tmp_path, "ehrxdiff")
    check.run(params, recipe)
    (params.build("ehrxdiff", "shard") / "train" / "pair-000000.tar").unlink()
    with pytest.raises(ContractError, match=r"train/pair-000000.tar: missing"):
        check.run(params, recipe)
    assert not params.build("ehrxdiff", "check", "check.json").exists()

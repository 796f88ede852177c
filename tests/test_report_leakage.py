"""The leakage audit, the distance of splits and what the check found, by hand."""

import csv
import json
import statistics
from datetime import timedelta

import polars as pl
import pytest
from tiny_gathered import (
    build,
    cells,
    facts_of,
    items,
    keep_builds,
    pretend_checked,
    require_whole,
)

from cxrfuture_data.schema import SPLITS
from etl.report.gather import gather

HALF_HOUR = timedelta(minutes=30)


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    return keep_builds(tmp_path_factory)


def test_margins_by_hand(builds):
    # The latest event is six hours before the end of a pair's window, and known half an hour later.
    report = builds("future")[2]
    margins = items(report)["latest_margin"]
    assert cells(margins)["hourly values and events of pairs"] == {"happened": 6.0, "known": 5.5}
    assert cells(margins)["hourly values and events of stays"] == {"happened": 44.0, "known": 43.5}
    assert items(report)["event_margin"].rests_on == [35, 35]
    assert not margins.marked
    generated = items(builds("ddl_cxr")[2])["latest_known"]
    assert generated.rows == [
        f"hourly values of {kind}" for kind in ("generation windows", "pairs", "stays")
    ]


@pytest.mark.parametrize(("name", "is_marked"), [("ehrxdiff_null", False), ("future", True)])
def test_what_was_known_too_late_is_counted_and_marked_where_that_is_the_rule(
    builds, name, is_marked
):
    # Prescriptions: known at the window's end in training, half an hour after it elsewhere.
    params, recipe, _ = builds(name)
    path = params.build(recipe.name, "window", "window_event.parquet")
    whole = path.read_bytes()
    window = pl.read_parquet(params.build(recipe.name, "window", "window.parquet"))
    pairs = pl.read_parquet(params.build(recipe.name, "cohort", "pair.parquet"))
    ends = window.filter(kind="pair").join(pairs, left_on="key", right_on="pair_id")
    late = ends.select(
        pl.lit("pair").alias("kind"),
        "key",
        pl.lit(1, dtype=pl.UInt8).alias("event_table"),
        late_at=pl.when(pl.col("split") == "train")
        .then("window_end_at")
        .otherwise(pl.col("window_end_at") + HALF_HOUR),
    )
    events = pl.read_parquet(path).join(late, on=["kind", "key", "event_table"], how="left")
    known_at = pl.coalesce("late_at", "known_at").alias("known_at")
    try:
        events.with_columns(known_at).drop("late_at").write_parquet(path)
        found = items(gather(params, recipe))
    finally:
        path.write_bytes(whole)
    known = cells(found["event_known"])["prescriptions"]
    assert (known["at the end"], known["after the end"]) == (15, 8)
    margins = found["event_margin"]
    row = list(margins.rows).index("prescriptions")
    assert margins.values[row] == [6.0, -0.5]
    assert list(margins.marked) == ([(row, 1)] if is_marked else [])


def test_a_patient_and_a_film_in_two_splits_are_marked(tmp_path):
    def spoil(folder):
        path = folder / "cohort" / "pair.parquet"
        is_chosen = (pl.col("subject_id") == 8) & pl.col("previous_dicom_id").str.ends_with("0")
        split = pl.when(is_chosen).then(pl.lit("test")).otherwise("split").alias("split")
        pl.read_parquet(path).with_columns(split).write_parquet(path)

    params, recipe = build(tmp_path, "ehrxdiff", spoil)
    pretend_checked(params, recipe)
    shared = items(gather(params, recipe))["shared"]
    # Its two pairs have the film in the middle in common.
    assert cells(shared)["train and test"] == {"patients": 1, "films": 1}
    assert cells(shared)["train and valid"] == {"patients": 0, "films": 0}
    assert list(shared.marked) == [(1, 0), (1, 1)]


def test_statistics_come_from_training(builds):
    report = builds("ddl_cxr")[2]
    table = items(report)["statistics"]
    expected = {"counted": 15, "in training": 15, "training patients": 8}
    assert cells(table)["age and hourly values: pairs"] == expected
    films = 2 * 15 + 8 + 8  # of pairs, stays and images
    assert cells(table)["latents: films of samples"]["counted"] == films
    assert not table.marked


def test_distances_are_standardised_mean_differences(builds):
    params, recipe, report = builds("future")
    facts = facts_of(params, recipe, "pair")
    table = items(report)["pair_distance"]
    ages = {split: [one["age"] for one in ones] for split, ones in facts.items()}
    men = {split: [one["sex"] == "M" for one in ones] for split, ones in facts.items()}
    for name, columns in {"age": ages, "male": men}.items():
        row = list(table.rows).index(name)
        for at, split in enumerate(SPLITS):
            ours = columns[split]
            others = [value for other in SPLITS if other != split for value in columns[other]]
            spread = (statistics.pvariance(ours) + statistics.pvariance(others)) / 2
            expected = (statistics.mean(ours) - statistics.mean(others)) / spread**0.5
            assert table.values[row][at] == pytest.approx(expected)
            assert ((row, at) in table.marked) == (abs(expected) > 0.1)
    # Of shares a row rests on the fewer of those with and without: two of four men in valid.
    assert table.rests_on[list(table.rows).index("male")] == 2


def test_a_split_without_samples_is_a_column_of_zeros(tmp_path):
    def empty(folder):
        for table in ("pair", "stay"):
            path = folder / "cohort" / f"{table}.parquet"
            pl.read_parquet(path).filter(pl.col("split") != "test").write_parquet(path)

    params, recipe = build(tmp_path, "future", empty)
    pretend_checked(params, recipe)
    report = gather(params, recipe)
    for item in items(report).values():
        require_whole(item)
    found = items(report)
    assert cells(found["samples"])["pairs"] == {"train": 15, "valid": 4, "test": 0}
    assert found["pair_distance"].values[0][2] is None
    assert "pair_test_findings" not in found
    assert found["pair_patient_spread"].values[0][2].mean is None
    # Windows of samples that the dataset lacks are not counted.
    assert sum(cells(found["latest_known"])["hourly values and events of pairs"].values()) == 19


def test_checks_and_the_papers_numbers_are_those_of_check(builds):
    params, recipe, report = builds("ddl_cxr")
    found = items(report)
    checks = json.loads(params.build(recipe.name, "check", "check.json").read_text())
    assert [row[0] for row in found["checks"].values] == [one["rows"] for one in checks]
    with params.build(recipe.name, "check", "reproduction.csv").open() as handle:
        lines = {line["measure"]: line for line in csv.DictReader(handle)}
    ours = cells(found["paper_prevalence"])["stay train death in hospital"]
    line = lines["stay/train/prevalence/death in hospital"]
    assert (ours["paper"], ours["ours"]) == (float(line["paper"]), 1 / 8)
    assert ours["difference"] == pytest.approx(1 / 8 - float(line["paper"]))
    # One death of eight in training and none of two elsewhere: the table rests on nobody.
    assert set(found["paper_prevalence"].rests_on) == {0}

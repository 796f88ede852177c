"""Hours of the set wide: which measurement stands in which, and nothing from the future."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrfuture_data.schema import WIDE_VARIABLES
from etl import window
from etl.params import SqlParams
from etl.recipe import read_recipe
from etl.sqlfile import offending_rows, open_sql, write_parquet, write_table

START = datetime(2150, 1, 2)
LENGTH = 3.5  # hours of the window
SECOND = 1 / 3600
HEART, FLUID, URINE, DOSE = "Heart Rate", "Fluid intake", "Urine output", "Vasopressors"
TOTAL, BALANCE = "Fluid output", "Fluid balance"
WHEN = pl.Datetime("us")
# variable, value, event, end, known: hours after the window's start
Row = tuple[str, float, float, float | None, float]


def at(hours: float | None) -> datetime | None:
    return None if hours is None else START + timedelta(hours=hours)


def tables_of(rows: list[Row]) -> dict[str, pl.DataFrame]:
    measurement = pl.DataFrame(
        {
            "subject_id": [1] * len(rows),
            "hadm_id": [1] * len(rows),
            "event_at": [at(row[2]) for row in rows],
            "ends_at": [at(row[3]) for row in rows],
            "known_at": [at(row[4]) for row in rows],
            "variable": [row[0] for row in rows],
            "value": [float(row[1]) for row in rows],
        },
        schema={
            "subject_id": pl.Int64,
            "hadm_id": pl.Int64,
            "event_at": WHEN,
            "ends_at": WHEN,
            "known_at": WHEN,
            "variable": pl.String,
            "value": pl.Float64,
        },
    )
    sample: dict[str, Any] = {
        "subject_id": [1],
        "hadm_id": [1],
        "window_start_at": [at(0)],
        "window_end_at": [at(LENGTH)],
    }
    event = pl.DataFrame(
        schema={
            "subject_id": pl.Int64,
            "hadm_id": pl.Int64,
            "event_at": WHEN,
            "ends_at": WHEN,
            "known_at": WHEN,
            "event_table": pl.UInt8,
            "source_row": pl.Int64,
            "text_id": pl.Int64,
        }
    )
    return {
        "measurement": measurement,
        "pair": pl.DataFrame({"pair_id": ["p"], **sample}),
        "stay": pl.DataFrame({"key": ["s"], **sample}).clear(),
        "pair_admission": pl.DataFrame({"pair_id": ["p"], "hadm_id": [1]}),
        "event": event,
    }


def build(folder: Path, rows: list[Row], availability: str = "known") -> list[Any]:
    """Write hourly and window.parquet of one window; returns the ledger's (reason, removed)."""
    recipe = read_recipe("future").model_copy(update={"availability": availability})
    sql = SqlParams(memory_limit="1GB", threads=1)
    with open_sql(sql, folder / "spill") as connection:
        for name, table in tables_of(rows).items():
            connection.register("found", table)
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM found")
            connection.unregister("found")
        window.create_windows(connection, recipe)
        files = window.files_of(recipe)
        write_table(connection, folder / "hourly.parquet", "hourly", files.kept["hourly"])
        write_parquet(connection, folder / "window.parquet", files.window, recipe.parameters)
        return [(drop.reason, drop.removed) for drop in window.count_unused(connection)]


@pytest.fixture
def hours_of(tmp_path):
    def run(*rows: Row, **kwargs: Any) -> dict[str, dict[int, float]]:
        """variable -> hour -> value, of what is not null."""
        build(tmp_path, list(rows), **kwargs)
        table = pl.read_parquet(tmp_path / "hourly.parquet")
        found = {
            variable.name: {
                hour: value
                for hour, value in table.select("hour", variable.name).iter_rows()
                if value is not None
            }
            for variable in WIDE_VARIABLES
        }
        return {name: hours for name, hours in found.items() if hours}

    return run


@pytest.mark.parametrize(
    ("event", "known", "hour"),
    [
        (-1, -SECOND, None),  # known before
        (-1, 0, 0),  # taken before, known at the start
        (-1, 3.4, 0),
        (0, 0, 0),
        (1 - SECOND, 2, 0),
        (1, 1, 1),  # hours hold their start
        (3.4, 3.4, 3),  # the last hour is not whole
        (3.4, 3.5, None),  # known at the target
        (3.5, 3.5, None),
        (1, 9, None),
    ],
)
def test_a_moment_belongs_by_when_it_was_known(hours_of, event, known, hour):
    found = hours_of((HEART, 80, event, None, known))
    assert found == ({} if hour is None else {HEART: {hour: 80}})


def test_by_when_it_happened_if_the_recipe_says_so(hours_of):
    rows = [(HEART, 80, 1, None, 9), (HEART, 70, -1, None, 1), (HEART, 60, 3.5, None, 3.5)]
    assert hours_of(*rows, availability="event") == {HEART: {1: 80}}


@pytest.mark.parametrize("reverse", [False, True])
def test_the_last_value_of_an_hour_stands_then_known_later_then_larger(hours_of, reverse):
    rows = [
        (HEART, 100, 0.1, None, 2),
        (HEART, 90, 0.2, None, 0.3),  # last
        (HEART, 50, 1.5, None, 1.6),
        (HEART, 40, 1.5, None, 1.7),  # known later
        (HEART, 60, 2.5, None, 2.5),
        (HEART, 61, 2.5, None, 2.5),  # larger
    ]
    assert hours_of(*rows[:: -1 if reverse else 1]) == {HEART: {0: 90, 1: 40, 2: 61}}


def test_a_fluid_counts_in_every_hour_in_which_it_runs(hours_of):
    found = hours_of((FLUID, 100, 0.5, 2.25, 0.5))
    assert found[FLUID] == {0: 50, 1: 100, 2: 25}


@pytest.mark.parametrize(
    ("event", "end", "known", "hours"),
    [
        (-2, 1, -2, {0: 100}),  # over the start
        (-2, 0, -2, {}),  # ended at the start
        (-2, 0.25, -1, {0: 25}),
        (-2, -1, 1, {}),  # known in the window, but over before it
        (3, 9, 3, {3: 50}),  # over the end, which is not known
        (2, 3, 2, {2: 100}),  # ends on the hour
        (-2, 9, -2, {0: 100, 1: 100, 2: 100, 3: 50}),
        (0, 3, 3.5, {}),  # known at the target
        (0, 3, 3.4, {0: 100, 1: 100, 2: 100}),
    ],
)
def test_what_runs_is_cut_to_the_window(hours_of, event, end, known, hours):
    assert hours_of((FLUID, 100, event, end, known)).get(FLUID, {}) == hours


def test_moments_and_overlapping_infusions_add_up(hours_of):
    found = hours_of(
        (FLUID, 100, 0, 2, 0),
        (FLUID, 50, 1, 2, 1),
        (FLUID, 250, 1.5, None, 1.5),
        (URINE, 30, 1.2, None, 1.2),
        (URINE, 40, 1.9, None, 1.9),
        (TOTAL, 5, 1.9, None, 1.9),
    )
    assert found == {
        FLUID: {0: 100, 1: 400},
        URINE: {1: 70},
        TOTAL: {1: 75},
        BALANCE: {0: 100, 1: 325},
    }


def test_output_alone_is_a_negative_balance(hours_of):
    found = hours_of((URINE, 30, 1, None, 1), (TOTAL, 5, 2, None, 2))
    assert found == {URINE: {1: 30}, TOTAL: {1: 30, 2: 5}, BALANCE: {1: -30, 2: -5}}


def test_a_dose_is_the_mean_over_the_hours_part_in_the_window(hours_of):
    found = hours_of(
        (DOSE, 0.1, 0, 9, 0),
        (DOSE, 0.2, 1, 1.5, 1),  # a second drug for half an hour
        (DOSE, 0.4, 3.25, 9, 3.25),  # for half of the last half hour
    )
    assert found[DOSE] == pytest.approx({0: 0.1, 1: 0.2, 2: 0.1, 3: 0.3}, abs=1e-8)


def test_a_window_has_all_its_hours_and_the_latest_times_of_what_is_kept(tmp_path):
    drops = build(
        tmp_path,
        [
            (HEART, 80, 0.1, None, 0.1),
            (HEART, 81, 0.2, None, 3.0),
            (FLUID, 100, -3, -1, 3.2),
            (FLUID, 100, 2, 9, 2.5),
        ],
    )
    [row] = pl.read_parquet(tmp_path / "window.parquet").to_dicts()
    assert (row["hours"], row["hourly_start_hours"]) == (4, 0)
    assert (row["latest_event_at"], row["latest_known_at"]) == (at(2), at(3))
    assert drops == [
        ("known in the window, but ended before its start", 1),
        ("a later value in the same hour", 1),
    ]


HOURS = st.integers(-16, 32).map(lambda quarter: quarter / 4)


@st.composite
def measurements(draw: st.DrawFn) -> Row:
    name = draw(st.sampled_from([HEART, FLUID, URINE, TOTAL, DOSE]))
    event = draw(HOURS)
    runs = name == DOSE or (name == FLUID and draw(st.booleans()))
    end = event + draw(st.integers(1, 40)) / 4 if runs else None
    known = event + draw(st.integers(0, 24)) / 4
    return (name, draw(st.integers(0, 40)) / 8, event, end, known)


def _bytes(folder: Path, rows: list[Row]) -> bytes:
    build(folder, rows)
    return b"".join((folder / f"{name}.parquet").read_bytes() for name in ("hourly", "window"))


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(measurements(), max_size=12), data=st.data())
def test_nothing_known_at_the_end_or_later_changes_a_window(tmp_path_factory, rows, data):
    """Whatever is known too late may be lost, changed or moved, in any order: equal bytes."""
    folder = tmp_path_factory.mktemp("window")
    before = _bytes(folder, rows)
    in_time = [row for row in rows if row[4] < LENGTH]
    late = [
        (name, value, event, end, max(known, event, LENGTH))
        for name, value, event, end, known in data.draw(st.lists(measurements(), max_size=6))
    ]
    # The end of what still runs at the window's end is not known by then.
    moved = [
        row if row[3] is None or row[3] < LENGTH else (*row[:3], row[3] + 5, row[4])
        for row in data.draw(st.permutations(in_time))
    ]
    assert _bytes(folder, late + moved) == before
    with open_sql(SqlParams(memory_limit="1GB", threads=1), folder / "spill") as connection:
        tables = {name: folder / f"{name}.parquet" for name in ("hourly", "window")}
        parameters = read_recipe("future").parameters
        for check in ("window_too_late", "hour_outside_window"):
            assert offending_rows(connection, f"check/{check}", tables, parameters) == 0

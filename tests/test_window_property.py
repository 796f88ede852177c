"""Whatever was recorded, and whenever it was known: no window holds anything beyond its end."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrfuture_data.schema import EVENT_TABLES
from etl.params import SqlParams
from etl.recipe import Recipe, read_recipe
from etl.sqlfile import create_table, open_sql
from etl.window import OUTPUTS, create_windows

ADMITTED = datetime(2150, 1, 2)
# Seconds since ICU admission; often at an end of a window, or a second beside it.
EDGES = [edge + beside for edge in (0, 20 * 3600, 48 * 3600) for beside in (-1, 0, 1)]
HOURS = st.one_of(st.sampled_from(EDGES), st.integers(-30 * 3600, 60 * 3600))
DELAY = st.one_of(st.none(), st.sampled_from([0, 1, 28 * 3600]), st.integers(0, 30 * 3600))
MEASURED = st.tuples(HOURS, DELAY, st.sampled_from(["Heart Rate", "Height", "Glucose"]))
HAPPENED = st.tuples(HOURS, DELAY, st.sampled_from(range(len(EVENT_TABLES))))
PAIRS = st.tuples(HOURS, HOURS).filter(lambda taken: taken[0] < taken[1])


def at(seconds: int) -> datetime:
    return ADMITTED + timedelta(seconds=seconds)


def frame(rows: list[dict[str, Any]], **types: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=types)


def windows_of(recipe: Recipe, pair: Any, measured: Any, happened: Any) -> dict[str, pl.DataFrame]:
    """The outputs of the stage for one stay with one pair."""
    when = pl.Datetime("us")
    ids = dict.fromkeys(("subject_id", "hadm_id", "stay_id"), pl.Int64)
    one = dict.fromkeys(ids, 1)
    ends = {"window_start_at": when, "window_end_at": when}
    known = [
        {
            "event_at": at(seconds),
            # A result without a storetime counts as known when it happened.
            "known_at": at(seconds + (delay or 0)),
            "source_row": row,
        }
        for row, (seconds, delay, _) in enumerate([*measured, *happened])
    ]
    times = {"event_at": when, "known_at": when, "source_row": pl.Int64}
    tables = {
        "pair": frame(
            [
                one
                | {"pair_id": "p", "is_null_event": False}
                | {"window_start_at": at(pair[0]), "window_end_at": at(pair[1])}
            ],
            **ids,
            pair_id=pl.String,
            is_null_event=pl.Boolean,
            **ends,
        ),
        "pair_admission": frame(
            [{"pair_id": "p", "hadm_id": 1}], pair_id=pl.String, hadm_id=pl.Int64
        ),
        "stay": frame(
            [
                one
                | {"key": "s", "window_start_at": at(0), "window_end_at": at(48 * 3600)}
                | {"generation_start_at": at(36 * 3600)}
            ],
            **ids,
            key=pl.String,
            **ends,
            generation_start_at=when,
        ),
        "all_stay": frame(
            [{"stay_id": 1, "intime": at(0), "outtime": at(96 * 3600)}],
            stay_id=pl.Int64,
            intime=when,
            outtime=when,
        ),
        "measurement": frame(
            [
                one
                | fact
                | {"variable": variable, "value": 80.0, "charted": None, "source": "chartevents"}
                for fact, (_, _, variable) in zip(known, measured, strict=False)
            ],
            **ids,
            **times,
            variable=pl.String,
            value=pl.Float64,
            charted=pl.String,
            source=pl.String,
        ),
        "event": frame(
            [
                one | fact | {"event_table": table, "text_id": 1}
                for fact, (_, _, table) in zip(known[len(measured) :], happened, strict=True)
            ],
            **ids,
            **times,
            event_table=pl.UInt8,
            text_id=pl.UInt64,
        ),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        open_sql(SqlParams(memory_limit="1GB", threads=1), Path(folder)) as connection,
    ):
        for name, rows in tables.items():
            connection.register(f"given_{name}", rows)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given_{name}")
        create_windows(connection, recipe)
        for table in ("window", "window_event"):
            create_table(connection, f"made_{table}", f"window/{table}", recipe.parameters)
        connection.execute("CREATE TABLE made_hourly AS FROM hourly")
        return {table: connection.sql(f"FROM made_{table}").pl() for table in OUTPUTS}


@settings(max_examples=30, deadline=None)
@given(
    fidelity=st.sampled_from(["corrected", "published"]),
    availability=st.sampled_from(["event", "known"]),
    pair=PAIRS,
    measured=st.lists(MEASURED, max_size=12),
    happened=st.lists(HAPPENED, max_size=12),
    includes_end=st.booleans(),
)
def test_nothing_in_a_window_is_later_than_its_end(
    fidelity, availability, pair, measured, happened, includes_end
):
    recipe = read_recipe("ddl_cxr").model_copy(
        update={"fidelity": fidelity, "availability": availability}
    )
    rule = recipe.window.model_copy(
        update={"events": True, "includes_end": includes_end, "maximum_events": 3}
    )
    made = windows_of(recipe.model_copy(update={"window": rule}), pair, measured, happened)
    windows = {(row["kind"], row["key"]): row for row in made["window"].iter_rows(named=True)}
    assert set(windows) == {("pair", "p"), ("stay", "s"), ("generation", "s")}
    for window in windows.values():
        latest = [window["latest_event_at"]]
        latest += [window["latest_known_at"]] if availability == "known" else []
        for moment in latest:
            if moment is not None:
                assert moment < window["window_end_at"] or (
                    includes_end and moment == window["window_end_at"]
                )
        assert window["events"] <= 3
    for row in made["window_event"].iter_rows(named=True):
        window = windows[row["kind"], row["key"]]
        decides = row["known_at"] if availability == "known" else row["event_at"]
        assert row["event_at"] >= window["window_start_at"]
        assert decides <= window["window_end_at"]
        assert includes_end or decides < window["window_end_at"]
    for row in made["hourly"].iter_rows(named=True):
        assert 0 <= row["hour"] < windows[row["kind"], row["key"]]["hours"]

"""Windows of `future`: what of moments and of what runs belongs to one, and what it shows."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrfuture_data.schema import EVENT_TABLES
from etl.params import SqlParams
from etl.sqlfile import check_names, create_table, offending_rows, open_sql, write_parquet

START = datetime(2150, 1, 2)
LENGTH = 10.0  # hours of the pair's window
PREDICTED = 4.0  # the stay's window begins with the pair's
SECOND = 1 / 3600
CHECKS = [name for name in check_names() if "event" in name or name == "check/window_too_late"]
CHECKS = [name for name in CHECKS if name != "check/null_event_with_events"]

Times = tuple[float, float | None, float]  # hours of event_at, ends_at, known_at


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def tables_of(events: list[Times], hadm_ids: list[int] | None = None) -> dict[str, pl.DataFrame]:
    """Rows of event.parquet in its order, and a window of each kind."""
    when = pl.Datetime("us")
    rows = [
        {
            "subject_id": 1,
            "hadm_id": hadm_ids[row] if hadm_ids else 1,
            "event_at": at(event),
            "ends_at": None if end is None else at(end),
            "known_at": at(known),
            "event_table": row % len(EVENT_TABLES),
            "source_row": row,
            "text_id": row,
        }
        for row, (event, end, known) in enumerate(events)
    ]
    types = {"subject_id": pl.Int64, "hadm_id": pl.Int64, "event_at": when, "ends_at": when}
    types |= {"known_at": when, "event_table": pl.UInt8, "source_row": pl.Int64}
    windows = [(1, "pair", "p", LENGTH), (2, "stay", "s", PREDICTED)]
    return {
        "event": pl.DataFrame(rows, schema=types | {"text_id": pl.UInt64}),
        "sample_window": pl.DataFrame(
            [
                {"window_number": number, "kind": kind, "key": key, "subject_id": 1, "hadm_id": 1}
                | {"window_start_at": at(0), "window_end_at": at(hours)}
                for number, kind, key, hours in windows
            ]
        ),
        "pair_admission": pl.DataFrame({"pair_id": ["p"], "hadm_id": [1]}),
    }


def run(folder: Path, tables: dict[str, pl.DataFrame], availability: str, most: int) -> bytes:
    """Write window_event.parquet, hold it to the checks, and return its bytes."""
    rule = {"availability": availability, "maximum_events": most}
    rule |= {"includes_end": False, "rules": "future"}
    limits = SqlParams(memory_limit="1GB", threads=1)
    path, windows = folder / "window_event.parquet", folder / "window.parquet"
    with open_sql(limits, folder / "spill") as connection:
        for name, rows in tables.items():
            connection.register(f"given_{name}", rows)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given_{name}")
        create_table(connection, "window_admission", "window/window_admission")
        create_table(connection, "windowed_event", "window/future/windowed_event", rule)
        create_table(connection, "event_count", "window/event_count")
        write_parquet(connection, path, "window/future/window_event")
        connection.execute(
            "COPY (SELECT sample_window.*, COALESCE(events, 0) AS events, latest_event_at"
            ", latest_known_at FROM sample_window LEFT JOIN event_count USING (window_number))"
            f" TO '{windows}' (FORMAT parquet)"
        )
        files = {"window_event": path, "window": windows}
        for name in CHECKS:
            assert offending_rows(connection, name, files, rule) == 0, name
    return path.read_bytes()


def window(folder: Path, *events: Times, most: int = 100, **rule: Any) -> list[dict[str, Any]]:
    """The pair's events."""
    availability = rule.pop("availability", "known")
    run(folder, tables_of(list(events), **rule), availability, most)
    rows = pl.read_parquet(folder / "window_event.parquet").filter(pl.col("kind") == "pair")
    return rows.to_dicts()


MOMENTS = [  # event_at, known_at, as-of, by event time
    (0.0, 0.0, True, True),  # at the start
    (-SECOND, -SECOND, False, False),
    (-5.0, 0.0, True, False),  # drawn before, known at the start
    (-5.0, -SECOND, False, False),
    (LENGTH, LENGTH, False, False),  # at the end
    (LENGTH - SECOND, LENGTH - SECOND, True, True),
    (LENGTH - SECOND, LENGTH, False, True),  # known at the end: too late
    (3.0, 300.0, False, True),
]


@pytest.mark.parametrize(("event_at", "known_at", "as_of", "by_event"), MOMENTS)
def test_a_moment_belongs_to_the_window_it_became_known_in(
    tmp_path, event_at, known_at, as_of, by_event
):
    moment = (event_at, None, known_at)
    found = window(tmp_path, moment)
    assert bool(found) is as_of
    if as_of:
        assert found[0]["hours"] == pytest.approx(event_at)
        assert found[0]["end_hours"] is None
    assert bool(window(tmp_path, moment, availability="event")) is by_event


RUNS = [  # event_at, ends_at, known_at -> end_hours as-of, by event time; None: not there
    ((-5.0, 5.0, -5.0), 5.0, 5.0),  # over the start
    ((-5.0, 0.0, -5.0), None, None),  # it ended at the start
    ((-5.0, SECOND, -5.0), SECOND, SECOND),
    ((-5.0, 0.0, 1.0), 0.0, None),  # charted after it ended
    ((2.0, 3.0, 2.0), 3.0, 3.0),  # within
    ((2.0, LENGTH - SECOND, 2.0), LENGTH - SECOND, LENGTH - SECOND),
    ((2.0, LENGTH, 2.0), math.inf, math.inf),  # its end is at the end: not known
    ((2.0, 100.0, 2.0), math.inf, math.inf),  # over the end
    ((-5.0, 100.0, -5.0), math.inf, math.inf),  # over both
    ((2.0, 100.0, LENGTH), None, math.inf),  # charted at the end
    ((2.0, 3.0, LENGTH), None, 3.0),
    ((LENGTH, 100.0, LENGTH), None, None),
    ((LENGTH - SECOND, 100.0, LENGTH - SECOND), math.inf, math.inf),
]


@pytest.mark.parametrize(("times", "as_of", "by_event"), RUNS)
def test_what_runs_belongs_while_it_runs_and_shows_no_end_beyond(tmp_path, times, as_of, by_event):
    for availability, end_hours in (("known", as_of), ("event", by_event)):
        found = window(tmp_path, times, availability=availability)
        assert [row["end_hours"] for row in found] == (
            [] if end_hours is None else [pytest.approx(end_hours)]
        )
        assert [row["hours"] for row in found] == [pytest.approx(times[0])] * len(found)


def test_an_end_too_close_to_the_window_s_for_a_float_is_not_shown(tmp_path):
    close = (2.0, LENGTH - 0.0001 / 3600, 2.0)
    assert [row["end_hours"] for row in window(tmp_path, close)] == [math.inf]


def test_events_of_another_admission_are_not_the_window_s(tmp_path):
    events = [(1.0, None, 1.0), (2.0, 100.0, 2.0)]
    assert window(tmp_path, *events, hadm_ids=[2, 2]) == []


def test_the_oldest_moments_go_first_and_what_runs_at_the_end_stays(tmp_path):
    events = [
        (-50.0, 100.0, -50.0),  # 0: runs at the end, though begun first of all
        (-40.0, 9.5, -40.0),  # 1: stopped last
        (1.0, None, 1.0),  # 2
        (2.0, None, 2.0),  # 3
        (2.0, None, 2.0),  # 4: a later table
        (3.0, 5.0, 3.0),  # 5: stopped before the last moment
        (6.0, None, 6.0),  # 6
    ]
    stay = {most: window(tmp_path, *events, most=most) for most in range(1, 8)}
    kept = {most: [row["source_row"] for row in rows] for most, rows in stay.items()}
    assert kept == {
        7: [0, 1, 2, 3, 4, 5, 6],
        6: [0, 1, 3, 4, 5, 6],
        5: [0, 1, 4, 5, 6],
        4: [0, 1, 5, 6],
        3: [0, 1, 6],
        2: [0, 1],
        1: [0],
    }
    assert [row["position"] for row in stay[4]] == [0, 1, 2, 3]


def test_of_more_that_run_at_the_end_than_stay_those_begun_last_do(tmp_path):
    events = [(float(hour), 100.0 - hour, float(hour)) for hour in range(5)]
    assert [row["source_row"] for row in window(tmp_path, *events, most=2)] == [3, 4]


EDGES = [edge + beside for edge in (0, PREDICTED, LENGTH) for beside in (-SECOND, 0, SECOND)]
HOURS = st.one_of(st.sampled_from(EDGES), st.integers(-8000, 14000).map(lambda s: s * 3.6 / 3600))
LASTS = st.one_of(st.none(), st.sampled_from([SECOND, 1.0, 200.0]), HOURS.map(abs))
DELAY = st.one_of(st.sampled_from([0, SECOND, 5.0, 30.0]), HOURS.map(abs))


@st.composite
def event_times(draw: st.DrawFn) -> Times:
    begins, lasts, delay = draw(HOURS), draw(LASTS), draw(DELAY)
    return begins, None if not lasts else begins + lasts, begins + delay


def tables_of_patients(patients: list[list[Times]]) -> dict[str, pl.DataFrame]:
    """Tables of several patients, each with windows of its own; patient n has admission n."""
    parts: dict[str, list[pl.DataFrame]] = {}
    for number, events in enumerate(patients):
        ids = {name: pl.lit(number).cast(pl.Int64) for name in ("subject_id", "hadm_id")}
        of_window = {"window_number": 10 * number + pl.col("window_number")}
        named = pl.col("key") + str(number)
        more = {"event": ids, "sample_window": ids | of_window | {"key": named}}
        pair = {"pair_id": pl.col("pair_id") + str(number), "hadm_id": ids["hadm_id"]}
        for name, rows in tables_of(events).items():
            changed = rows.with_columns(**more.get(name, pair))
            parts.setdefault(name, []).append(changed)
    return {name: pl.concat(rows) for name, rows in parts.items()}


def change_late(events: list[Times], other: list[Times], end: float) -> list[Times]:
    """What became known too late is another event altogether, and what still ran at the end ends
    at another time."""
    return [
        (other[row][0], other[row][1], max(other[row][2], end))
        if times[2] >= end
        else (times[0], end + row, times[2])
        if times[1] is not None and times[1] >= end
        else times
        for row, times in enumerate(events)
    ]


PATIENTS = 6  # at once: a run costs far more than a patient


@settings(max_examples=6, deadline=None)
@given(
    patients=st.lists(st.lists(event_times(), max_size=14), min_size=PATIENTS, max_size=PATIENTS),
    other=st.lists(event_times(), min_size=14, max_size=14),
    most=st.integers(1, 6),
)
def test_nothing_known_at_the_end_or_later_changes_a_byte(tmp_path_factory, patients, other, most):
    folder = tmp_path_factory.mktemp("property")
    for end, kind in ((LENGTH, "pair"), (PREDICTED, "stay")):
        given_tables = tables_of_patients(patients)
        frames = given_tables["sample_window"].filter(pl.col("kind") == kind)
        given_tables["sample_window"] = frames
        before = run(folder, given_tables, "known", most)
        kept = pl.read_parquet(folder / "window_event.parquet")
        assert (kept["known_at"] < at(end)).all()
        assert (kept.group_by("key").len()["len"] <= most).all()
        late = tables_of_patients([change_late(events, other, end) for events in patients])
        late["sample_window"] = frames
        assert run(folder, late, "known", most) == before
        late["event"] = late["event"].filter(pl.col("known_at") < at(end))
        assert run(folder, late, "known", most) == before

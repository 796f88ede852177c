"""What a window holds: both its ends, its hours, its last events, and what was known in time."""

from typing import Any

import duckdb
import pytest
from tiny_stages import HADM, STAY, SUBJECT, Built, at, build, chart, film, heart_rates, lab

from cxrfuture_data.schema import VARIABLES
from etl.recipe import WindowRule

SECOND = 1 / 3600
HOURS = heart_rates(1, 2, 3, 4, 5, 6)


def hourly(tmp_path: Any, rows: list[Any], *, films: Any = None, **changes: Any) -> Built:
    films = films or [film("a", 0, 1), film("b", 20, 2)]
    return build(tmp_path, "ddl_cxr", {"cxr_metadata": films, "chartevents": rows}, **changes)


def cells(built: Built, kind: str, variable: str) -> dict[int, float]:
    rows = built.rows("window", "hourly", f'kind, hour, "{variable}"')
    return {hour: value for found, hour, value in rows if found == kind and value is not None}


def output_event(hours: float, value: int = 50, **changes: Any) -> dict[str, Any]:
    return {
        "subject_id": SUBJECT,
        "hadm_id": HADM,
        "charttime": at(hours),
        "storetime": at(hours),
        "itemid": 9,
        "value": value,
    } | changes


def events_of(tmp_path: Any, events: list[Any], **changes: Any) -> Built:
    films = [film("a", 0, 1), film("b", 20, 2)]
    tables = {"cxr_metadata": films, "outputevents": events}
    return build(tmp_path, "ehrxdiff", tables, **changes)


def rule(**changes: Any) -> WindowRule:
    texts = {
        "hourly": False,
        "variables": "benchmark",
        "events": True,
        "includes_end": True,
        "maximum_events": 1024,
        "text": "plain",
    }
    return WindowRule.model_validate(texts | changes)


def test_the_hours_of_a_stay_are_open_at_their_start_but_the_first(tmp_path):
    rows = [
        chart(220045, 0, 60),
        chart(220045, 1, 61),
        chart(220045, 1 + SECOND, 62),
        chart(220045, 48, 63),
        chart(220045, -SECOND, 64),
        chart(220045, 48 + SECOND, 65),
    ]
    built = hourly(tmp_path, rows + HOURS[1:])
    found = cells(built, "stay", "Heart Rate")
    assert found[0] == 61  # the start and hour 1 share the first bin, and the later one wins
    assert found[1] == 80
    assert found[47] == 63
    assert set(found) == {0, 1, 2, 3, 4, 5, 47}
    hours = dict(built.rows("window", "window", "kind, hours"))
    assert hours["stay"] == 48


def test_the_hours_of_a_pair_count_from_its_first_measurement(tmp_path):
    rows = heart_rates(2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 7.5 + SECOND)
    built = hourly(tmp_path, rows)
    # 2.5 is hour 0; 3.5, an hour later, too; the last is a second past five hours.
    assert sorted(cells(built, "pair", "Heart Rate")) == [0, 1, 2, 3, 4, 5]
    assert dict(built.rows("window", "window", "kind, hours"))["pair"] == 6
    starts = dict(built.rows("window", "window", "kind, hourly_start_hours"))
    assert starts == {"pair": 2.5, "stay": 0, "generation": 0}


@pytest.mark.parametrize(("taken", "start"), [(20, 20), (40, 36), (36, 36), (-5, -5)])
def test_a_film_is_generated_from_its_last_film_on_and_twelve_hours_at_least(
    tmp_path, taken, start
):
    built = hourly(tmp_path, heart_rates(-6, -4, 21, 37, 47), films=[film("a", taken, 1)])
    windows = {
        kind: (begins, ends)
        for kind, begins, ends in built.rows(
            "window", "window", "kind, window_start_at::VARCHAR, window_end_at::VARCHAR"
        )
    }
    assert windows["generation"] == (at(start), at(48))
    first = min(hour for hour in (-6, -4, 21, 37, 47) if hour >= start)
    # Hours count from the first measurement, as in a pair's window.
    assert max(cells(built, "generation", "Heart Rate")) == max(47 - first - 1, 0)


def test_both_films_belong_to_the_window_of_a_pair(tmp_path):
    rows = [chart(220045, 0, 60), chart(220045, 20, 61), chart(220045, 20 + SECOND, 62)]
    rows += [chart(220045, -SECOND, 63)]
    built = hourly(tmp_path, rows + heart_rates(1, 2, 3, 4, 5))
    found = cells(built, "pair", "Heart Rate")
    assert found[0] == 80
    assert found[19] == 61
    assert max(found) == 19
    latest = built.rows("window", "window", "kind, latest_event_at::VARCHAR")
    assert dict(latest)["pair"] == at(20)


def test_a_window_may_leave_out_its_end(tmp_path):
    texts = {
        "hourly": True,
        "variables": "benchmark",
        "events": False,
        "includes_end": False,
        "maximum_events": 1024,
        "text": "plain",
    }
    built = hourly(
        tmp_path, [*HOURS, chart(220045, 20, 61)], window=WindowRule.model_validate(texts)
    )
    assert max(cells(built, "pair", "Heart Rate")) == 4


def test_the_last_value_of_an_hour_wins_and_at_one_instant_the_largest_number(tmp_path):
    rows = [chart(220210, 0.5, 30), chart(220210, 0.9, 9), chart(224690, 0.9, 10)]
    built = hourly(tmp_path, rows + HOURS)
    # As texts "9" would be the larger one.
    assert cells(built, "stay", "Respiratory rate") == {0: 10}
    overtaken = built.removed("window", "measurement of a window")
    assert sum(overtaken.values()) == 4  # two in the stay's window, two in the pair's


def test_a_laboratory_result_of_the_admission_belongs_to_the_stay(tmp_path):
    tables = {
        "cxr_metadata": [film("a", -5, 1), film("b", 20, 2)],
        "chartevents": HOURS,
        "labevents": [lab(50931, -2, 120), lab(50931, 3, 130)],
    }
    built = build(tmp_path, "ddl_cxr", tables)
    assert cells(built, "stay", "Glucose") == {2: 130}
    # The pair's window starts before the ICU, and its hours with the first result.
    assert cells(built, "pair", "Glucose") == {0: 120, 4: 130}


def test_what_was_charted_in_another_stay_is_left_out(tmp_path):
    built = hourly(tmp_path, [*HOURS, chart(220179, 2, 120, stay_id=STAY + 1)])
    assert cells(built, "stay", "Systolic blood pressure") == {}


def test_as_of_windows_hold_only_what_the_chart_could_show(tmp_path):
    late = chart(220179, 19, 120, storetime=at(20 + SECOND))
    in_time = chart(220179, 18, 110, storetime=at(20))
    rows = [*HOURS, late, in_time]
    event = hourly(tmp_path / "event", rows)
    known = hourly(tmp_path / "known", rows, availability="known")
    assert cells(event, "pair", "Systolic blood pressure") == {16: 110, 17: 120}
    assert cells(known, "pair", "Systolic blood pressure") == {16: 110}
    # The stay's window ends at hour 48, when both were known.
    assert len(cells(known, "stay", "Systolic blood pressure")) == 2


def test_windows_taken_one_at_a_time_are_those_taken_at_once(tmp_path, monkeypatch):
    rows = [*HOURS, chart(220179, 3, 120), chart(220179, 3, 130), chart(220179, 30, 110)]
    at_once = hourly(tmp_path / "once", rows)
    monkeypatch.setattr("etl.window.WINDOWS_PER_PART", 1)
    in_parts = hourly(tmp_path / "parts", rows)
    assert len(at_once.rows("window", "window")) == 3
    for table in ("window", "hourly"):
        assert in_parts.rows("window", table) == at_once.rows("window", table) != []
    assert in_parts.drops("window") == at_once.drops("window")
    assert at_once.removed("window", "measurement of a window") != {}


def test_hourly_has_the_columns_of_the_contract_in_order(tmp_path):
    built = hourly(tmp_path, HOURS)
    path = built.params.build("ddl_cxr", "window", "hourly.parquet")
    names = [row[0] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()]
    assert names == ["kind", "key", "hour", *(variable.name for variable in VARIABLES)]


def test_events_at_both_films_are_in_and_a_second_beside_them_out(tmp_path):
    events = [output_event(hours) for hours in (-SECOND, 0, 10, 20, 20 + SECOND)]
    built = events_of(tmp_path, events, fidelity="published")
    assert built.rows("window", "window_event", "position, hours") == [(0, 0), (1, 10), (2, 20)]
    assert built.column("window", "window", "events") == [3]
    assert built.column("window", "window", "hours") == [0]


def test_events_at_the_target_are_left_out_by_a_correction_or_a_rule(tmp_path):
    events = [output_event(hours) for hours in (0, 20 - SECOND, 20)]
    for folder, changes in {
        "corrected": {},
        "rule": {"fidelity": "published", "window": rule(includes_end=False)},
    }.items():
        built = events_of(tmp_path / folder, events, **changes)
        assert built.column("window", "window", "events") == [2]
        assert max(built.column("window", "window_event", "hours")) < 20


def test_a_result_stored_after_the_target_is_unknown_to_an_as_of_window(tmp_path):
    last = at(20 - SECOND)
    events = [output_event(1), output_event(2, storetime=at(20)), output_event(3, storetime=last)]
    built = events_of(tmp_path / "event", events)
    assert built.column("window", "window_event", "hours") == [1, 2, 3]
    built = events_of(tmp_path / "known", events, availability="known")
    assert built.column("window", "window_event", "hours") == [1, 3]


def test_the_last_events_stay_and_the_cut_is_counted(tmp_path):
    # Three at one time: the order of rows in the file decides which of them is older.
    events = [output_event(5, 1), output_event(5, 2), output_event(5, 3), output_event(6, 4)]
    built = events_of(tmp_path, events, window=rule(maximum_events=2))
    assert built.column("window", "window_event", "position") == [0, 1]
    assert built.window_texts() == ["outputevents value 3", "outputevents value 4"]
    assert built.rows("window", "window", "events, dropped_events") == [(2, 2)]
    assert built.removed("window", "event of a window") == {
        "older than the last events a window holds": 2
    }

"""Films and pairs of EHRXDiff at the edges of every interval."""

from datetime import timedelta
from typing import Any

import pytest
from tiny_stages import HADM, SUBJECT, Built, admission, at, build, film

from etl.check import TABLES
from etl.recipe import WindowRule, read_recipe
from etl.sqlfile import check_names, offending_rows, open_sql

SECOND = 1 / 3600
EVENT = {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(6), "itemid": 9, "value": 50}
EVENTS = [EVENT, EVENT | {"charttime": at(5)}]


def ehrxdiff(tmp_path: Any, films: list[Any], until: str = "cohort", **tables: Any) -> Built:
    fidelity = tables.pop("fidelity", "corrected")
    changes = {"fidelity": fidelity, **tables.pop("changes", {})}
    given = {"cxr_metadata": films, "outputevents": EVENTS, **tables}
    return build(tmp_path, "ehrxdiff", given, until=until, **changes)


def pairs_of(built: Built) -> list[tuple[str, str]]:
    return sorted(built.rows("cohort", "pair", "previous_dicom_id, target_dicom_id"))


@pytest.mark.parametrize(("gap", "kept"), [(48, False), (48 - SECOND, True)])
def test_films_of_ehrxdiff_are_strictly_less_than_48_hours_apart(tmp_path, gap, kept):
    films = [film("sure", 5, 3), film("a", 6, 1), film("b", 6 + gap, 2)]
    assert (("a", "b") in pairs_of(ehrxdiff(tmp_path, films))) == kept


@pytest.mark.parametrize(
    ("hours", "kept"),
    [(-24, False), (-24 + SECOND, True), (240, True), (240 + SECOND, False)],
)
def test_films_of_ehrxdiff_are_taken_after_admission_and_up_to_discharge(tmp_path, hours, kept):
    built = ehrxdiff(tmp_path, [film("a", 5, 1), film("b", 7, 2), film("edge", hours, 3)])
    removed = sum(built.removed("cohort", "film of an admission").values())
    assert removed == (0 if kept else 1)


def test_films_of_one_study_are_no_pair_and_all_films_of_two_studies_are(tmp_path):
    films = [
        film("a1", 4, 1),
        film("a2", 5, 1, viewposition="PA"),
        film("b1", 7, 2),
        film("b2", 8, 2),
        film("b side", 8, 2, viewposition="LATERAL"),
    ]
    built = ehrxdiff(tmp_path, films)
    assert pairs_of(built) == [("a1", "b1"), ("a1", "b2"), ("a2", "b1"), ("a2", "b2")]
    assert built.removed("cohort", "pair") == {"same study, or one that began no later": 2}


def test_a_study_that_began_earlier_is_no_target(tmp_path):
    # Study 1 spans study 2: its second film is later, but it began first.
    films = [film("a1", 4, 1), film("b", 6, 2), film("a2", 8, 1)]
    assert pairs_of(ehrxdiff(tmp_path, films)) == [("a1", "b")]


@pytest.mark.parametrize(
    ("hours", "fidelity", "kept"),
    [
        (4, "corrected", True),
        (4 - SECOND, "published", False),
        (8 - SECOND, "corrected", True),
        (8, "corrected", False),  # the minute of the target film: its own order
        (8, "published", True),
        (8 + SECOND, "published", False),
    ],
)
def test_a_pair_of_ehrxdiff_needs_an_event_between_its_films(tmp_path, hours, fidelity, kept):
    films = [film("a", 4, 1), film("b", 8, 2), film("c", 60, 3), film("d", 70, 4)]
    sure = EVENT | {"charttime": at(65)}
    events = [sure, EVENT | {"charttime": at(hours)}]
    built = ehrxdiff(tmp_path, films, outputevents=events, fidelity=fidelity)
    assert (("a", "b") in pairs_of(built)) == kept
    assert built.removed("cohort", "pair").get("no event in the window", 0) == (0 if kept else 1)


def test_a_discharge_before_admission_is_counted(tmp_path):
    films = [film("a", 4, 1), film("b", 8, 2)]
    wrong = admission(HADM + 1, admittime=at(10), dischtime=at(9))
    built = ehrxdiff(tmp_path, films, admissions=[admission(), wrong])
    assert built.removed("cohort", "admission") == {"no discharge, or one before admission": 1}


@pytest.mark.parametrize(
    ("seconds", "fidelity", "kept"),
    [
        (0, "published", True),
        (29, "published", False),  # discharge is cut to the whole minute
        (29, "corrected", True),
        (30, "corrected", True),
        (31, "corrected", False),
    ],
)
def test_discharge_is_cut_to_minutes_as_published(tmp_path, seconds, fidelity, kept):
    films = [film("a", 4, 1), film("b", 8 + seconds * SECOND, 2)]
    films += [film("c", 4.1, 3), film("d", 7, 4)]
    stay = admission(dischtime=at(8 + 30 * SECOND))
    built = ehrxdiff(tmp_path, films, admissions=[stay], fidelity=fidelity)
    assert (("a", "b") in pairs_of(built)) == kept


@pytest.mark.parametrize(("fidelity", "pairs"), [("published", 1), ("corrected", 2)])
def test_fractions_of_a_film_s_second_are_cut_as_published(tmp_path, fidelity, pairs):
    # 0.9 s apart, within one second: as published the two studies are taken, and begin, at once.
    films = [film("a", 4, 1), film("b", 4 + 0.9 * SECOND, 2), film("c", 7, 3)]
    events = [EVENT | {"charttime": at(hours)} for hours in (4, 5)]
    built = ehrxdiff(tmp_path, films, outputevents=events, fidelity=fidelity)
    kept = pairs_of(built)
    assert [pair for pair in kept if pair[1] == "c"] == [("a", "c"), ("b", "c")]
    assert len(kept) == pairs + 1


OVERLAPPING = [admission(), admission(HADM + 1, admittime=at(2), dischtime=at(20))]


def overlapping(tmp_path: Any, fidelity: str, **changes: Any) -> Built:
    """Films a, b in two admissions; two events of the first between them, one of the second."""
    events = [EVENT, EVENT | {"charttime": at(5)}]
    events += [EVENT | {"hadm_id": HADM + 1, "charttime": at(5.5)}]
    films = [film("a", 4, 1), film("b", 8, 2)]
    tables = {"admissions": OVERLAPPING, "outputevents": events, "changes": changes}
    return ehrxdiff(tmp_path, films, until="window", fidelity=fidelity, **tables)


def test_a_pair_of_two_admissions_is_one_sample_with_the_events_of_both_as_published(tmp_path):
    built = overlapping(tmp_path, "published")
    assert built.rows("cohort", "pair", "hadm_id, previous_dicom_id") == [(HADM, "a")]
    admissions = built.column("cohort", "pair_admission", "hadm_id")
    assert admissions == [HADM, HADM + 1]
    assert built.column("window", "window_event", "hours") == [1, 1.5, 2]
    assert built.removed("cohort", "pair with events") == {
        "its events are in the sample of an overlapping admission": 1
    }


def test_the_cap_is_of_the_merged_events(tmp_path):
    rule = {
        "hourly": False,
        "variables": "benchmark",
        "events": True,
        "includes_end": True,
        "maximum_events": 2,
        "text": "plain",
    }
    built = overlapping(tmp_path, "published", window=WindowRule.model_validate(rule))
    assert built.column("window", "window_event", "hours") == [1.5, 2]
    assert built.rows("window", "window", "events, dropped_events") == [(2, 1)]


def test_a_pair_of_two_admissions_is_a_sample_of_each_when_corrected(tmp_path):
    built = overlapping(tmp_path, "corrected")
    rows = built.rows("cohort", "pair", "hadm_id, pair_id")
    assert sorted(hadm for hadm, _ in rows) == [HADM, HADM + 1]
    events = dict(built.rows("window", "window", "key, events"))
    assert {hadm: events[key] for hadm, key in rows} == {HADM: 2, HADM + 1: 1}


def test_each_target_film_gives_one_sample_without_events(tmp_path):
    # Of c's pairs (z, c) and (a, c) the first in the order of the key c_<previous> is (a, c).
    films = [film("z", 4, 1), film("a", 5, 2), film("c", 8, 3)]
    events = [EVENT | {"charttime": at(hours)} for hours in (4, 5, 6)]
    cohort = read_recipe("ehrxdiff_null").cohort
    built = ehrxdiff(
        tmp_path, films, until="window", outputevents=events, changes={"cohort": cohort}
    )
    columns = "previous_dicom_id, target_dicom_id, is_null_event, gap_hours"
    assert sorted(built.rows("cohort", "pair", columns)) == [
        ("a", "a", True, 0.0),
        ("a", "c", False, 3.0),
        ("z", "a", False, 1.0),
        ("z", "c", False, 4.0),
        ("z", "z", True, 0.0),
    ]
    nothing = set(built.column("cohort", "pair", "CASE WHEN is_null_event THEN pair_id END"))
    rows = built.rows("window", "window", "key, events, hours, window_end_at - window_start_at")
    empty = [row[1:] for row in rows if row[0] in nothing]
    assert empty == [(0, 0, timedelta(0))] * 2  # though events happened at 4 and at 5
    for name in check_names():
        tables = {
            table: built.params.build("ehrxdiff", stage, f"{table}.parquet")
            for stage, tables in TABLES.items()
            for table in tables
        }
        with open_sql(built.params.sql, tmp_path / "spill") as connection:
            assert offending_rows(connection, name, tables, built.recipe.parameters) == 0


def test_the_shipped_recipe_without_events_differs_in_that_alone():
    plain, null = read_recipe("ehrxdiff"), read_recipe("ehrxdiff_null")
    assert null.cohort == plain.cohort.model_copy(update={"null_event_samples": True})
    assert null.model_copy(update={"name": plain.name, "cohort": plain.cohort}) == plain

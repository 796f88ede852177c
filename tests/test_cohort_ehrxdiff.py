"""Films and pairs of EHRXDiff at the edges of every interval."""

from typing import Any

import pytest
from tiny_stages import HADM, SUBJECT, Built, admission, at, build, film

SECOND = 1 / 3600
EVENT = {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(6), "itemid": 9, "value": 50}


def ehrxdiff(tmp_path: Any, films: list[Any], **tables: Any) -> Built:
    given = {"cxr_metadata": films, "outputevents": [EVENT], **tables}
    return build(tmp_path, "ehrxdiff", given, until="cohort")


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


@pytest.mark.parametrize(("hours", "kept"), [(4, True), (8, True), (4 - SECOND, False)])
def test_a_pair_of_ehrxdiff_needs_an_event_between_its_films(tmp_path, hours, kept):
    films = [film("a", 4, 1), film("b", 8, 2), film("c", 60, 3), film("d", 70, 4)]
    sure = EVENT | {"charttime": at(65)}
    events = [sure, EVENT | {"charttime": at(hours)}]
    built = ehrxdiff(tmp_path, films, outputevents=events)
    assert (("a", "b") in pairs_of(built)) == kept
    assert built.removed("cohort", "pair").get("no event in the window", 0) == (0 if kept else 1)


def test_a_discharge_before_admission_is_counted(tmp_path):
    films = [film("a", 4, 1), film("b", 8, 2)]
    wrong = admission(HADM + 1, admittime=at(10), dischtime=at(9))
    built = ehrxdiff(tmp_path, films, admissions=[admission(), wrong])
    assert built.removed("cohort", "admission") == {"no discharge, or one before admission": 1}

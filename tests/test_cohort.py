"""Films, stays and pairs of the two recipes, at the edges of every interval, and the ledger."""

from itertools import pairwise
from typing import Any

import pytest
from tiny_stages import (
    HADM,
    STAY,
    SUBJECT,
    Built,
    admission,
    at,
    build,
    chart,
    film,
    heart_rates,
    icu_stay,
    patient,
)

from cxrfuture_data.schema import ContractError
from etl.params import SqlParams
from etl.recipe import read_recipe
from etl.sqlfile import create_table, open_sql

SECOND = 1 / 3600
SIX_HOURS = heart_rates(1, 2, 3, 4, 5, 6)
EVENT = {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(6), "itemid": 9, "value": 50}


def ddl_cxr(tmp_path: Any, films: list[Any], **tables: Any) -> Built:
    given = {"cxr_metadata": films, "chartevents": SIX_HOURS, **tables}
    return build(tmp_path, "ddl_cxr", given, until="cohort")


def pairs_of(built: Built) -> list[tuple[str, str]]:
    return sorted(built.rows("cohort", "pair", "previous_dicom_id, target_dicom_id"))


def test_a_time_that_lost_its_zeros(tmp_path):
    times = (0, 12.0, 80556.875, 235959.999)
    films = [film(f"{n}", 0, n, studytime=time) for n, time in enumerate(times)]
    # A pair makes the images of all AP films wanted.
    films += [film("a", 0, 10), film("b", 20, 11)]
    built = ddl_cxr(tmp_path, films)
    assert built.column("cohort", "film", "taken_at::VARCHAR")[:4] == [
        "2150-01-02 00:00:00",
        "2150-01-02 00:00:12",
        "2150-01-02 08:05:56.875",
        "2150-01-02 23:59:59.999",
    ]


def test_an_impossible_time_drops_the_film(tmp_path):
    times = (240000.0, 126000.0, 60.0, -1.0, None)
    films = [film(f"t{n}", 1, n, studytime=time) for n, time in enumerate(times)]
    films += [film(f"d{n}", 1, 10 + n, studydate=day) for n, day in enumerate((21500230, None))]
    built = ddl_cxr(tmp_path, [*films, film("a", 0, 20)])
    assert built.removed("cohort", "film") == {"no such date or time": 7}
    assert built.column("cohort", "film", "dicom_id") == ["a"]


def test_of_rows_with_one_dicom_id_the_first_in_the_file_stays(tmp_path):
    # ingest already refuses such a file, so the rule is asked directly.
    with open_sql(SqlParams(memory_limit="1GB", threads=1), tmp_path / "spill") as connection:
        connection.execute(
            "CREATE TABLE cxr_metadata AS SELECT * FROM (VALUES ('a', 1, 7, 'AP', 21500102, 1e5, 2)"
            ", ('a', 1, 8, 'AP', 21500102, 2e5, 1), ('b', 1, 9, 'AP', 21500102, 2e5, 3))"
            " t (dicom_id, subject_id, study_id, viewposition, studydate, studytime, source_row)"
        )
        rules = read_recipe("ddl_cxr").parameters
        create_table(connection, "taken_film", "cohort/taken_film", rules)
        rows = connection.execute("SELECT study_id, drop_reason FROM taken_film").fetchall()
    assert dict(rows) == {7: "01 repeats a dicom_id", 8: None, 9: None}


@pytest.mark.parametrize(
    ("hours", "is_kept"),
    [(-24 - SECOND, False), (-24, True), (48, True), (48 + SECOND, False)],
)
def test_a_film_belongs_to_a_stay_from_24_hours_before_to_hour_48(tmp_path, hours, is_kept):
    built = ddl_cxr(tmp_path, [film("sure", 0, 1), film("edge", hours, 2)])
    kept = 2 - sum(built.removed("cohort", "film of a stay").values())
    assert kept == (2 if is_kept else 1)


def test_the_stay_holds_its_latest_film_and_ends_at_hour_48(tmp_path):
    built = ddl_cxr(tmp_path, [film("a", -3, 1), film("b", 30, 2), film("c", 49, 3)])
    columns = "stay_id, previous_dicom_id, window_start_at::VARCHAR, window_end_at::VARCHAR"
    assert built.rows("cohort", "stay", f"{columns}, hours_since_previous") == [
        (STAY, "b", at(0), at(48), 18.0)
    ]


def test_of_a_study_the_latest_ap_film_stays_and_of_a_tie_the_last_in_the_file(tmp_path):
    films = [
        film("late", 2, 1),
        film("early", 1, 1),
        film("tie one", 30, 2),
        film("tie two", 30, 2),
        film("side", 31, 2, viewposition="LATERAL"),
        film("other ap", 31, 2, viewposition="AP AXIAL"),
    ]
    built = ddl_cxr(tmp_path, films, chartevents=heart_rates(3, 4, 5, 6, 7, 8))
    assert pairs_of(built) == [("late", "tie two")]
    assert built.removed("cohort", "film") == {
        "view is not AP": 2,
        "a later film of the same study": 2,
    }
    # Autoencoders see every AP film.
    assert sorted(built.column("cohort", "image", "dicom_id")) == [
        "early",
        "late",
        "tie one",
        "tie two",
    ]


@pytest.mark.parametrize(("gap", "pairs"), [(12, []), (12 + SECOND, [("a", "b")])])
def test_films_of_a_pair_are_strictly_more_than_12_hours_apart(tmp_path, gap, pairs):
    built = ddl_cxr(tmp_path, [film("a", 0, 1), film("b", gap, 2)])
    assert pairs_of(built) == pairs
    if not pairs:
        assert built.removed("cohort", "pair") == {"not further apart than the minimum gap": 1}


def test_all_films_of_a_stay_are_combined_not_only_neighbours(tmp_path):
    films = [film("a", 0, 1), film("b", 13, 2), film("c", 26, 3)]
    hours = heart_rates(1, 2, 3, 4, 5, 6, 14, 15, 16, 17, 18, 19)
    built = ddl_cxr(tmp_path, films, chartevents=hours)
    assert pairs_of(built) == [("a", "b"), ("a", "c"), ("b", "c")]


@pytest.mark.parametrize(
    ("charted", "pairs"),
    [
        ([1, 2, 3, 4, 5], 0),
        ([1, 2, 3, 4, 5, 5.9], 0),  # the same hour, counted from the first
        ([1.5, 2.5, 3.5, 4.5, 5.5, 6.5], 1),
        ([0, 1, 2, 3, 4, 20], 1),  # both ends belong to the window
        ([-0.1, 1, 2, 3, 4, 5], 0),
    ],
)
def test_a_pair_needs_six_hours_with_a_measurement(tmp_path, charted, pairs):
    films = [film("a", 0, 1), film("b", 20, 2)]
    built = ddl_cxr(tmp_path, films, chartevents=heart_rates(*charted))
    assert len(pairs_of(built)) == pairs
    if not pairs:
        assert built.removed("cohort", "pair") == {"too few hours with a measurement": 1}


def test_a_pair_needs_labels_of_both_studies(tmp_path):
    films = [film("a", 0, 1), film("b", 20, 2)]
    label = {"subject_id": SUBJECT, "study_id": 1, "Edema": -1.0, "Fracture": 0.0}
    built = ddl_cxr(tmp_path, films, cxr_chexpert=[label])
    assert built.removed("cohort", "pair") == {"a study without labels": 1}
    # The stay keeps its film; nothing is known about its study.
    assert built.rows("cohort", "label", 'study_id, "Edema", "Fracture"') == [(2, None, None)]


def test_labels_stay_raw(tmp_path):
    label = {"subject_id": SUBJECT, "study_id": 1, "Edema": -1.0, "Fracture": 0.0, "Pneumonia": 1.0}
    built = ddl_cxr(tmp_path, [film("a", 0, 1)], cxr_chexpert=[label])
    columns = '"Edema", "Fracture", "Pneumonia", "Atelectasis"'
    assert built.rows("cohort", "label", columns) == [(-1, 0, 1, None)]


DROPPED_STAYS = [
    ({"last_careunit": "SICU"}, {}, {}, "moved between care units"),
    ({"los": 2.0}, {}, {}, "not longer than the minimum stay"),
    ({}, {"dischtime": at(-25)}, {}, "no discharge, or one before admission"),
    ({}, {}, {"anchor_age": 15}, "younger than the minimum age"),
    ({"hadm_id": HADM + 90}, {}, {}, "unknown patient, admission or time of admission"),
]


def test_a_stay_is_dropped_for_its_reason(tmp_path):
    ids = [{"subject_id": SUBJECT + n, "hadm_id": HADM + n} for n in (1, 2, 3, 4, 5)]
    cases = list(zip(ids, DROPPED_STAYS, strict=True))
    built = ddl_cxr(
        tmp_path,
        [film("a", 0, 1)],
        patients=[patient(), *(patient(own["subject_id"], **case[2]) for own, case in cases)],
        admissions=[admission(), *(admission(**(own | case[1])) for own, case in cases)],
        icustays=[
            icu_stay(),
            *(icu_stay(STAY + own["subject_id"], **(own | case[0])) for own, case in cases),
        ],
    )
    assert built.removed("cohort", "stay") == {case[3]: 1 for case in DROPPED_STAYS}
    assert built.column("cohort", "stay", "stay_id") == [STAY]


@pytest.mark.parametrize(
    ("second", "reasons"),
    [
        ("SICU", {"moved between care units": 1}),  # one stay remains, and counts
        ("MICU", {"several stays in the admission": 2}),
    ],
)
def test_an_admission_with_two_stays(tmp_path, second, reasons):
    alone = {"subject_id": SUBJECT + 1, "hadm_id": HADM + 1}
    built = ddl_cxr(
        tmp_path,
        [film("a", 0, 1), film("b", 0, 2, subject_id=SUBJECT + 1)],
        patients=[patient(), patient(SUBJECT + 1)],
        admissions=[admission(), admission(**alone)],
        icustays=[
            icu_stay(),
            icu_stay(STAY + 1, last_careunit=second),
            icu_stay(STAY + 2, **alone),
        ],
    )
    assert built.removed("cohort", "stay") == reasons


def test_age_is_that_at_admission_and_sex_is_as_recorded(tmp_path):
    # 60 in 2148, admitted on 2150-01-01.
    built = ddl_cxr(tmp_path, [film("a", 0, 1)])
    assert built.rows("cohort", "stay", "age, sex, died_in_hospital") == [(62, "F", False)]


DEATHS = [
    (at(239), None, True),
    (at(240), None, True),
    (at(241), None, True),  # an hour after discharge; a deathtime is that of a death in hospital
    (None, "2150-01-12", True),  # the day of discharge
    (None, "2150-01-13", False),
    (None, "2150-01-01", True),  # the day of admission
    (None, None, False),
]


def test_died_in_hospital(tmp_path):
    ids = [{"subject_id": SUBJECT + n, "hadm_id": HADM + n} for n in range(len(DEATHS))]
    built = ddl_cxr(
        tmp_path,
        [film(f"{n}", 0, n, subject_id=SUBJECT + n) for n in range(len(DEATHS))],
        patients=[patient(SUBJECT + n, dod=dod) for n, (_, dod, _) in enumerate(DEATHS)],
        admissions=[
            admission(**(own | {"deathtime": death}))
            for own, (death, _, _) in zip(ids, DEATHS, strict=True)
        ],
        icustays=[icu_stay(STAY + n, **own) for n, own in enumerate(ids)],
    )
    died = dict(built.rows("cohort", "stay", "stay_id - 30000001, died_in_hospital"))
    assert [died[n] for n in range(len(DEATHS))] == [death[2] for death in DEATHS]


def test_the_path_of_a_film_is_that_of_the_release(tmp_path):
    built = ddl_cxr(tmp_path, [film("abc-1", 0, 50000007)])
    assert built.column("cohort", "film", "path") == ["files/p10/p10000001/s50000007/abc-1.jpg"]


@pytest.mark.parametrize("recipe", ["ddl_cxr", "ehrxdiff"])
def test_the_ledger_chains_and_ends_at_what_is_kept(tmp_path, recipe):
    films = [
        film("a", -30, 1),
        film("b", 4, 2),
        film("c", 5, 2),
        film("d", 30, 3),
        film("e", 31, 4, viewposition="PA"),
        film("f", 47, 5),
        film("g", 47, 6, studytime=999999.0),
    ]
    tables: dict[str, Any] = {
        "cxr_metadata": films,
        "chartevents": [*heart_rates(*range(4, 47)), chart(220045, 50, None)],
        "outputevents": [EVENT],
    }
    built = build(tmp_path, recipe, tables)
    for stage in ("event", "cohort", "window"):
        drops = built.drops(stage)
        for unit in {drop.unit for drop in drops}:
            chain = [drop for drop in drops if drop.unit == unit]
            assert all(first.after == second.before for first, second in pairwise(chain))
    last = {drop.unit: drop.after for drop in built.drops("cohort")}
    assert last["pair"] == len(built.rows("cohort", "pair")) > 0
    if recipe == "ddl_cxr":
        assert last["stay"] == len(built.rows("cohort", "stay"))
        assert last["image"] == len(built.rows("cohort", "image"))
    first = next(drop for drop in built.drops("cohort") if drop.unit == "film")
    assert first.before == len(films)


def test_a_cohort_without_samples_says_where_they_went(tmp_path):
    with pytest.raises(ContractError, match=r"no sample is left; .*ledger.json says why"):
        ddl_cxr(tmp_path, [film("a", 100, 1)])


def test_a_recipe_of_another_name_takes_the_rules_it_names(tmp_path):
    tables = {"cxr_metadata": [film("a", 0, 1), film("b", 20, 2)], "chartevents": SIX_HOURS}
    built = build(tmp_path, "ddl_cxr", tables, until="cohort", name="mine")
    assert (tmp_path / "build" / "mine" / "cohort" / "pair.parquet").exists()
    assert built.recipe.rules == "ddl_cxr"


def test_keys_are_short_and_name_nobody(tmp_path):
    built = ddl_cxr(tmp_path, [film("a", 0, 1), film("b", 20, 2)])
    keys = built.column("cohort", "pair", "pair_id") + built.column("cohort", "image", "key")
    keys += built.column("cohort", "stay", "key")
    assert len(set(keys)) == len(keys) == 4
    assert all(len(key) == 16 and set(key) <= set("0123456789abcdef") for key in keys)


@pytest.mark.parametrize("recipe", ["ddl_cxr", "ehrxdiff", "future"])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"race": "ASIAN - CHINESE", "insurance": "Medicaid"}, ("ASIAN - CHINESE", "Medicaid")),
        ({"race": " WHITE", "insurance": ""}, ("WHITE", None)),
        ({}, (None, None)),
    ],
)
def test_pairs_and_stays_say_race_and_insurance_as_the_admission_does(
    tmp_path, recipe, said, expected
):
    hours = (1, 2, 3, 4, 5, 6)
    outputs = [
        {"subject_id": SUBJECT, "hadm_id": HADM, "charttime": at(hour), "itemid": 9, "value": 50}
        for hour in hours
    ]
    tables = {
        "admissions": [admission(**said)],
        "cxr_metadata": [film("a", 0, 1), film("b", 20, 2)],
        "chartevents": heart_rates(*hours),
        "outputevents": outputs,
    }
    built = build(tmp_path, recipe, tables, until="cohort")
    pairs = built.rows("cohort", "pair", "race, insurance")
    stays = built.rows("cohort", "stay", "race, insurance")
    assert set(pairs + stays) == {expected}
    assert len(pairs) == 1
    assert bool(stays) == (recipe != "ehrxdiff")

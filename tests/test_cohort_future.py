"""The cohort of `future` at the ends of its intervals (docs/future.md)."""

from datetime import timedelta

import polars as pl
import pytest
from tiny_stages import (
    HADM,
    ICU_ADMISSION,
    STAY,
    SUBJECT,
    Built,
    admission,
    at,
    build,
    film,
    icu_stay,
    patient,
)

from cxrfuture_data.schema import ContractError
from etl.prediction_index import read_index
from etl.recipe import SplitRule, read_recipe
from etl.split import hash_patient

SECOND = 1 / 3600
COPD_9, COPD_10, MI_9 = ("496", 9), ("J449", 10), ("4109", 9)


def future(root, films, *, cohort=None, **tables) -> Built:
    recipe = read_recipe("future")
    changed = recipe.cohort.model_copy(update=cohort or {})
    whole = {"cxr_metadata": films, **tables}
    return build(root, "future", whole, until="cohort", cohort=changed)


def pairs(built: Built) -> list[tuple[str, str]]:
    return sorted(built.rows("cohort", "pair", "previous_dicom_id, target_dicom_id"))


def stays(built: Built, columns: str) -> dict[float, tuple]:
    """Hours of each prediction since ICU admission -> columns."""
    rows = built.rows("cohort", "stay", f"prediction_at, {columns}")
    return {(row[0] - ICU_ADMISSION) / timedelta(hours=1): row[1:] for row in rows}


def diagnosis(hadm: int, code: str, version: int) -> dict:
    ids = {"subject_id": SUBJECT, "hadm_id": hadm, "seq_num": 1}
    return ids | {"icd_code": code, "icd_version": version}


# Films


def test_films_count_from_arrival_in_the_emergency_department_to_discharge(tmp_path):
    films = [
        film("before", -30 - SECOND, 1),
        film("arrival", -30, 2),
        film("discharge", 240, 3),
        film("after", 240 + SECOND, 4),
    ]
    from_arrival = {"admissions": [admission(edregtime=at(-30))]}
    built = future(tmp_path, films, **from_arrival, cohort={"maximum_gap_hours": 500})
    assert built.removed("cohort", "frontal film") == {"taken during no admission of the cohort": 2}
    assert sorted(built.column("cohort", "film", "dicom_id")) == ["arrival", "discharge"]


def test_of_two_admissions_the_later_begun_has_the_film(tmp_path):
    again = admission(HADM + 1, admittime=at(20), dischtime=at(100))
    built = future(tmp_path, [film("a", 30, 1), film("b", 40, 2)], admissions=[admission(), again])
    assert built.column("cohort", "pair", "hadm_id") == [HADM + 1]


@pytest.mark.parametrize(
    ("columns", "view"),
    [
        ({"viewposition": "PA"}, "PA"),
        ({"viewposition": "LATERAL"}, None),
        ({"viewposition": None}, None),
        ({"viewposition": None, "viewcodesequence_codemeaning": "postero-anterior"}, "PA"),
        ({"viewposition": None, "viewcodesequence_codemeaning": "Antero-posterior"}, "AP"),
        ({"viewposition": None, "viewcodesequence_codemeaning": "lateral"}, None),
        (
            {"viewposition": None, "performedprocedurestepdescription": "CHEST (PORTABLE AP)"},
            "AP",
        ),
        (
            {"viewposition": None, "performedprocedurestepdescription": "CHEST (PA AND LAT)"},
            None,
        ),
        # What is recorded wins over the procedure (22,043 AP films of PA and lateral procedures).
        ({"viewposition": "AP", "performedprocedurestepdescription": "CHEST (PA AND LAT)"}, "AP"),
    ],
)
def test_a_view_that_is_not_recorded_is_what_the_study_says(tmp_path, columns, view):
    built = future(tmp_path, [film("a", 10, 1), film("b", 20, 2, **columns)])
    assert built.column("cohort", "pair", "target_view") == ([view] if view else [])


def test_a_study_is_seen_by_the_usual_view_of_its_admission(tmp_path):
    films = [
        film("ap 1", 10, 1),
        film("pa 1", 10, 1, viewposition="PA"),
        film("pa 2", 20, 2, viewposition="PA"),
        film("pa 3", 30, 3, viewposition="PA"),
    ]
    built = future(tmp_path, films)
    assert pairs(built) == [("pa 1", "pa 2"), ("pa 2", "pa 3")]
    reason = "another film of its study has the usual view of the admission"
    assert built.removed("cohort", "film of an admission") == {reason: 1}


def test_as_many_studies_of_either_view_mean_ap(tmp_path):
    films = [film("ap", 10, 1), film("pa", 10, 1, viewposition="PA"), film("b", 20, 2)]
    films[2]["viewposition"] = "PA"
    built = future(tmp_path, [*films, film("c", 30, 3)])
    assert pairs(built) == [("ap", "b"), ("b", "c")]


def test_of_films_of_one_view_the_first_by_its_hash_stays_whatever_the_order(tmp_path):
    films = [film("x", 10, 1), film("y", 10, 1), film("z", 20, 2)]
    one = pairs(future(tmp_path / "one", films))
    other = pairs(future(tmp_path / "other", films[::-1]))
    # sha256: x 2d71..., y a1fc...
    assert one == other == [("x", "z")]


# Pairs


def test_pairs_are_of_neighbours_or_of_any_two(tmp_path):
    films = [film("a", 10, 1), film("b", 20, 2), film("c", 30, 3)]
    assert pairs(future(tmp_path / "one", films)) == [("a", "b"), ("b", "c")]
    every = future(tmp_path / "all", films, cohort={"pairs": "all"})
    assert pairs(every) == [("a", "b"), ("a", "c"), ("b", "c")]


@pytest.mark.parametrize(
    ("gap", "reason"),
    [
        (0, "films of one time"),
        (1 - SECOND, "closer than minimum_gap_hours"),
        (1, None),
        (168, None),
        (168 + SECOND, "further apart than maximum_gap_hours"),
    ],
)
def test_gaps_have_both_ends_included(tmp_path, gap, reason):
    built = future(tmp_path, [film("a", 0, 1), film("b", gap, 2)])
    assert built.removed("cohort", "pair") == ({reason: 1} if reason else {})
    assert len(pairs(built)) == (0 if reason else 1)


def test_a_pair_lies_in_one_admission_and_knows_its_icu_stay(tmp_path):
    again = admission(HADM + 1, admittime=at(300), dischtime=at(400))
    films = [film("ward", -10, 1), film("icu", 10, 2), film("home", 230, 3), film("back", 310, 4)]
    built = future(
        tmp_path, films, admissions=[admission(), again], cohort={"maximum_gap_hours": 500}
    )
    rows = built.rows("cohort", "pair", "target_dicom_id, hadm_id, stay_id")
    assert sorted(rows) == [("home", HADM, None), ("icu", HADM, STAY)]
    window = built.rows(
        "cohort", "pair", "window_start_at = previous_at, window_end_at = target_at"
    )
    assert window == [(True, True)] * 2


# Predictions


def test_each_outcome_is_predicted_at_its_own_time(tmp_path):
    built = future(tmp_path, [film("a", -20, 1)], diagnoses_icd=[diagnosis(HADM, *COPD_10)])
    columns = "died_in_hospital, has_phenotypes, remaining_hours, icu_transfer, readmitted"
    # Admission is at hour -24: hour 0 is 24 hours later, in the ICU; discharge is at hour 240.
    assert stays(built, columns) == {
        0: (None, False, 240.0, None, None),
        24: (False, True, None, None, None),
        240: (None, False, None, None, False),
    }
    assert stays(built, "hours_since_previous, stay_id") == {
        0: (20.0, STAY),
        24: (44.0, STAY),
        240: (260.0, None),
    }


def test_a_window_looks_back_to_arrival_and_no_further_than_lookback_hours(tmp_path):
    built = future(tmp_path, [film("a", -20, 1)], admissions=[admission(edregtime=at(-30))])
    hours = "DATE_DIFF('hour', window_start_at, window_end_at), window_end_at = prediction_at"
    assert stays(built, hours) == {0: (30, True), 24: (54, True), 240: (168, True)}


def test_a_stay_has_the_last_film_before_its_prediction_or_none(tmp_path):
    built = future(tmp_path, [film("a", 5, 1), film("b", 24, 2), film("c", 24 - SECOND, 3)])
    found = stays(built, "previous_dicom_id, hours_since_previous")
    assert {hours: row[0] for hours, row in found.items()} == {0: None, 24: "c", 240: "b"}
    assert found[0] == (None, None)


def test_an_admission_without_a_frontal_film_is_no_sample(tmp_path):
    other = admission(HADM + 1, subject_id=SUBJECT + 1)
    built = future(
        tmp_path,
        [film("a", 5, 1)],
        patients=[patient(), patient(SUBJECT + 1)],
        admissions=[admission(), other],
    )
    assert built.removed("cohort", "prediction") == {"admission without a frontal film": 3}


def test_who_left_or_died_is_not_predicted_for(tmp_path):
    early = admission(dischtime=at(24))
    built = future(tmp_path / "left", [film("a", -5, 1)], admissions=[early])
    assert sorted(stays(built, "key")) == [0, 24]  # hour 24 is the discharge, not the 48 hours
    assert built.removed("cohort", "prediction") == {"left or dead by then": 1}
    dead = admission(deathtime=at(20), dischtime=at(40), hospital_expire_flag=1)
    built = future(tmp_path / "died", [film("a", -5, 1)], admissions=[dead])
    assert sorted(stays(built, "key")) == [0]
    reasons = {"left or dead by then": 1, "died in hospital, so not at risk of readmission": 1}
    assert built.removed("cohort", "prediction") == reasons
    assert stays(built, "remaining_hours") == {0: (None,)}


@pytest.mark.parametrize(
    ("intime", "deathtime", "found"),
    [
        (None, None, False),
        (0, None, None),  # in the ICU at the prediction
        (SECOND, None, True),
        (48, None, True),
        (48 + SECOND, None, False),
        (-5, None, None),
        (None, 30, None),  # dead within the horizon: nobody knows
        (None, 60, False),
        (20, 30, True),
    ],
)
def test_a_transfer_to_the_icu_counts_within_its_hours(tmp_path, intime, deathtime, found):
    tables = {"icustays": []}
    if intime is not None:
        tables["icustays"] = [icu_stay(intime=at(intime), outtime=at(intime + 50))]
    if deathtime is not None:
        died = admission(deathtime=at(deathtime), dischtime=at(deathtime), hospital_expire_flag=1)
        tables["admissions"] = [died]
    built = future(tmp_path, [film("a", -5, 1)], **tables)
    assert stays(built, "icu_transfer")[0] == (found,)


@pytest.mark.parametrize(
    ("days", "dod", "found"),
    [
        (None, None, False),
        (30, None, True),
        (30 + SECOND / 24, None, False),
        (None, "2150-02-11", None),  # 30 days after the day of discharge
        (None, "2150-02-12", False),
        (10, "2150-02-01", True),
    ],
)
def test_a_readmission_counts_within_its_days(tmp_path, days, dod, found):
    admissions = [admission()]
    if days is not None:
        hours = 240 + 24 * days
        admissions.append(admission(HADM + 1, admittime=at(hours), dischtime=at(hours + 5)))
    built = future(tmp_path, [film("a", -5, 1)], patients=[patient(dod=dod)], admissions=admissions)
    assert stays(built, "readmitted")[240] == (found,)


def test_phenotypes_are_not_known_of_an_admission_without_a_code(tmp_path):
    built = future(tmp_path, [film("a", -5, 1)])
    assert stays(built, "has_phenotypes")[24] == (False,)


# History


def test_history_is_what_was_known_before(tmp_path):
    before = admission(HADM - 1, admittime=at(-900), dischtime=at(-800))
    during = admission(HADM - 2, admittime=at(-30), dischtime=at(10))
    outpatient = {"subject_id": SUBJECT, "seq_num": 1, "result_name": "BMI (kg/m2)"}
    built = future(
        tmp_path,
        [film("a", 0, 1), film("b", 20, 2)],
        admissions=[admission(), before, during],
        diagnoses_icd=[
            diagnosis(HADM, *MI_9),
            diagnosis(HADM - 1, *COPD_9),
            diagnosis(HADM - 2, *MI_9),
        ],
        omr=[
            outpatient | {"chartdate": "2149-12-30", "result_value": "27.5"},
            outpatient | {"chartdate": "2150-01-01", "result_value": "28.5"},
            outpatient | {"chartdate": "2150-01-02", "result_value": "29.5"},
            outpatient | {"chartdate": "2149-12-31", "result_value": "2750"},
        ],
    )
    columns = "bmi, earlier_admissions, comorbidities"
    rows = built.rows("cohort", "history", f"kind, key, {columns}")
    # The pair's window begins at midnight of 2150-01-02: the record of 2150-01-01 is known then.
    (pair,) = [row[2:] for row in rows if row[0] == "pair"]
    assert pair == (28.5, 1, ["chronic pulmonary disease"])
    hours = {key: hours for hours, (key,) in stays(built, "key").items()}
    of_stays = {hours[row[1]]: row[2:] for row in rows if row[0] == "stay"}
    both = ["chronic pulmonary disease", "myocardial infarction"]
    assert of_stays[24] == (29.5, 2, both)


@pytest.mark.parametrize(
    ("code", "version", "comorbidity"),
    [
        ("4280", 9, "congestive heart failure"),
        ("V434", 9, "peripheral vascular disease"),
        ("E1122", 10, "diabetes with chronic complication"),
        ("E119", 10, "diabetes without chronic complication"),
        ("C786", 10, "metastatic solid tumour"),
        ("1733", 9, None),  # skin
        ("C44", 10, None),
        ("N186", 10, "renal disease"),
        ("B20", 10, "AIDS or HIV"),
        ("n18.6", 10, "renal disease"),
    ],
)
def test_codes_count_as_quan_lists_them(tmp_path, code, version, comorbidity):
    before = admission(HADM - 1, admittime=at(-900), dischtime=at(-800))
    built = future(
        tmp_path,
        [film("a", 0, 1), film("b", 20, 2)],
        admissions=[admission(), before],
        diagnoses_icd=[diagnosis(HADM - 1, code, version)],
    )
    found = built.column("cohort", "history", "comorbidities")
    assert found[0] == ([comorbidity] if comorbidity else [])


# Split


def test_a_patient_keeps_its_split_whoever_else_there_is():
    rule = SplitRule(method="hashed_patients", seed=1, valid=0.1, test=0.2)
    split = {subject: hash_patient(subject, rule) for subject in range(10_000_000, 10_010_000)}
    shares = {name: list(split.values()).count(name) for name in ("train", "valid", "test")}
    assert shares["test"] == pytest.approx(2000, abs=150)
    assert shares["valid"] == pytest.approx(1000, abs=110)
    # sha256("1|10000001") begins with e3c3..., 0.89 of the whole.
    assert split[10_000_001] == "train"
    other = rule.model_copy(update={"seed": 2})
    assert any(hash_patient(subject, other) != name for subject, name in split.items())


# An index from elsewhere


def index(path, rows, **columns):
    frame = pl.DataFrame(
        rows, schema={"subject_id": pl.Int64, "prediction_time": pl.String}, orient="row"
    )
    times = frame.with_columns(pl.col("prediction_time").str.to_datetime(time_unit="us"))
    times.with_columns(**columns).write_parquet(path)
    return str(path)


def test_an_index_says_when_to_predict(tmp_path):
    path = index(
        tmp_path / "labels.parquet",
        [(SUBJECT, at(-24)), (SUBJECT, at(100)), (SUBJECT, at(240)), (SUBJECT + 5, at(0))],
        boolean_value=pl.Series([True, False, True, True]),
    )
    built = future(tmp_path, [film("a", 50, 1)], cohort={"index": path})
    found = stays(built, "label, previous_dicom_id, readmitted")
    assert found == {-24: (1.0, None, None), 100: (0.0, "a", None)}
    reasons = {"no admission of the cohort holds the time": 2}
    assert built.removed("cohort", "prediction") == reasons


def test_an_index_that_cannot_be_one_is_refused(tmp_path):
    with pytest.raises(ContractError, match="no such index"):
        read_index(tmp_path / "labels.parquet")
    twice = index(tmp_path / "twice.parquet", [(1, at(0)), (1, at(0))])
    with pytest.raises(ContractError, match="stand on several rows"):
        read_index(tmp_path / "twice.parquet")
    pl.DataFrame({"subject_id": [1]}).write_parquet(twice)
    with pytest.raises(ContractError, match="no column prediction_time"):
        read_index(tmp_path / "twice.parquet")
    (tmp_path / "text.parquet").write_text("subject_id,prediction_time\n")
    with pytest.raises(ContractError, match="not a readable Parquet file"):
        read_index(tmp_path / "text.parquet")

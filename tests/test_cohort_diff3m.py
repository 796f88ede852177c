"""Films and static values of Diff3M at every edge (specs diff3m 3 and 18)."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from tiny_mimic import tiny_params
from tiny_stages import ICU_ADMISSION, SUBJECT, Built, build, film, patient

from cxrfuture_data.schema import STATIC, ContractError
from etl import check, cohort, event, ingest, window
from etl.recipe import read_recipe

TAKEN = 10.0  # hour of day 0 at which every film is taken
BMI, PRESSURE, HEIGHT, WEIGHT = "BMI (kg/m2)", "Blood Pressure", "Height (Inches)", "Weight (Lbs)"
FIDELITIES = ("published", "corrected")
WHOLE = {BMI: "24.5", PRESSURE: "121/81", HEIGHT: "65", WEIGHT: "150"}

Row = dict[str, Any]
# (day from the film, sequence number, name, value); of a patient.
Measured = tuple[int, int, str, Any]


def omr(subject: int, day: int, seq: int, name: str, value: Any) -> Row:
    return {
        "subject_id": subject,
        "chartdate": (ICU_ADMISSION + timedelta(days=day)).date().isoformat(),
        "seq_num": seq,
        "result_name": name,
        "result_value": value,
    }


def whole(but: str = "") -> list[Measured]:
    """A complete visit on the day before the film, without one measurement."""
    return [(-1, 1, name, value) for name, value in WHOLE.items() if name != but]


def diff3m(tmp_path: Any, cases: Mapping[str, Sequence[Measured]], **more: Any) -> Built:
    """One patient a case, one AP film each, named as the case; and a patient who is complete."""
    changes = {name: more.pop(name) for name in ("fidelity", "availability") if name in more}
    cases = {**cases, "sure": whole()}
    subjects = {name: SUBJECT + n for n, name in enumerate(cases)}
    tables: dict[str, Any] = {
        "patients": [patient(subject) for subject in subjects.values()],
        "cxr_metadata": [
            film(name, TAKEN, 100 + n, subject_id=subject)
            for n, (name, subject) in enumerate(subjects.items())
        ],
        "omr": [omr(subjects[name], *row) for name, rows in cases.items() for row in rows],
    }
    return build(tmp_path, "diff3m", {**tables, **more}, **changes)


def static(built: Built, *names: str) -> dict[str, Any]:
    """The static values (or some) of each kept film, but for the one that is always kept."""
    columns = ", ".join(["dicom_id", *(names or STATIC)])
    rows = built.rows("cohort", "image", columns)
    return {row[0]: row[1:] if len(row) > 2 else row[1] for row in rows if row[0] != "sure"}


def test_a_film_has_the_eight_values_in_the_units_of_the_contract(tmp_path):
    built = diff3m(tmp_path, {"a": whole()}, fidelity="published")
    assert static(built) == {"a": (0.0, 60, 1.0, 24.5, 121.0, 81.0, 65.0, 150.0)}
    types = pl.read_parquet_schema(built.params.build("diff3m", "cohort", "image.parquet"))
    assert {types[name] for name in STATIC if name != "age"} == {pl.Float64}


def test_the_winning_days_are_averaged_row_by_row(tmp_path):
    # T1: three rows lie three days away, two on the one side; four days away is further.
    pressures = [
        (-3, 1, PRESSURE, "120/80"),
        (-3, 2, PRESSURE, "130/90"),
        (3, 1, PRESSURE, "110/70"),
        (4, 1, PRESSURE, "100/60"),
    ]
    cases = {"a": [*whole(PRESSURE), *pressures]}
    built = diff3m(tmp_path / "published", cases, fidelity="published")
    assert static(built, "systolic", "diastolic") == {"a": (120.0, 80.0)}
    corrected = diff3m(tmp_path / "corrected", cases)
    assert static(corrected, "systolic", "diastolic") == {"a": (125.0, 85.0)}


DAYS = (-91, -90, -1, 0, 1, 90, 91)


@pytest.mark.parametrize(
    ("fidelity", "availability", "kept"),
    [
        ("published", "event", {-90, -1, 0, 1, 90}),  # T2
        ("corrected", "event", {-90, -1, 0}),
        ("published", "known", {-90, -1}),  # known at the end of its day, when the film is old
        ("corrected", "known", {-90, -1}),
    ],
)
def test_a_value_counts_within_90_days(tmp_path, fidelity, availability, kept):
    cases = {str(day): [*whole(WEIGHT), (day, 1, WEIGHT, "68")] for day in DAYS}
    built = diff3m(tmp_path, cases, fidelity=fidelity, availability=availability)
    assert static(built, "weight") == {str(day): 68.0 for day in kept}
    assert built.removed("cohort", "image") == {"no weight": len(DAYS) - len(kept)}


def test_as_of_a_day_has_ended_at_midnight_exactly(tmp_path):
    films = [film(f"{n}", hours, 100 + n) for n, hours in enumerate((0.0, 23.999))]
    rows = [omr(SUBJECT, 0, 1, *item) for item in WHOLE.items()]
    rows += [omr(SUBJECT, -1, 1, name, value) for name, value in WHOLE.items() if name != WEIGHT]
    rows.append(omr(SUBJECT, -1, 1, WEIGHT, "140"))
    built = diff3m(tmp_path, {}, cxr_metadata=films, omr=rows, availability="known")
    assert static(built, "weight") == {"0": 140.0, "1": 140.0}


def test_each_value_picks_its_own_day_and_the_nearer_one_wins(tmp_path):
    cases = {
        "before": [*whole(WEIGHT), (-2, 1, WEIGHT, "150"), (5, 1, WEIGHT, "160")],
        "after": [*whole(WEIGHT), (-5, 1, WEIGHT, "150"), (2, 1, WEIGHT, "160")],
        "both": [*whole(WEIGHT), (-2, 1, WEIGHT, "150"), (2, 1, WEIGHT, "161")],
        "own": [*whole(WEIGHT), (-2, 1, WEIGHT, "150"), (-2, 3, WEIGHT, "151.5"), (-3, 2, BMI, 9)],
    }
    published = diff3m(tmp_path / "published", cases, fidelity="published")
    weights = {"before": 150.0, "after": 160.0, "both": 155.5, "own": 150.75}
    assert static(published, "weight") == weights
    assert set(static(published, "bmi").values()) == {24.5}
    corrected = diff3m(tmp_path / "corrected", cases)
    assert static(corrected, "weight") == weights | {"after": 150.0, "both": 150.0}


def test_names_without_a_unit_count_and_pressures_of_a_posture_do_not(tmp_path):
    # T3, and a name of an unknown measurement.
    bare = {"BMI": "24.5", PRESSURE: "121/81", "Height": "64", "Weight": "150"}
    standing = [
        (0, 1, "Blood Pressure Standing", "99/11"),
        (0, 1, "Blood Pressure Standing (1 min)", "98/12"),
        (0, 1, "eGFR", "60"),
    ]
    cases = {
        "bare": [(0, 1, name, value) for name, value in bare.items()],
        "pooled": [*whole(HEIGHT), (0, 1, "Height", "64"), (0, 2, HEIGHT, "66")],
        "posture": [*whole(PRESSURE), *standing],
        "beside": [*whole(), *standing],
    }
    built = diff3m(tmp_path, cases)
    assert static(built, "systolic", "diastolic", "height") == {
        "bare": (121.0, 81.0, 64.0),
        "pooled": (121.0, 81.0, 65.0),
        "beside": (121.0, 81.0, 65.0),
    }
    assert built.removed("cohort", "image") == {"no systolic pressure": 1}


PRESSURES = {
    "one number": "128",
    "postures": "120/80 lying, 130/90",  # 120 before the first stroke, 90 after the last
    "three numbers": "120/80/60",
    "blanks": " 118 / 78 ",
    "zero": "0/80",
    "text": "refused",
    "empty": None,
    "turned": "80/120",
    "impossible": "1200/80",
}


def test_pressures_that_are_not_two_numbers(tmp_path):
    cases = {name: [*whole(PRESSURE), (0, 1, PRESSURE, value)] for name, value in PRESSURES.items()}
    published = diff3m(tmp_path / "published", cases, fidelity="published")
    assert static(published, "systolic", "diastolic") == {
        "one number": (128.0, 128.0),
        "postures": (120.0, 90.0),
        "three numbers": (120.0, 60.0),
        "blanks": (118.0, 78.0),
        # Text is not 0, so it is no missing value of the published table.
        "text": (None, None),
        "empty": (None, None),
        "turned": (80.0, 120.0),
        "impossible": (1200.0, 80.0),
    }
    assert published.removed("cohort", "image") == {"no systolic pressure": 1}
    corrected = diff3m(tmp_path / "corrected", cases)
    assert static(corrected, "systolic", "diastolic") == {"blanks": (118.0, 78.0)}
    assert corrected.removed("cohort", "outpatient measurement") == {
        "not a number": 2,
        "a pressure that is not two numbers": 3,
        "not plausible": 3,
    }
    assert corrected.removed("cohort", "image") == {"no systolic pressure": 8}


def test_a_value_that_is_no_number_gives_way_to_the_next_day(tmp_path):
    cases = {"a": [*whole(WEIGHT), (0, 1, WEIGHT, "unknown"), (-4, 1, WEIGHT, "150")]}
    assert static(diff3m(tmp_path / "corrected", cases), "weight") == {"a": 150.0}
    published = diff3m(tmp_path / "published", cases, fidelity="published")
    assert static(published, "weight") == {"a": None}


EDGES = {  # measurement -> lowest and highest plausible value
    BMI: (10, 120),
    HEIGHT: (39, 99),
    WEIGHT: (44, 1103),
}


@pytest.mark.parametrize("name", EDGES)
def test_the_plausible_range_holds_its_ends(tmp_path, name):
    low, high = EDGES[name]
    values = (low - 0.1, low, high, high + 0.1)
    cases = {str(value): [*whole(name), (0, 1, name, str(value))] for value in values}
    assert set(static(diff3m(tmp_path / "corrected", cases), "bmi")) == {str(low), str(high)}
    published = diff3m(tmp_path / "published", cases, fidelity="published")
    assert set(static(published, "bmi")) == set(cases)


def test_films_of_one_patient_and_day_have_the_same_values(tmp_path):
    # T4: also if they are of two studies.
    films = [film("a", 1, 1), film("b", 20, 2, viewposition="PA"), film("c", 20, 2)]
    rows = [omr(SUBJECT, *row) for row in whole()]
    built = diff3m(tmp_path, {}, cxr_metadata=films, omr=rows)
    values = static(built, "bmi", "systolic", "diastolic", "height", "weight", "is_ap")
    assert values["a"] == values["c"] == (*values["b"][:5], 1.0)
    assert values["b"] == (24.5, 121.0, 81.0, 65.0, 150.0, 0.0)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_a_film_without_one_of_the_five_values_is_dropped_and_counted(tmp_path, fidelity):
    # T5: 0 is how the published table says that there is none.
    cases = {f"no {name}": whole(name) for name in WHOLE}
    cases |= {f"zero {name}": [*whole(name), (0, 1, name, "0")] for name in WHOLE}
    cases["no diastolic"] = [*whole(PRESSURE), (0, 1, PRESSURE, "120/0.0")]
    built = diff3m(tmp_path, cases, fidelity=fidelity)
    assert static(built) == {}
    removed = {"no BMI": 2, "no systolic pressure": 2, "no height": 2, "no weight": 2}
    if fidelity == "published":
        removed["no diastolic pressure"] = 1
    else:
        removed["no systolic pressure"] = 3  # an implausible pressure has neither number
    assert built.removed("cohort", "image") == removed


def test_every_film_keeps_its_label_whatever_it_is(tmp_path):
    # T6: who trains is chosen when samples are read; a study without a row of labels is no sample.
    cases = {name: whole() for name in ("normal", "blank", "negative", "uncertain", "unlabelled")}
    studies = {name: 100 + n for n, name in enumerate(cases)} | {"sure": 105}
    findings = {"normal": 1.0, "blank": None, "negative": 0.0, "uncertain": -1.0, "sure": 1.0}
    labels = [
        {"subject_id": SUBJECT, "study_id": studies[name], "No Finding": value}
        for name, value in findings.items()
    ]
    built = diff3m(tmp_path, cases, cxr_chexpert=labels)
    label_of = dict(built.rows("cohort", "label", 'study_id, "No Finding"'))
    assert {name: label_of[studies[name]] for name in findings} == findings
    assert built.removed("cohort", "image") == {"study without labels": 1}


def test_the_age_is_that_at_the_film_or_that_of_the_anchor_year(tmp_path):
    # T7: 60 in 2148, the film in 2150.
    ages = [diff3m(tmp_path / name, {"a": whole()}, fidelity=name) for name in FIDELITIES]
    assert [static(built, "age")["a"] for built in ages] == [60, 62]


@pytest.mark.parametrize(
    "changes",
    [{"gender": None}, {"gender": "U"}, {"anchor_age": None}, {"subject_id": SUBJECT + 9}],
)
def test_a_patient_without_sex_or_age_or_row_is_dropped(tmp_path, changes):
    people = [patient(**changes), patient(SUBJECT + 1)]
    built = diff3m(tmp_path, {"a": whole()}, patients=people, fidelity="published")
    assert static(built) == {}
    assert built.removed("cohort", "image") == {"unknown patient, sex or age": 1}


def test_only_ap_and_pa_films(tmp_path):
    views = ("AP", "PA", "LATERAL", "LL", "AP AXIAL", None)
    films = [film(f"{view}", TAKEN, n, viewposition=view) for n, view in enumerate(views)]
    rows = [omr(SUBJECT, *row) for row in whole()]
    built = diff3m(tmp_path, {}, cxr_metadata=films, omr=rows)
    assert static(built, "is_male", "is_ap") == {"AP": (0.0, 1.0), "PA": (0.0, 0.0)}
    assert built.removed("cohort", "film") == {"view is neither PA nor AP": 4}


def test_published_reading_ends_at_the_next_patient(tmp_path):
    # Of a patient whose rows lie apart each value is read in the first block that has it.
    far, near = SUBJECT, SUBJECT + 1
    rows = [
        omr(far, -30, 1, BMI, "20"),
        *[omr(near, *row) for row in whole()],
        omr(far, -1, 1, BMI, "30"),
        *[omr(far, *row) for row in whole(BMI)],
    ]
    films = [film("far", TAKEN, 1), film("near", TAKEN, 2, subject_id=near)]
    people = [patient(far), patient(near)]
    tables = {"omr": rows, "cxr_metadata": films, "patients": people}
    published = diff3m(tmp_path / "published", {}, fidelity="published", **tables)
    whole_values = {"near": (24.5, 150.0)}
    assert static(published, "bmi", "weight") == whole_values | {"far": (20.0, 150.0)}
    removed = published.removed("cohort", "outpatient measurement")
    assert removed == {"after rows of another patient": 1}
    corrected = diff3m(tmp_path / "corrected", {}, **tables)
    assert static(corrected, "bmi", "weight") == whole_values | {"far": (30.0, 150.0)}


def test_a_long_mean_is_read_back_as_pandas_reads_it(tmp_path):
    # (24.7 + 24.4) / 2 is 24.549999999999997 in doubles. Its 17 digits added up in a double are
    # 24550000000000000, for at that size doubles are multiples of 4.
    cases = {"a": [*whole(BMI), (0, 1, BMI, "24.7"), (0, 2, BMI, "24.4")]}
    published = diff3m(tmp_path / "published", cases, fidelity="published")
    assert static(published, "bmi") == {"a": 24.55}
    corrected = diff3m(tmp_path / "corrected", cases)
    assert static(corrected, "bmi") == {"a": 24.549999999999997}


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_the_order_of_films_and_patients_in_their_files_changes_nothing(tmp_path, fidelity):
    # T12: the authors' join loses rows by it.
    cases = {str(n): [(-n, 1, *item) for item in WHOLE.items()] for n in range(12)}
    first = diff3m(tmp_path / "first", cases, fidelity=fidelity)
    subjects = range(SUBJECT, SUBJECT + 13)
    films = [
        film(name, TAKEN, 100 + n, subject_id=SUBJECT + n)
        for n, name in enumerate([*cases, "sure"])
    ]
    people = [patient(subject) for subject in subjects]
    for rows in (films, people):
        random.Random(4).shuffle(rows)
    shuffled = diff3m(
        tmp_path / "shuffled", cases, fidelity=fidelity, cxr_metadata=films, patients=people
    )
    assert len(static(first)) == 12
    assert static(shuffled) == static(first)


def test_the_split_is_the_official_one_where_it_names_the_patient(tmp_path):
    names = {"a": "train", "b": "validate", "c": "test", "d": "train"}
    rows = [
        {"dicom_id": name, "subject_id": SUBJECT + n, "study_id": 100 + n, "split": split}
        for n, (name, split) in enumerate(names.items())
    ]
    built = diff3m(tmp_path, dict.fromkeys(names, whole()), cxr_split=rows)
    split_of = dict(built.rows("cohort", "image", "dicom_id, split"))
    # The fifth patient is not named: a test share of one is one.
    assert split_of == {"a": "train", "b": "valid", "c": "test", "d": "train", "sure": "test"}


def test_without_an_official_split_the_patients_are_dealt(tmp_path):
    built = diff3m(tmp_path, {str(n): whole() for n in range(19)})
    splits = built.column("cohort", "split", "split")
    # ceil(0.2 x 20), then ceil(0.1 x 16).
    assert [splits.count(name) for name in ("test", "valid", "train")] == [4, 2, 14]


def test_a_patient_in_two_official_splits_is_refused(tmp_path):
    rows = [
        {"dicom_id": "a", "subject_id": SUBJECT, "study_id": 100, "split": "train"},
        {"dicom_id": "b", "subject_id": SUBJECT, "study_id": 101, "split": "test"},
    ]
    with pytest.raises(ContractError, match=r"cxr_split: patient \d+ is in test and train"):
        diff3m(tmp_path, {"a": whole()}, cxr_split=rows)


def test_a_tree_without_omr_serves_other_recipes_and_this_one_names_the_file(tmp_path):
    built = diff3m(tmp_path, {"a": whole()})
    (tmp_path / "mimic-iv" / "hosp" / "omr.csv.gz").unlink()
    params = tiny_params(tmp_path)
    ingest.run(params)
    with pytest.raises(ContractError, match=r"recipe diff3m needs hosp/omr\.csv\.gz.*mimic_iv"):
        cohort.run(params, built.recipe)


def test_its_windows_are_empty_and_made_without_the_big_tables(tmp_path):
    built = diff3m(tmp_path, {"a": whole()})
    for name in ("window", "hourly", "window_event"):
        assert built.rows("window", name) == []
    ingested = built.params.build("ingest")
    for name in ("chartevents", "labevents", "prescriptions", "inputevents"):
        (ingested / f"{name}.parquet").unlink()
    for stage in (event, cohort, window):
        stage.run(built.params, built.recipe)
    assert len(built.rows("cohort", "image")) == 2


def test_the_checks_hold_and_every_film_is_one_sample(tmp_path):
    built = diff3m(tmp_path, {str(n): whole() for n in range(4)})
    rows = check.check_tables(built.params, built.recipe)
    assert rows["check/key_repeated"] == 5
    assert sorted(built.column("cohort", "film", "dicom_id")) == ["0", "1", "2", "3", "sure"]
    ledger = json.loads(built.params.build("diff3m", "cohort", "ledger.json").read_text())
    assert ledger[-1]["after"] == 5


def test_recipe_of_the_paper():
    recipe = read_recipe("diff3m", "published")
    assert recipe.name == "diff3m_published"
    assert (recipe.kinds, recipe.split.method) == (["image"], "official")
    assert not any(recipe.parameters[name] for name in recipe.known_corrections)
    assert all(read_recipe("diff3m").is_in_force(name) for name in recipe.known_corrections)

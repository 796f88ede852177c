"""Effects of single corrections on cohorts of a few literal rows, known by hand."""

import csv
import json

import pytest
from tiny_stages import (
    HADM,
    STAY,
    SUBJECT,
    admission,
    build,
    chart,
    film,
    heart_rates,
    icu_stay,
    lab,
    patient,
)

from cxrfuture_data import ContractError
from etl import fidelity
from etl.build_change import ROWS
from etl.recipe import NOT_LISTED, read_recipe

FILMS = [film("first", 1, 51), film("second", 20, 52)]
RATES = heart_rates(*(hour + 0.5 for hour in range(1, 12)))


def measure(root, tables, *only, recipe="ddl_cxr", **options):
    """The effects of the named corrections, by name."""
    built = build(root, recipe, tables, until="event")
    effects = fidelity.measure_effects(built.params, built.recipe, only, **options)
    return {effect.correction: effect for effect in effects}


def differing(effect):
    """(table, column) -> gained, lost, changed, touched, where any is not 0."""
    return {
        (change.table, change.column): (
            change.gained,
            change.lost,
            change.changed,
            change.touched,
        )
        for change in effect.changes
        if not change.is_none
    }


def others(number):
    """Another patient with an admission, a stay and their ids."""
    ids = {"subject_id": SUBJECT + number, "hadm_id": HADM + number}
    return ids, ids | {"stay_id": STAY + number}


def two_people(**second_patient):
    """The patient of tiny_stages and another one, each with a pair and a stay."""
    ids, stay = others(1)
    return {
        "patients": [patient(), patient(SUBJECT + 1, **second_patient)],
        "admissions": [admission(), admission(**ids)],
        "icustays": [icu_stay(), icu_stay(**stay)],
        "chartevents": [*RATES, *(row | stay for row in RATES)],
        "cxr_metadata": [
            *FILMS,
            film("third", 1, 61, subject_id=SUBJECT + 1),
            film("fourth", 20, 62, subject_id=SUBJECT + 1),
        ],
    }


def test_the_age_at_admission_changes_a_pair_and_a_stay_and_nothing_else(tmp_path):
    # 60 years in 2148, admitted in 2150: published 60, corrected 62.
    tables = {"cxr_metadata": FILMS, "chartevents": RATES}
    effects = measure(tmp_path, tables, "age_at_admission")
    assert list(effects) == ["unnamed", "age_at_admission"]
    assert differing(effects["unnamed"]) == {}
    assert differing(effects["age_at_admission"]) == {
        ("pair", ROWS): (0, 0, 1, 1),
        ("pair", "age"): (0, 0, 1, 1),
        ("stay", ROWS): (0, 0, 1, 1),
        ("stay", "age"): (0, 0, 1, 1),
    }
    assert effects["age_at_admission"].section.startswith("12.2 B13: ")


def test_samples_that_come_bring_no_hourly_value(tmp_path):
    # 17 years in 2148 is a child by anchor_age and 19 at admission.
    effects = measure(tmp_path, two_people(anchor_age=17), "age_at_admission")
    found = differing(effects["age_at_admission"])
    assert found["pair", ROWS][:2] == (1, 0)
    assert found["stay", ROWS][:2] == (1, 0)
    assert found["image", ROWS][:2] == (2, 0)
    assert not [table for table, _ in found if table == "hourly"]


def test_a_film_half_a_second_too_late_loses_its_pair_and_its_place(tmp_path):
    films = [FILMS[0], film("late", 48 + 0.5 / 3600, 52), film("within", 20, 53)]
    tables = {"cxr_metadata": films, "chartevents": RATES}
    found = differing(
        measure(tmp_path, tables, "film_time_with_fraction")["film_time_with_fraction"]
    )
    # Without its fraction `late` is at 48 h exactly: a pair with `first`. One with `within` would
    # hold no measurement.
    assert found["pair", ROWS][:2] == (0, 1)
    assert found["stay", "previous_dicom_id"] == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("correction", "rows", "column", "counts"),
    [
        # 0.5 becomes 0.005 under published rules: changed in the stay's and in the pair's record.
        (
            "oxygen_by_size",
            {"chartevents": [*RATES, chart(223835, 3.5, 0.5)]},
            "Fraction inspired oxygen",
            (0, 0, 2, 2),
        ),
        # A chemistry glucose whose text is blanked out, in the stay's record and in the pair's.
        (
            "numbers_from_valuenum",
            {"chartevents": RATES, "labevents": [lab(50931, 4.5, 120.0, value="___")]},
            "Glucose",
            (2, 0, 0, 2),
        ),
        # Urine pH before the pair's first film: in the stay's record alone.
        (
            "blood_without_urine",
            {"chartevents": RATES, "labevents": [lab(51491, 0.5, 6.0)]},
            "pH",
            (0, 1, 0, 1),
        ),
    ],
)
def test_hourly_values_that_a_correction_changes(tmp_path, correction, rows, column, counts):
    effects = measure(tmp_path, {"cxr_metadata": FILMS, **rows}, correction)
    found = differing(effects[correction])
    assert found["hourly", column] == counts
    assert {key for key in found if key[1] != ROWS} == {("hourly", column)}
    assert effects[correction].touched("hourly") == counts[3]


def test_hours_before_the_first_measurement_are_counted_for_the_loader(tmp_path):
    # Hour 5 is (5, 6]: five hours of the stay hold nothing. A pair's begin with a measurement.
    tables = {"cxr_metadata": FILMS, "chartevents": heart_rates(5.5, *range(7, 14))}
    effects = measure(tmp_path, tables, "age_and_sex_in_every_hour", "training_normaliser")
    (change,) = effects["age_and_sex_in_every_hour"].changes
    assert (change.table, change.changed, change.touched) == ("hour", 5, 1)
    assert effects["training_normaliser"].changes == []
    assert effects["training_normaliser"].note == "in the loader: moments"


def test_what_corrected_does_without_a_name_is_a_row_of_its_own(tmp_path):
    # Five of a hundred patients test; of three, none, so corrected fills test and valid.
    tables = two_people()
    ids, stay = others(2)
    tables["patients"].append(patient(SUBJECT + 2))
    tables["admissions"].append(admission(**ids))
    tables["icustays"].append(icu_stay(**stay))
    tables["cxr_metadata"] += [
        film("fifth", 1, 71, subject_id=SUBJECT + 2),
        film("sixth", 20, 72, subject_id=SUBJECT + 2),
    ]
    tables["chartevents"] += [row | stay for row in RATES]
    tables["d_items"] = [
        {"itemid": 220045, "label": "Heart Rate", "linksto": "chartevents"}
        | {"category": "Routine Vital Signs"}
    ]
    effects = measure(tmp_path, tables, "film_time_with_fraction", recipe="ehrxdiff")
    assert differing(effects["unnamed"])["pair", "split"] == (0, 0, 2, 2)
    assert differing(effects["film_time_with_fraction"]) == {}


@pytest.mark.slow
def test_all_corrections_together_come_last_and_an_unknown_one_is_refused(tmp_path):
    tables = {"cxr_metadata": FILMS, "chartevents": RATES}
    effects = measure(tmp_path, tables)
    known = read_recipe("ddl_cxr").known_corrections
    assert tuple(effects) == ("unnamed", *known, "corrected")
    assert differing(effects["corrected"])["stay", "age"] == (0, 0, 1, 1)
    with pytest.raises(ContractError, match="no correction 'age'; there are age_and_sex"):
        measure(tmp_path, tables, "age")


def test_builds_are_removed_unless_kept_and_the_report_is_written(tmp_path, capsys):
    built = build(tmp_path, "ddl_cxr", {"cxr_metadata": FILMS, "chartevents": RATES}, "event")
    folder = built.params.build("fidelity", "ddl_cxr")
    only = ["age_at_admission"]
    fidelity.run_fidelity(built.params, built.recipe, only, keep=True, as_json=True)
    names = {"published", "unnamed", "age_at_admission"}
    assert names < {path.name for path in folder.iterdir()}
    capsys.readouterr()
    fidelity.run_fidelity(built.params, built.recipe, only, keep=False, as_json=True)
    printed = capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {"fidelity.csv", "fidelity.json"}
    with (folder / "fidelity.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["column"] == "age"]
    assert [(row["correction"], row["table"], row["changed"]) for row in rows] == [
        ("age_at_admission", "pair", "1"),
        ("age_at_admission", "stay", "1"),
    ]
    report = json.loads((folder / "fidelity.json").read_text())
    assert json.loads(printed) == report
    for forbidden in (SUBJECT, HADM, STAY, "first", "2150-01"):
        assert str(forbidden) not in printed


def test_the_table_says_where_and_how_much(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    rows = [*RATES, chart(223835, 3.5, 0.5)]
    built = build(tmp_path, "ddl_cxr", {"cxr_metadata": FILMS, "chartevents": rows}, "event")
    only = ["age_at_admission", "oxygen_by_size"]
    fidelity.run_fidelity(built.params, built.recipe, only, keep=False, as_json=False)
    lines = {
        line.split()[0]: line.split()
        for line in capsys.readouterr().out.splitlines()
        if line.split()
    }
    assert lines["age_at_admission"] == ["age_at_admission", "12.2", "B13", "~2"]
    assert lines["oxygen_by_size"] == ["oxygen_by_size", "12.2", "B7", "~2", "(2)"]


def test_a_recipe_with_chosen_corrections_has_no_other_in_force():
    recipe = read_recipe("ddl_cxr", "published")
    chosen = recipe.with_corrections(["hour_zero"])
    in_force = [name for name in chosen.known_corrections if chosen.is_in_force(name)]
    assert in_force == ["hour_zero"]
    assert chosen.corrections == {"hour_zero": recipe.corrections["hour_zero"]}
    assert recipe.fidelity == "published"


def test_a_correction_that_the_file_does_not_list_says_so():
    recipe = read_recipe("ehrxdiff")
    bare = recipe.model_copy(update={"corrections": {}})
    chosen = bare.with_corrections(["film_time_with_fraction"])
    assert chosen.corrections == {"film_time_with_fraction": NOT_LISTED}

"""Two builds that differ in one known row each."""

import csv
import json

import duckdb
import pytest
from rich.console import Console
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
    patient,
)
from typer.testing import CliRunner

from cxrfuture import app
from cxrfuture_data import ContractError
from etl.build_cause import NEVER, NOT_INGESTED, SAMPLE_WENT
from etl.build_change import ROWS
from etl.diff_report import print_diff, run_diff

FILMS = [film("first", 1, 51), film("second", 20, 52)]
RATES = heart_rates(*(hour + 0.5 for hour in range(1, 12)))
LATERAL = film("second", 20, 52, viewposition="PA")
TABLES = {"cxr_metadata": FILMS, "chartevents": RATES}


def pair_of_builds(root, changed, recipe="ddl_cxr", base=TABLES):
    """A has ``base``; B has it with the tables of ``changed`` put in place."""
    a = build(root / "a", recipe, base)
    build(root / "b", recipe, {**base, **changed})
    return a.params, (root / "a" / "build", root / "b" / "build")


def differ(root, changed, **options):
    (found,) = run_diff(*pair_of_builds(root, changed, **options), None, None)
    return found


def rows_of(found):
    """Table -> in A, in B, gained, lost, changed; of what differs alone."""
    return {
        change.table: (change.before, change.after, change.gained, change.lost, change.changed)
        for change in found.changes
        if change.column == ROWS and not change.is_none
    }


def values_of(found):
    return {
        (change.table, change.column): (change.gained, change.lost, change.changed, change.touched)
        for change in found.changes
        if change.column != ROWS and not change.is_none
    }


def causes_of(found):
    return {
        (cause.table, cause.direction): (cause.unit, cause.reason, cause.rows)
        for cause in found.causes
    }


def rewrite(path, columns="*", where="TRUE"):
    """Replace a Parquet file by a selection of it."""
    part = path.with_suffix(".new")
    duckdb.sql(f"SELECT {columns} FROM '{path}' WHERE {where}").write_parquet(str(part))
    part.replace(path)


def test_equal_builds_do_not_differ(tmp_path):
    found = differ(tmp_path, {})
    assert found.is_none
    assert (rows_of(found), values_of(found), found.causes, found.moves) == ({}, {}, [], {})


def test_a_film_that_is_lateral_takes_its_pair_along(tmp_path):
    found = differ(tmp_path, {"cxr_metadata": [FILMS[0], LATERAL]})
    rows = rows_of(found)
    assert rows["film"] == (2, 1, 0, 1, 0)
    assert rows["pair"] == (1, 0, 0, 1, 0)
    # The windows: of the pair (gone), of the stay, and of the generation (its film is another).
    assert rows["window"][:4] == (3, 2, 0, 1)
    causes = causes_of(found)
    assert causes["film", "lost"] == causes["pair", "lost"] == ("film", "view is not AP", 1)
    lines = {(line.unit, line.reason): line for line in found.ledger}
    line = lines["film", "view is not AP"]
    assert (line.before_a, line.removed_a, line.before_b, line.removed_b) == (2, 0, 2, 1)
    # The stay is in both, with the film before it as its last.
    assert values_of(found)["stay", "previous_dicom_id"] == (0, 0, 1, 1)


def test_what_came_is_explained_by_the_filter_that_took_it_before(tmp_path):
    lateral = {**TABLES, "cxr_metadata": [FILMS[0], LATERAL]}
    found = differ(tmp_path, {"cxr_metadata": FILMS}, base=lateral)
    assert rows_of(found)["pair"] == (0, 1, 1, 0, 0)
    assert causes_of(found)["pair", "gained"] == ("film", "view is not AP", 1)


def test_films_too_close_go_at_the_filter_of_pairs(tmp_path):
    a = [film("first", 1, 51), film("second", 13.5, 52)]
    b = [film("first", 1, 51), film("second", 12.5, 52)]
    found = differ(
        tmp_path,
        {"cxr_metadata": b},
        base={"cxr_metadata": a, "chartevents": RATES},
    )
    reason = "not further apart than the minimum gap"
    assert causes_of(found)["pair", "lost"] == ("pair", reason, 1)
    # The stay still holds one of the films; the other is in the dataset only as an image.
    assert causes_of(found)["film", "lost"] == ("image", "patient without a pair", 1)


def test_a_film_that_the_release_has_not_is_no_filters_doing(tmp_path):
    found = differ(tmp_path, {"cxr_metadata": FILMS[:1]})
    missing = ("", NOT_INGESTED.format("dicom_id"), 1)
    assert causes_of(found)["film", "lost"] == causes_of(found)["pair", "lost"] == missing


def test_a_short_stay_takes_pair_and_stay_and_leaves_its_films(tmp_path):
    other = {"subject_id": SUBJECT + 1, "hadm_id": HADM + 1, "stay_id": STAY + 1}
    base = {
        "patients": [patient(), patient(SUBJECT + 1)],
        "admissions": [admission(), admission(HADM + 1, subject_id=SUBJECT + 1)],
        "icustays": [icu_stay(), icu_stay(**other)],
        "chartevents": [*RATES, *(row | other for row in RATES)],
        "cxr_metadata": [
            *FILMS,
            film("third", 1, 61, subject_id=SUBJECT + 1),
            film("fourth", 20, 62, subject_id=SUBJECT + 1),
        ],
    }
    stays = [icu_stay(), icu_stay(**other, los=1.5)]
    found = differ(tmp_path, {"icustays": stays}, base=base)
    rows = rows_of(found)
    assert rows["patient"] == (2, 1, 0, 1, 0)
    assert rows["pair"] == rows["stay"] == (2, 1, 0, 1, 0)
    reason = "not longer than the minimum stay"
    for table in ("pair", "stay"):
        assert causes_of(found)[table, "lost"] == ("stay", reason, 1)
    # The patient's films came one filter further: no stay of the cohort to lie in.
    assert causes_of(found)["patient", "lost"][0] in ("film of a stay", "image")


def test_a_label_and_an_outcome_that_changed(tmp_path):
    labels = [
        {"subject_id": SUBJECT, "study_id": 51, "Edema": 1.0},
        {"subject_id": SUBJECT, "study_id": 52, "Edema": 0.0, "Pneumonia": 1.0},
    ]
    died = [admission(deathtime=admission()["dischtime"], hospital_expire_flag=1)]
    found = differ(tmp_path, {"cxr_chexpert": labels, "admissions": died})
    values = values_of(found)
    assert values["label", "Edema"] == (0, 0, 1, 1)
    assert values["label", "Pneumonia"] == (1, 0, 0, 1)
    assert values["pair", "died_in_hospital"] == (0, 0, 1, 1)
    assert rows_of(found)["label"] == (2, 2, 0, 0, 1)
    assert found.causes == []


def test_hourly_values_gained_lost_and_changed_in_windows_of_both(tmp_path):
    # The fourth goes, the fifth reads 90, and one comes four hours after the last.
    rates = [*RATES[:3], chart(220045, 5.5, 90.0), *RATES[5:], chart(220045, 15.5, 80.0)]
    found = differ(tmp_path, {"chartevents": rates})
    # In the window of the pair, and in that of the stay.
    assert values_of(found)["hourly", "Heart Rate"] == (2, 2, 2, 2)
    assert rows_of(found).keys() == {"window", "hourly"}
    assert values_of(found)["window", "latest_event_at"] == (0, 0, 2, 2)


def test_age_and_sex_change_and_no_row_goes(tmp_path):
    found = differ(tmp_path, {"patients": [patient(anchor_age=61, gender="M")]})
    values = values_of(found)
    assert values["pair", "age"] == values["pair", "sex"] == (0, 0, 1, 1)
    assert {change[:4] for change in rows_of(found).values()} == {
        (1, 1, 0, 0),
        (2, 2, 0, 0),
    }


def test_a_patient_in_another_split_is_told(tmp_path):
    params, builds = pair_of_builds(tmp_path, {})
    path = builds[1] / "ddl_cxr" / "cohort" / "split.parquet"
    ((split,),) = duckdb.sql(f"SELECT split FROM '{path}'").fetchall()
    other = "test" if split != "test" else "train"
    rewrite(path, f"* REPLACE ('{other}' AS split)")
    (found,) = run_diff(params, builds, None, None)
    assert found.moves == {(split, other): 1}
    assert values_of(found) == {("patient", "split"): (0, 0, 1, 1)}


def test_an_event_is_known_by_its_text_and_not_by_its_row(tmp_path):
    def drugs(*names):
        return [
            {
                "subject_id": SUBJECT,
                "hadm_id": HADM,
                "starttime": "2150-01-02 05:00:00",
                "stoptime": "2150-01-02 09:00:00",
                "drug": name,
                "prod_strength": "1 mg",
                "dose_val_rx": "1",
                "dose_unit_rx": "mg",
                "route": "IV",
            }
            for name in names
        ]

    base = {"cxr_metadata": FILMS, "prescriptions": drugs("Aspirin", "Heparin")}
    found = differ(
        tmp_path,
        {"prescriptions": drugs("Heparin", "Aspirin", "Heparin")},
        recipe="ehrxdiff",
        base=base,
    )
    # The same drug twice at one time is two events.
    assert rows_of(found)["event"][:4] == (2, 3, 1, 0)


def test_a_candidate_of_no_filter_says_so(tmp_path):
    """As if A's code had never put the films together."""
    params, builds = pair_of_builds(tmp_path, {})
    path = builds[0] / "ddl_cxr" / "cohort"
    for name in ("pair", "film"):
        rewrite(path / f"{name}.parquet", where="FALSE")
    rewrite(builds[0] / "ddl_cxr" / "window" / "window.parquet", where="kind <> 'pair'")
    (found,) = run_diff(params, builds, None, None)
    assert causes_of(found)["pair", "gained"] == ("", NEVER, 1)
    assert causes_of(found)["film", "gained"] == ("", SAMPLE_WENT, 2)


def test_a_setting_of_the_recipe_is_told(tmp_path):
    built = build(tmp_path / "a", "ddl_cxr", TABLES)
    changed = built.recipe.cohort.model_copy(update={"minimum_gap_hours": 20})
    build(tmp_path / "b", "ddl_cxr", TABLES, cohort=changed)
    builds = (tmp_path / "a" / "build", tmp_path / "b" / "build")
    (found,) = run_diff(built.params, builds, None, None)
    assert found.settings == {"cohort.minimum_gap_hours": (12, 20)}
    assert causes_of(found)["pair", "lost"][0] == "pair"


def test_tables_json_csv_and_the_exit_code(tmp_path, capsys):
    changed = {"cxr_metadata": [FILMS[0], LATERAL]}
    _, builds = pair_of_builds(tmp_path, changed)
    a, b = (str(path) for path in builds)
    command = ["diff", a, b, "--csv", str(tmp_path / "diff.csv")]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0
    assert "view is not AP" in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 80
    for word in (str(SUBJECT), str(HADM), str(STAY), "second"):
        assert word not in said.stdout
    with (tmp_path / "diff.csv").open() as file:
        lines = list(csv.DictReader(file))
    cause = next(line for line in lines if (line["section"], line["table"]) == ("cause", "pair"))
    assert (cause["stage"], cause["unit"], cause["lost"]) == ("cohort", "film", "1")
    as_json = CliRunner().invoke(app, ["diff", a, b, "--json", "--strict"])
    assert as_json.exit_code == 1
    (value,) = json.loads(as_json.stdout)
    assert value["recipe"] == "ddl_cxr"
    assert value["is_none"] is False
    assert CliRunner().invoke(app, ["diff", a, a, "--strict"]).exit_code == 0


def test_what_cannot_be_compared_is_refused_in_a_line(tmp_path):
    params, builds = pair_of_builds(tmp_path, {})
    a, b = builds
    with pytest.raises(ContractError, match="no such folder"):
        run_diff(params, (a, tmp_path / "c"), None, None)
    with pytest.raises(ContractError, match=r"no recipe ehrxdiff there, but ddl_cxr"):
        run_diff(params, builds, "ehrxdiff", None)
    with pytest.raises(ContractError, match="no built cohort"):
        run_diff(params, (a, tmp_path / "b" / "mimic-iv"), None, None)
    (b / "ddl_cxr").rename(b / "ddl_cxr_published")
    with pytest.raises(ContractError, match="are different recipes"):
        run_diff(params, (a / "ddl_cxr", b / "ddl_cxr_published"), None, None)
    with pytest.raises(ContractError, match="no recipe in both"):
        run_diff(params, builds, None, None)


def test_another_fidelity_or_schema_is_refused(tmp_path):
    params, builds = pair_of_builds(tmp_path, {})
    path = builds[1] / "ddl_cxr" / "cohort" / "recipe.json"
    record = json.loads(path.read_text())
    record["recipe"]["fidelity"] = "published"
    path.write_text(json.dumps(record))
    with pytest.raises(ContractError, match=r"has fidelity corrected, .* published"):
        run_diff(params, builds, None, None)
    path.write_text(json.dumps(record | {"schema_version": 1}))
    with pytest.raises(ContractError, match="built for schema version 1"):
        run_diff(params, builds, None, None)
    path.write_text("[]")
    with pytest.raises(ContractError, match="not a record of a recipe"):
        run_diff(params, builds, None, None)
    path.unlink()
    with pytest.raises(ContractError, match="unfinished or older"):
        run_diff(params, builds, None, None)


def test_an_unfinished_build_is_refused(tmp_path):
    params, builds = pair_of_builds(tmp_path, {})
    folder = builds[1] / "ddl_cxr"
    part = folder / "window" / "hourly.parquet.part"
    part.touch()
    with pytest.raises(ContractError, match="cut short"):
        run_diff(params, builds, None, None)
    part.unlink()
    (folder / "window" / "hourly.parquet").unlink()
    with pytest.raises(ContractError, match=r"run `cxrfuture window --recipe ddl_cxr`"):
        run_diff(params, builds, None, None)


def test_windows_of_another_cohort_are_refused(tmp_path):
    params, builds = pair_of_builds(tmp_path, {})
    other = build(tmp_path / "c", "ddl_cxr", {**TABLES, "cxr_metadata": FILMS[:1]})
    cohort = other.params.build("ddl_cxr", "cohort")
    target = builds[1] / "ddl_cxr" / "cohort"
    target.rename(tmp_path / "old")
    cohort.rename(target)
    with pytest.raises(ContractError, match="1 windows are not those of the cohort"):
        run_diff(params, builds, None, None)


def test_an_empty_report_says_that_nothing_differs(tmp_path, capsys):
    print_diff(differ(tmp_path, {}), Console(width=80))
    assert "Nothing differs." in capsys.readouterr().out

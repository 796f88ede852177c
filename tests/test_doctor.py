"""The doctor: a sound tree passes; each broken one fails, by a line that says why."""

import errno
import gzip
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from tiny_films import PATHS, STUDIES, write_filmed_tree, write_sums
from tiny_mimic import REPOSITORY, long_table, rewrite, tiny_params, write_table
from tiny_stages import HADM, SUBJECT, admission, at, film, icu_stay, lab, patient

from cxrfuture_data.schema import ContractError
from etl import ingest
from etl.doctor import examine, facts_of, run_doctor
from etl.doctor_file import damage_at_the_ends, damage_by_checksum
from etl.doctor_need import Machine, Need, compare_with_machine, parse_bytes
from etl.doctor_problem import Problems
from etl.doctor_release import recognise_version
from etl.doctor_table import TableFacts, compare_with_release
from etl.metadata import find_releases
from etl.version_schema import expected_rows

SOUND = gzip.compress(b"a" * 5000, mtime=0)


def look(params, deep="none", all_films=False):
    return examine(params, deep=deep, all_films=all_films)


def lines(found, level="fails"):
    return [
        f"{problem.what}: {problem.found}; {problem.next_step}"
        for problem in found.problems.found
        if problem.level == level
    ]


def test_a_sound_tree_passes(tmp_path, capsys):
    params = write_filmed_tree(tmp_path)
    found = look(params)
    assert lines(found) == []
    assert (found.films.needed, found.films.found) == (2, 2)
    assert found.lacking["ddl_cxr"] == []
    assert found.lacking["diff3m"] == ["omr"]
    assert run_doctor(params)
    assert "Nothing found that would stop a run" in capsys.readouterr().out


def test_a_missing_table_fails(tmp_path):
    params = write_filmed_tree(tmp_path)
    (tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz").unlink()
    (line,) = lines(look(params))
    assert line.startswith("chartevents: no chartevents.csv.gz, .csv or .parquet in ")
    assert line.endswith("download it, or set paths.mimic_iv to the folder that has it")
    with pytest.raises(ContractError, match="chartevents"):  # a run does fail there
        ingest.run(params)


def test_a_table_that_only_one_recipe_needs_is_asked_for_by_that_recipe(tmp_path):
    params = write_filmed_tree(tmp_path).model_copy(update={"recipes": ["ddl_cxr", "future"]})
    found = [line.partition(",")[0] for line in lines(look(params))]
    assert "future: needs hosp/emar.csv.gz" in found
    assert not [line for line in found if line.startswith("ddl_cxr")]


def test_one_labeler_is_enough_for_recipes_that_read_it(tmp_path):
    """Ingest takes either; ddl_cxr and ehrxdiff read CheXpert's."""
    params = write_filmed_tree(tmp_path, {"cxr_negbio": []})
    (tmp_path / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-chexpert.csv.gz").unlink()
    assert [line.partition(";")[0] for line in lines(look(params))] == [
        f"{name}: needs mimic-cxr-2.0.0-chexpert.csv.gz, which is not there"
        for name in ("ddl_cxr", "ehrxdiff")
    ]


def test_films_may_lie_elsewhere(tmp_path):
    params = write_filmed_tree(tmp_path)
    (tmp_path / "mimic-cxr-jpg" / "files").rename(tmp_path / "resized")
    assert "films: none of 2 looked for" in lines(look(params))[0]
    paths = params.paths.model_copy(update={"films": str(tmp_path / "resized")})
    assert lines(look(params.model_copy(update={"paths": paths}))) == []


def test_a_missing_release_fails(tmp_path):
    params = write_filmed_tree(tmp_path)
    (tmp_path / "mimic-cxr-jpg").rename(tmp_path / "elsewhere")
    (line,) = lines(look(params))
    assert line.startswith("mimic_cxr_jpg: ")
    assert "no such folder; set paths.mimic_cxr_jpg" in line


@pytest.mark.parametrize("name", ["hosp/patients.csv.gz", "hosp/admissions.csv.gz"])
def test_a_truncated_small_table_fails(tmp_path, name):
    params = write_filmed_tree(tmp_path)
    path = tmp_path / "mimic-iv" / name
    path.write_bytes(path.read_bytes()[:-12])
    (line,) = lines(look(params))
    assert "truncated gzip" in line


def test_a_truncated_large_table_fails_when_its_checksum_is_asked_for(tmp_path):
    """Its header is whole, and its last bytes may pass for a length: only a whole read can tell."""
    params = write_filmed_tree(tmp_path)
    path = tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz"
    whole = gzip.compress(long_table(20_000).encode(), mtime=0)
    cut = len(whole) - 1000
    while int.from_bytes(whole[cut - 4 : cut], "little") > 1000 * cut:
        cut -= 1
    path.write_bytes(whole[:cut])
    assert lines(look(params)) == []
    (line,) = lines(look(params, "sums"))
    assert line.startswith("chartevents: ")
    assert "truncated gzip" in line


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page, not a table"),
        (b"subject_id,gender\n1,F\n", "not gzip"),
        (SOUND[:-8] + b"\0" * 8, "ends in zeros"),
        (SOUND[:-4] + b"\xff\xff\xff\xff", "truncated gzip"),
        (b"\x1f\x8b\x08", "only 3 bytes of gzip"),
        (SOUND, None),
    ],
    ids=["empty", "page", "text", "zeros", "length", "start", "sound"],
)
def test_the_ends_of_a_file_tell_what_it_is(tmp_path, content, damage):
    path = tmp_path / "poe.csv.gz"
    path.write_bytes(content)
    found = damage_at_the_ends(path)
    assert found is None if damage is None else found.startswith(damage)


def test_a_permuted_header_passes_and_is_read_by_name(tmp_path):
    params = write_filmed_tree(tmp_path)
    path = tmp_path / "mimic-iv" / "hosp" / "patients.csv.gz"
    rewrite(
        path,
        f"dod,anchor_year_group,anchor_year,anchor_age,gender,subject_id\n,,2148,60,F,{SUBJECT}\n",
    )
    found = look(params)
    assert lines(found) == []
    assert sum(found.cohorts[0].samples["pair"].values()) == 1


@pytest.mark.parametrize("name", ["hosp/patients.csv.gz", "icu/chartevents.csv.gz"])
def test_a_wrong_delimiter_fails(tmp_path, name):
    params = write_filmed_tree(tmp_path)
    path = tmp_path / "mimic-iv" / name
    rewrite(path, gzip.decompress(path.read_bytes()).decode().replace(",", ";"))
    (line,) = lines(look(params))
    assert "unknown column" in line


def test_an_altered_table_fails(tmp_path):
    """One that is read whole at once; another when checksums are asked for."""
    params = write_filmed_tree(tmp_path)
    write_sums(tmp_path / "mimic-iv")
    assert lines(look(params, "sums")) == []
    write_table(tmp_path / "mimic-iv", "patients", [patient(anchor_age=61)])
    write_table(tmp_path / "mimic-iv", "d_items", [{"itemid": 1, "label": "changed"}])
    assert [line.partition(":")[0] for line in lines(look(params))] == ["patients"]
    found = lines(look(params, "sums"))
    assert [line.partition(":")[0] for line in found] == ["patients", "d_items"]
    assert "not what SHA256SUMS.txt names" in found[1]


def test_symlink_loops_are_no_second_release(tmp_path):
    params = write_filmed_tree(tmp_path)
    (tmp_path / "mimic-iv" / "up").symlink_to(tmp_path / "mimic-iv")
    above = tmp_path / "above"
    above.mkdir()
    (above / "mimic-iv").symlink_to(tmp_path / "mimic-iv")
    (above / "again").symlink_to(above)
    (above / "self").symlink_to(above / "self")
    paths = params.paths.model_copy(update={"mimic_iv": str(above)})
    assert lines(look(params.model_copy(update={"paths": paths}))) == []


def mounted(folder, *options):
    """A tmpfs at the folder, or a skip where this machine allows none."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("no tmpfs can be mounted here (needs root)")


def test_a_read_only_tree_is_only_read(tmp_path):
    """Also by root: the folder is a file system mounted read-only."""
    sources = tmp_path / "sources"
    mounted(sources)
    try:
        write_filmed_tree(sources)
        subprocess.run(["mount", "-o", "remount,ro", str(sources)], check=True)
        with pytest.raises(OSError, match="Read-only") as refused:
            (sources / "x").touch()
        assert refused.value.errno == errno.EROFS
        params = tiny_params(sources)
        paths = params.paths.model_copy(update={"build": tmp_path / "build"})
        recipes = ["ddl_cxr", "ehrxdiff"]
        assert lines(look(params.model_copy(update={"paths": paths, "recipes": recipes}))) == []
        (line, *_) = [line for line in lines(look(params)) if line.startswith("build: ")]
        assert "cannot be written; set paths.build" in line
    finally:
        subprocess.run(["umount", str(sources)], check=True)


def test_no_space_for_the_build_fails_in_words(tmp_path):
    params = write_filmed_tree(tmp_path)
    build = tmp_path / "build"
    mounted(build, "-o", "size=64k")
    try:
        (build / "full").write_bytes(b"\0" * 60_000)
        found = look(params)
    finally:
        subprocess.run(["umount", str(build)], check=True)
    assert any("No space left on device" in line for line in lines(found))


def test_missing_films_warn_and_none_at_all_fails(tmp_path):
    params = write_filmed_tree(tmp_path)
    root = tmp_path / "mimic-cxr-jpg"
    (root / PATHS[0]).unlink()
    found = look(params)
    assert lines(found) == []
    assert lines(found, "warning") == [
        f"films: 1 of 2 looked for are not in {root}; `cxrfuture plan` lists what is missing, and"
        " the command that fetches it"
    ]
    (root / PATHS[1]).unlink()
    (line,) = lines(look(params))
    assert line.startswith(f"films: none of 2 looked for is in {root}; `cxrfuture plan`")


def test_films_are_compared_with_their_sums_if_asked(tmp_path):
    params = write_filmed_tree(tmp_path)
    root = tmp_path / "mimic-cxr-jpg"
    write_sums(root)
    content = bytearray((root / PATHS[0]).read_bytes())
    content[-10] ^= 1
    (root / PATHS[0]).write_bytes(content)
    assert lines(look(params)) == []
    found = look(params, "sums")
    assert (found.films.hashed, found.films.altered) == (2, 1)
    assert lines(found)[0].startswith("films: 1 of 2 are not those that SHA256SUMS.txt names")


def test_rules_that_leave_no_sample_fail(tmp_path):
    """The film is of another patient than the tables."""
    stranger = [film("a", 4, STUDIES[0], subject_id=SUBJECT + 1)]
    found = look(write_filmed_tree(tmp_path, {"cxr_metadata": stranger}))
    assert "ehrxdiff: its rules leave no sample" in lines(found)[-1]


def test_a_recipe_of_the_params_that_lacks_a_table_fails(tmp_path):
    params = write_filmed_tree(tmp_path).model_copy(update={"recipes": ["ddl_cxr", "diff3m"]})
    assert any(line.startswith("diff3m: needs hosp/omr.csv.gz") for line in lines(look(params)))


def anomalies(params):
    return {anomaly.name: anomaly.count for anomaly in look(params).anomalies}


def test_each_known_anomaly_is_counted(tmp_path):
    other = SUBJECT + 1
    films = [film(f"film-{study}", 4 + 20 * n, study) for n, study in enumerate(STUDIES)]
    tables = {
        "patients": [patient(dod="2150-01-09")],
        "admissions": [
            admission(deathtime=at(100), hospital_expire_flag=1),  # 2150-01-06: 3 days before dod
            admission(HADM + 1, dischtime=at(-25)),
            admission(HADM + 2, hospital_expire_flag=1),
            admission(HADM + 3, deathtime=at(241)),  # 2150-01-12: an hour after discharge, 3 days
            admission(HADM + 4, subject_id=other),
        ],
        "icustays": [
            icu_stay(),
            icu_stay(30000002, hadm_id=HADM + 9),
            icu_stay(30000003, subject_id=other),
        ],
        "transfers": [
            {"subject_id": SUBJECT, "hadm_id": HADM, "transfer_id": 1},
            {"subject_id": other, "hadm_id": HADM, "transfer_id": 2},
            {"subject_id": SUBJECT, "hadm_id": HADM + 9, "transfer_id": 3},
            {"subject_id": SUBJECT, "transfer_id": 4},
        ],
        "cxr_metadata": [
            *films,
            film("no-view", 30, 50000003, viewposition=None),
            film("no-time", 30, 50000004, studytime=126000.0),  # 12:60:00
            film("other", 30, 50000005, subject_id=other),
            film("second", 31, 50000005, subject_id=other),
        ],
        "cxr_chexpert": [
            {"subject_id": SUBJECT, "study_id": STUDIES[0], "Edema": 1.0},
            {"subject_id": SUBJECT, "study_id": STUDIES[1]},
        ],
        "labevents": [lab(50912, 1, 1.0), lab(50912, 2, 1.0, hadm_id=None)],
        "diagnoses_icd": [{"subject_id": SUBJECT, "hadm_id": HADM + 9, "seq_num": 1}],
    }
    params = write_filmed_tree(tmp_path, tables)
    counted = anomalies(params)
    assert counted == {
        "discharge_before_admission": 1,
        "death_without_time": 1,
        "death_after_discharge": 1,
        "death_on_another_day": 2,
        "admission_of_unknown_patient": 1,
        "stay_of_unknown_admission": 1,
        "stay_of_another_patient": 1,
        "transfer_of_unknown_admission": 1,
        "transfer_of_another_patient": 1,
        "diagnosis_of_unknown_admission": 1,
        "lab_without_admission": None,  # not before ingest
        "lab_of_unknown_admission": None,
        "film_without_view": 1,
        "film_without_time": 1,
        "film_of_unknown_patient": 2,
        "study_at_two_times": 1,
        "study_without_labels": 3,
        "study_without_any_finding": 1,
    }
    ingest.run(params)
    after = anomalies(params)
    assert (
        after
        | {
            "diagnosis_of_unknown_admission": 1,
            "lab_without_admission": 1,
            "lab_of_unknown_admission": 0,
        }
        == after
    )


def test_a_release_is_told_by_its_rows_and_each_table_held_against_it(tmp_path):
    params = write_filmed_tree(tmp_path)
    release = replace(find_releases(params)["mimic_iv"], version="2.2")  # its folder's name
    rows = {"patients": 364_627, "admissions": 546_028}
    version = recognise_version(release, rows)
    assert version.title == "3.1"
    assert recognise_version(release, {"patients": 1}).title == "3.x, a subset: 1 patient"
    assert expected_rows("mimic_iv", "2.2")["chartevents"] == 313_645_063
    problems = Problems()
    tables = [
        TableFacts("icustays", "icu/icustays.csv.gz", True, 3_200_000, "ok", rows=73_181),
        TableFacts("chartevents", "icu/chartevents.csv.gz", True, 2_000_000_000, "ok"),
        TableFacts("labevents", "hosp/labevents.csv.gz", True, 2_300_000_000, "ok"),
    ]
    compare_with_release(release, version, tables, problems)
    assert [(problem.what, problem.level) for problem in problems.found] == [
        ("icustays", "warning"),  # that of 2.2
        ("chartevents", "fails"),  # 2.0 of 3.3 GB
    ]


def test_too_little_disk_fails_and_too_little_memory_warns(tmp_path):
    params = tiny_params(tmp_path)
    problems = Problems()
    needs = [Need("ingest", 3e9, 1.0, ""), Need("ddl_cxr: films", 2e9, 1.0, "")]
    compare_with_machine(params, needs, Machine(2, 4 * 10**9, 4 * 10**9), problems)
    assert [(problem.what, problem.level) for problem in problems.found] == [
        ("disk", "fails"),
        ("ingest.memory_limit", "warning"),  # 4 GB of 4
    ]
    assert problems.found[0].found == "4.0 GB free, about 5.0 GB more needed"
    assert parse_bytes("512MiB") == 512 * 2**20


def test_gzip_is_checked_by_its_own_sum_where_the_release_gives_none(tmp_path):
    path = tmp_path / "poe.csv.gz"
    content = bytearray(gzip.compress(b"a,b\n1,2\n"))
    content[-8] ^= 1
    path.write_bytes(content)
    assert "damaged gzip" in str(damage_by_checksum(path, None, lambda size: None))


def test_an_id_in_an_error_is_not_repeated():
    problems = Problems()
    with problems.caught("cxr_split"):
        raise ContractError("cxr_split: patient 10000032 is in train and test; download it again")
    assert problems.found[0].found == "patient <id> is in train and test"


def test_a_depth_that_is_none_is_refused(tmp_path):
    with pytest.raises(ContractError, match="--deep all; it is one of none, sizes, sums"):
        run_doctor(tiny_params(tmp_path), deep="all")


def doctor_command(params, folder, *options):
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(params.model_dump(mode="json")))
    return subprocess.run(
        [sys.executable, "-m", "cxrfuture", "doctor", "--params", str(file), *options],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "80"},
        capture_output=True,
        text=True,
    )


def test_exit_codes_json_width_and_what_is_never_printed(tmp_path):
    params = write_filmed_tree(tmp_path)
    sound = doctor_command(params, tmp_path)
    assert sound.returncode == 0, sound.stderr
    (tmp_path / "mimic-iv" / "hosp" / "admissions.csv.gz").unlink()
    broken = doctor_command(params, tmp_path, "--json")
    assert broken.returncode == 1
    facts = json.loads(broken.stdout)
    assert facts["would_run"] is False
    assert facts["problems"][0]["what"] == "admissions"
    for text in (sound.stdout, sound.stderr, broken.stdout, broken.stderr):
        assert not re.search(r"(?<!\d)[1-5]\d{7}(?!\d)", text)
        assert "film-5" not in text
    tables = sound.stdout.partition("Here:")[0]
    assert max(map(len, tables.splitlines())) <= 80  # columns


def test_the_diagnosis_of_a_sound_tree_is_json(tmp_path):
    facts = json.loads(json.dumps(facts_of(look(write_filmed_tree(tmp_path)))))
    assert facts["sources"]["mimic_iv"]["version"].startswith("3.x, a subset: ")
    assert {need["work"] for need in facts["needs"]} >= {"ingest", "ddl_cxr: films"}

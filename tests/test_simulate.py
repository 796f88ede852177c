"""The simulated hospital: release-shaped, the same from the same seed, and causal."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from cxrfuture_data.schema import FINDINGS, ContractError
from etl.mimic_schema import TABLES
from etl.params import Params, read_params
from etl.simulate import RECORD, SimulateOptions, run, simulate
from etl.simulate.course import Given, run_course
from etl.simulate.draw import Draw, Numbers
from etl.simulate.hospital import Ids, build_hospital
from etl.simulate.writer import open_tree
from etl.version_schema import MIMIC_IV

ROOT = Path(__file__).resolve().parent.parent
DEMO = Path(os.environ.get("MIMIC_IV_DEMO_DIR", ROOT.parent / "shared" / "data" / "mimic-iv-demo"))
# Copied from the release's own files.
HEADERS = {
    "hosp/patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "hosp/admissions": "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,"
    "admit_provider_id,admission_location,discharge_location,insurance,language,marital_status,"
    "race,edregtime,edouttime,hospital_expire_flag",
    "hosp/labevents": "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,"
    "charttime,storetime,value,valuenum,valueuom,ref_range_lower,ref_range_upper,flag,priority,"
    "comments",
    "icu/icustays": "subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los",
    "icu/chartevents": "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,"
    "valuenum,valueuom,warning",
    "icu/procedureevents": "subject_id,hadm_id,stay_id,caregiver_id,starttime,endtime,storetime,"
    "itemid,value,valueuom,location,locationcategory,orderid,linkorderid,ordercategoryname,"
    "ordercategorydescription,patientweight,isopenbag,continueinnextdept,statusdescription,"
    "originalamount,originalrate",
}


def options(out: Path, **changes: object) -> SimulateOptions:
    facts = {"out": out, "patients": 12, "seed": 5, "image_size": 64, "render": False} | changes
    return SimulateOptions(**facts)  # type: ignore[arg-type]


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 patients of the shipped seed, films planned but not drawn."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(options(folder, patients=60, seed=20))
    return folder


@pytest.fixture(scope="module")
def hospital(out: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The simulated files as tables of one connection; ``film`` has a parsed time."""
    with duckdb.connect() as connection:
        for path in sorted(out.glob("mimic-iv/*/*.csv.gz")):
            columns = TABLES[path.name.removesuffix(".csv.gz")].columns
            connection.read_csv(str(path), header=True, dtype=dict(columns)).create(
                path.name.removesuffix(".csv.gz")
            )
        metadata = out / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
        connection.read_csv(str(metadata), header=True, all_varchar=True).create("metadata")
        connection.execute(
            """CREATE TABLE film AS SELECT * EXCLUDE (subject_id), subject_id::BIGINT AS subject_id
            , strptime(StudyDate || ' ' || lpad(split_part(StudyTime, '.', 1), 6, '0')
            , '%Y%m%d %H%M%S') AS taken_at FROM metadata"""
        )
        yield connection


def count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return connection.execute(f"SELECT count(*) FROM {query}").fetchall()[0][0]


def test_every_table_of_the_release_is_there_and_not_empty(hospital):
    made = {row[0] for row in hospital.execute("SHOW TABLES").fetchall()} - {"metadata", "film"}
    assert made == {name for name, table in TABLES.items() if table.module != "cxr"}
    assert len(made) == 31
    assert [name for name in sorted(made) if count(hospital, name) == 0] == []


@pytest.mark.parametrize("name", HEADERS)
def test_headers_are_those_of_the_release(out, name):
    with gzip.open(out / "mimic-iv" / f"{name}.csv.gz", "rt") as file:
        assert file.readline() == HEADERS[name] + "\n"


def test_same_seed_same_bytes_in_groups_of_any_size(tmp_path):
    simulate(options(tmp_path / "one"))
    simulate(options(tmp_path / "two", patients_per_group=5))
    one = hashes(tmp_path / "one")
    assert len(one) > 40
    assert one == hashes(tmp_path / "two")
    simulate(options(tmp_path / "other", seed=6))
    other = hashes(tmp_path / "other")
    assert one["mimic-iv/icu/chartevents.csv.gz"] != other["mimic-iv/icu/chartevents.csv.gz"]
    assert one["truth/film.parquet"] != other["truth/film.parquet"]


def test_a_second_run_touches_nothing(tmp_path):
    simulate(options(tmp_path, patients=3))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    simulate(options(tmp_path, patients=3))
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_a_broken_run_leaves_no_table(tmp_path):
    def break_off() -> None:
        with open_tree(tmp_path, MIMIC_IV["3.1"]) as tree:
            tree.append("patients", pl.DataFrame({"subject_id": [10_000_001]}))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_with_other_data_is_refused(tmp_path):
    (tmp_path / "mimic-iv" / "hosp").mkdir(parents=True)
    with pytest.raises(ContractError, match="not simulated; choose another --out"):
        simulate(options(tmp_path))


QUIRKS = {
    "labs without an admission": "labevents WHERE hadm_id IS NULL",
    "labs without a storetime": "labevents WHERE storetime IS NULL",
    "hidden lab values": "labevents WHERE value = '___'",
    "a number whose text is hidden": "labevents WHERE value = '___' AND valuenum IS NOT NULL",
    "text results": "labevents WHERE value = 'NEG' AND valuenum IS NULL",
    "lab comments": "labevents WHERE comments IS NOT NULL",
    "charts without a storetime": "chartevents WHERE storetime IS NULL",
    "urine pH": "labevents WHERE itemid = 51491 AND valuenum IS NOT NULL",
    "urine glucose in words": "labevents WHERE itemid = 51478 AND valuenum IS NULL",
    "blood gases": "labevents WHERE itemid = 50821",
    "oxygen in percent": "chartevents WHERE itemid = 223835 AND valuenum > 20",
    "height in inches": "chartevents WHERE itemid = 226707 AND valuenum < 90",
    "no eye opening, spelt None": "chartevents WHERE itemid = 220739 AND value = 'None'",
    "tube, so no words": "chartevents WHERE itemid = 223900 AND value = 'No Response-ETT'",
    "Fahrenheit": "chartevents WHERE itemid = 223761 AND valuenum > 95",
    "Celsius": "chartevents WHERE itemid = 223762 AND valuenum < 43",
    "two breathing rates at once": "chartevents a JOIN chartevents b USING (stay_id, charttime) "
    "WHERE a.itemid = 220210 AND b.itemid = 224690",
    "two pressures at once": "chartevents a JOIN chartevents b USING (stay_id, charttime) "
    "WHERE a.itemid = 220052 AND b.itemid = 220181",
    "cultures with a date only": "microbiologyevents WHERE charttime IS NULL",
    "sputum": "microbiologyevents WHERE spec_type_desc = 'SPUTUM'",
    "ventilation": "procedureevents WHERE ordercategoryname = 'Ventilation'",
    "diuretics": "inputevents WHERE itemid = 221794",
    "drugs by name": "prescriptions WHERE drug = 'Piperacillin-Tazobactam'",
    "unit changed": "icustays WHERE first_careunit <> last_careunit",
    "short stays": "icustays WHERE los < 2",
    "long stays": "icustays WHERE los > 5",
    "two stays an admission": "(SELECT hadm_id FROM icustays GROUP BY 1 HAVING count(*) = 2)",
    "ends before it begins": "admissions WHERE dischtime < admittime",
    "ED only": "patients WHERE subject_id NOT IN (SELECT subject_id FROM admissions)",
    "ED visit without admission": "transfers WHERE eventtype = 'ED' AND hadm_id IS NULL",
    "ICD-9": "diagnoses_icd WHERE icd_version = 9",
    "ICD-10": "diagnoses_icd WHERE icd_version = 10",
    "no view": "film WHERE ViewPosition IS NULL",
    "two films a study": "(SELECT study_id FROM film GROUP BY 1 HAVING count(*) > 1)",
    "LL views": "film WHERE ViewPosition = 'LL'",
    "StudyTime without its zeros": "film WHERE length(split_part(StudyTime, '.', 1)) < 6",
    "films outside any admission": "film WHERE NOT EXISTS (FROM admissions WHERE subject_id "
    "= film.subject_id AND taken_at BETWEEN admittime AND dischtime)",
    "films in the ED before admission": "film JOIN admissions USING (subject_id) "
    "WHERE taken_at BETWEEN edregtime AND admittime",
}


@pytest.mark.parametrize("name", QUIRKS)
def test_a_quirk_of_the_release_is_there(hospital, name):
    assert count(hospital, QUIRKS[name]) > 0


IMPOSSIBLE = {
    "deathtime without the flag": "admissions WHERE (deathtime IS NULL) <> "
    "(hospital_expire_flag = 0)",
    "dod after death in hospital": "admissions JOIN patients USING (subject_id) "
    "WHERE deathtime IS NOT NULL AND dod IS DISTINCT FROM deathtime::DATE",
    "visits after death": "admissions a JOIN admissions b USING (subject_id) "
    "WHERE a.deathtime < b.admittime",
    "charts outside the stay": "chartevents JOIN icustays USING (stay_id) "
    "WHERE charttime NOT BETWEEN intime AND outtime + INTERVAL 1 HOUR",
    "stays outside the admission": "icustays JOIN admissions USING (hadm_id) "
    "WHERE intime < admittime OR outtime > dischtime",
    "unknown items": "chartevents WHERE itemid NOT IN (SELECT itemid FROM d_items)",
    "unknown labs": "labevents WHERE itemid NOT IN (SELECT itemid FROM d_labitems)",
    "unknown codes": "diagnoses_icd ANTI JOIN d_icd_diagnoses USING (icd_code, icd_version)",
    "saturation above 100": "chartevents WHERE itemid = 220277 AND valuenum > 100",
    "films after death": "film JOIN admissions USING (subject_id) WHERE taken_at > deathtime",
    "years beyond MIMIC's": "admissions WHERE year(admittime) NOT BETWEEN 2110 AND 2200",
    "children": "patients WHERE anchor_age < 18",
    "two admissions with one id": "(SELECT hadm_id FROM admissions GROUP BY 1 HAVING count(*) > 1)",
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_is_not(hospital, name):
    assert count(hospital, IMPOSSIBLE[name]) == 0


def test_whole_numbers_have_no_fraction(out):
    with gzip.open(out / "mimic-iv" / "icu" / "chartevents.csv.gz", "rt") as file:
        assert not any(".0," in line for line in file)


def test_rows_are_by_subject_and_labevent_id_counts_them(hospital):
    for table in ("chartevents", "labevents", "emar", "poe", "inputevents"):
        subjects = [
            row[0] for row in hospital.execute(f"SELECT subject_id FROM {table}").fetchall()
        ]
        assert subjects == sorted(subjects)
    ids = [row[0] for row in hospital.execute("SELECT labevent_id FROM labevents").fetchall()]
    assert ids == list(range(1, len(ids) + 1))


def test_the_recipes_find_enough(hospital):
    hospital.execute(
        """CREATE OR REPLACE TEMP TABLE near AS SELECT stay_id, taken_at FROM icustays
        JOIN film USING (subject_id) WHERE los > 2 AND ViewPosition = 'AP'
        AND first_careunit = last_careunit
        AND taken_at BETWEEN intime - INTERVAL 24 HOUR AND intime + INTERVAL 48 HOUR"""
    )
    assert count(hospital, "(SELECT DISTINCT stay_id FROM near)") >= 25
    pairs = "near a JOIN near b USING (stay_id) WHERE b.taken_at > a.taken_at + INTERVAL 12 HOUR"
    assert count(hospital, pairs) >= 40
    within = (
        "film.taken_at > admittime AND film.taken_at <= dischtime AND ViewPosition IN ('AP', 'PA')"
    )
    hospital.execute(
        f"""CREATE OR REPLACE TEMP TABLE inside AS SELECT hadm_id, taken_at
        FROM film JOIN admissions ON film.subject_id = admissions.subject_id AND {within}"""
    )
    pairs = "inside a JOIN inside b USING (hadm_id) WHERE b.taken_at > a.taken_at"
    assert count(hospital, f"{pairs} AND b.taken_at < a.taken_at + INTERVAL 48 HOUR") >= 60


def test_truth_lies_apart(out):
    assert [path.name for path in (out / "truth").iterdir()] == ["film.parquet"]
    truth = pl.read_parquet(out / "truth" / "film.parquet")
    severities = truth.select(pl.selectors.starts_with("severity_"))
    assert severities.width == 7
    assert severities.min_horizontal().min() >= 0
    assert severities.max_horizontal().max() <= 1
    for path in out.glob("mimic-*/**/*.csv.gz"):
        with gzip.open(path, "rt") as file:
            assert "severity_" not in file.readline()


def test_labels_follow_the_truth_and_no_finding_contradicts_none(out):
    labels = pl.read_csv(out / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-chexpert.csv.gz")
    truth = pl.read_parquet(out / "truth" / "film.parquet").unique("study_id")
    both = labels.join(truth, on="study_id").with_columns(
        wet=pl.col("severity_edema") > 0.5, positive=(pl.col("Edema") == 1).fill_null(False)
    )
    share = dict(both.group_by("wet").agg(pl.col("positive").mean()).iter_rows())
    assert share[True] > 0.7 > 0.25 > share[False]
    diseases = [name for name in FINDINGS if name not in ("No Finding", "Support Devices")]
    sick = both.filter(pl.any_horizontal(pl.col(diseases) != 0))
    assert sick["No Finding"].null_count() == sick.height
    assert set(both.select(FINDINGS).unpivot()["value"].unique()) == {1.0, 0.0, -1.0, None}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_treatments_act_on_what_they_treat(seed):
    """The same patients with the same luck, once treated and once not."""
    cases = build_hospital(0, 60, 60, Draw(seed), Ids(seed)).cases
    course = run_course(cases, Draw(seed), Given(may_die=False))
    inside = cases.inside

    def mean_without(treatment: str, finding: str) -> float:
        given = Given(withheld=frozenset({treatment}), may_die=False)
        return float(run_course(cases, Draw(seed), given)[finding][inside].mean())

    def mean(finding: str) -> float:
        return float(course[finding][inside].mean())

    assert mean_without("furosemide", "edema") > mean("edema") + 0.02
    assert mean_without("antibiotic", "consolidation") > mean("consolidation") + 0.02
    assert mean_without("antibiotic", "shunt") > mean("shunt")
    assert mean_without("antibiotic", "oxygen") > mean("oxygen")
    assert mean_without("fluid", "edema") < mean("edema")
    assert mean_without("ventilated", "devices") < mean("devices")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_edema_falls_after_furosemide_more_than_without(seed):
    course = build_hospital(0, 120, 120, Draw(seed), Ids(seed))
    edema, dose = course.course["edema"][:, :-6], course.course["furosemide"][:, :-6]
    change = course.course["edema"][:, 6:] - edema
    alike = course.alive[:, 6:] & course.cases.inside[:, :-6] & (edema > 0.4) & (edema < 0.7)
    assert change[alike & (dose > 0)].mean() < change[alike & (dose == 0)].mean() - 0.01


def test_saturation_is_lower_with_consolidation_at_the_same_oxygen():
    course = build_hospital(0, 120, 120, Draw(4), Ids(4)).course
    room_air = course["oxygen"] < 0.25
    clear, full = course["consolidation"] < 0.05, course["consolidation"] > 0.15
    assert (
        course["saturation"][room_air & full].mean() < course["saturation"][room_air & clear].mean()
    )


def test_ids_are_distinct_and_luck_has_its_moments():
    ids = Numbers(20_000_000, 7).take(200_000)
    assert len(np.unique(ids)) == 200_000
    assert ids.min() >= 20_000_000
    assert ids.max() < 30_000_000
    who = np.arange(100_000)
    uniform, normal = Draw(1).uniform("u", who), Draw(1).normal("n", who)
    assert abs(uniform.mean() - 0.5) < 0.005
    assert abs(normal.mean()) < 0.015
    assert abs(normal.std() - 1) < 0.01
    assert abs(np.corrcoef(uniform, Draw(1).uniform("u", who, 1))[0, 1]) < 0.015


def params_with(tmp_path: Path, mimic_iv: str, mimic_cxr_jpg: str) -> Params:
    params = read_params(ROOT / "params.yaml")
    paths = params.paths.model_copy(
        update={"mimic_iv": mimic_iv, "mimic_cxr_jpg": mimic_cxr_jpg, "build": tmp_path}
    )
    small = params.simulate.model_copy(update={"patients": 2, "image_size": 64})
    return params.model_copy(update={"paths": paths, "simulate": small})


def test_nothing_is_simulated_when_both_datasets_are_given(tmp_path):
    run(params_with(tmp_path, str(tmp_path), str(tmp_path)))
    assert [path.name for path in (tmp_path / "simulate").iterdir()] == [RECORD]


def test_only_tables_are_simulated_when_films_are_given(tmp_path):
    run(params_with(tmp_path, "simulate", str(tmp_path)))
    made = {path.name for path in (tmp_path / "simulate").iterdir()}
    assert made == {"mimic-iv", RECORD}
    record = json.loads((tmp_path / "simulate" / RECORD).read_text())
    assert record["rows"]["patients"] == 2


def test_a_killed_run_leaves_nothing_that_looks_finished(tmp_path):
    line = (
        "from pathlib import Path; from etl.simulate import SimulateOptions, simulate; "
        f"simulate(SimulateOptions(out=Path({str(tmp_path)!r}), patients=5000, seed=1, "
        "image_size=64, render=False))"
    )
    process = subprocess.Popen([sys.executable, "-c", line], cwd=ROOT, stderr=subprocess.DEVNULL)
    part = tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz.part"
    give_up = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < give_up:
        time.sleep(0.05)
    process.kill()
    process.wait()
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert "chartevents.csv.gz.part" in names
    assert {name for name in names if not name.endswith(".part")} == {"SIMULATED.json"}
    simulate(options(tmp_path, patients=2))
    assert [path for path in tmp_path.rglob("*.part")] == []
    assert (tmp_path / RECORD).exists()


def test_a_tree_without_stays_cannot_be_filmed(tmp_path):
    simulate(options(tmp_path / "made", patients=2, films=False))
    (tmp_path / "made" / "mimic-iv" / "icu" / "icustays.csv.gz").unlink()
    with pytest.raises(ContractError, match="no table icustays"):
        simulate(options(tmp_path / "filmed", mimic_iv_from=tmp_path / "made"))


def test_films_are_drawn_where_the_lists_say(tmp_path):
    simulate(options(tmp_path, patients=3, render=True))
    root = tmp_path / "mimic-cxr-jpg"
    films = pl.read_parquet(tmp_path / "truth" / "film.parquet")
    assert len(list(root.glob("files/p1*/p*/s*/*.jpg"))) == films.height > 0


@pytest.mark.demo
@pytest.mark.skipif(not DEMO.is_dir(), reason="no MIMIC-IV demo here (MIMIC_IV_DEMO_DIR)")
def test_the_demo_can_be_filmed(tmp_path, capsys):
    simulate(options(tmp_path, patients=20, mimic_iv_from=DEMO))
    assert "REAL tables" in capsys.readouterr().err
    assert not (tmp_path / "mimic-iv").exists()
    films = pl.read_parquet(tmp_path / "truth" / "film.parquet")
    admissions = pl.read_csv(DEMO / "hosp" / "admissions.csv.gz", try_parse_dates=True)
    assert films["subject_id"].n_unique() == 20
    inside = films.join(admissions, on="subject_id").filter(
        pl.col("taken_at").is_between("admittime", "dischtime")
    )
    assert inside.height > 100
    # Films of stays whose patients got furosemide show more edema than those of the others.
    given = pl.read_csv(DEMO / "icu" / "inputevents.csv.gz", infer_schema_length=None)
    wet = pl.Series(given.filter(pl.col("itemid") == 221794)["hadm_id"].unique())
    edema = inside.group_by(pl.col("hadm_id").is_in(wet.implode())).agg(
        pl.col("severity_edema").mean()
    )
    means = dict(edema.iter_rows())
    assert means[True] > means[False]

"""MEDS of a tiny hospital: each event, label and description where its rule puts it."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from meds.schema import (
    CodeMetadataSchema,
    DataSchema,
    DatasetMetadataSchema,
    LabelSchema,
    SubjectSplitSchema,
)
from tiny_mimic import demo_root, tiny_params, write_tree
from tiny_stages import SUBJECT, admission, at, chart, film, icu_stay, lab, patient

from cxrfuture_data.publish import file_sha256
from cxrfuture_data.schema import ContractError
from etl import export
from etl.meds_label import phenotype_folder
from etl.params import IngestParams
from etl.recipe import read_recipe
from etl.simulate import SimulateOptions, simulate

SECOND, THIRD = SUBJECT + 1, SUBJECT + 2  # one patient a split
STRANGER = SUBJECT + 9  # has no film, so no split
TABLES = {
    "patients": [patient(subject) for subject in (SUBJECT, SECOND, THIRD, STRANGER)],
    "admissions": [
        admission(
            race="WHITE",
            admission_type="URGENT",
            admission_location="CLINIC",
            discharge_location="HOME",
            edregtime=at(-27),
            edouttime=at(-24),
        ),
        admission(20000002, subject_id=SECOND, deathtime=at(100), dischtime=at(100)),
        admission(20000003, subject_id=THIRD),
        admission(20000009, subject_id=STRANGER),
    ],
    "icustays": [icu_stay()],
    "cxr_metadata": [
        film("a", 1, 51),
        film("b", 3, 51, viewposition="LATERAL"),
        film("c", 2, 52, subject_id=SECOND),
        film("d", 2, 53, subject_id=THIRD),
    ],
    "cxr_chexpert": [
        {"subject_id": SUBJECT, "study_id": 51, "Edema": 1.0, "Pneumonia": -1.0},
        {"subject_id": SUBJECT, "study_id": 59, "Edema": 0.0},  # a study without a film
    ],
    "d_labitems": [{"itemid": 50912, "label": "Creatinine", "fluid": "Blood", "category": "C"}],
    "d_items": [{"itemid": 220045, "label": "Heart Rate", "linksto": "chartevents"}],
}


def exported(root: Path, **tables) -> Path:
    params = write_tree(root, TABLES | tables)
    export.run(params, read_recipe("future"), "meds", root / "out")
    return root / "out"


def events(out: Path, family: str, subject: int = SUBJECT) -> list[tuple]:
    """(time, code, numeric_value, text_value) of the codes that begin so."""
    rows = pl.read_parquet(out / "data/*/*.parquet").filter(
        pl.col("subject_id") == subject, pl.col("code").str.starts_with(family)
    )
    return rows.select("time", "code", "numeric_value", "text_value").rows()


def when(hours: float) -> datetime:
    return datetime.fromisoformat(at(hours))


def removed(out: Path) -> dict[tuple[str, str], int]:
    drops = json.loads((out / "ledger.json").read_text())
    return {(drop["unit"], drop["reason"]): drop["removed"] for drop in drops}


def split_of(out: Path) -> dict[int, str]:
    return dict(pl.read_parquet(out / "metadata/subject_splits.parquet").iter_rows())


def test_the_record_of_a_patient_begins_with_what_has_no_time(tmp_path):
    out = exported(tmp_path)
    assert events(out, "")[:4] == [
        (None, "GENDER//F", None, None),
        (None, "RACE//WHITE", None, None),
        (datetime(2088, 1, 1), "MEDS_BIRTH", None, None),
        (when(-27), "ED_REGISTRATION", None, None),
    ]
    assert events(out, "HOSPITAL") == [
        (when(-24), "HOSPITAL_ADMISSION//URGENT//CLINIC", None, None),
        (when(240), "HOSPITAL_DISCHARGE//HOME", None, None),
    ]
    assert events(out, "ICU") == [
        (when(0), "ICU_ADMISSION//MICU", None, None),
        (when(96), "ICU_DISCHARGE//MICU", None, None),
    ]


def test_a_result_stands_when_the_chart_could_show_it(tmp_path):
    rows = [
        lab(50912, 4, 1.5, storetime=at(6), valueuom="mg/dL"),
        lab(50912, 5, 1.6, storetime=None),  # at discharge
        lab(50912, 6, 1.7, storetime=None, hadm_id=None),  # the admission holds its time
        lab(50912, 250, 1.8, storetime=None, hadm_id=None),  # none does: the next midnight
        lab(50912, 7, None, value="POSITIVE"),
        lab(50912, 8, 9.0, value=">9"),
        lab(50912, 9, None, value="___"),
    ]
    out = exported(tmp_path, labevents=rows)
    assert events(out, "LAB") == [
        (when(6), "LAB//RESULT//50912//mg/dL", 1.5, None),
        (when(7), "LAB//RESULT//50912//UNK", None, "POSITIVE"),
        (when(8), "LAB//RESULT//50912//UNK", 9.0, ">9"),
        (when(9), "LAB//RESULT//50912//UNK", None, None),
        (when(240), "LAB//RESULT//50912//UNK", pytest.approx(1.6), None),
        (when(240), "LAB//RESULT//50912//UNK", pytest.approx(1.7), None),
        (when(264), "LAB//RESULT//50912//UNK", pytest.approx(1.8), None),
    ]
    measured = pl.read_parquet(out / "data/*/*.parquet").filter(pl.col("code").str.contains("LAB"))
    assert measured["event_at"][0] == when(4)
    assert measured["hadm_id"].to_list().count(None) == 2


def test_without_as_of_times_a_result_stands_when_it_was_drawn(tmp_path):
    params = write_tree(tmp_path, TABLES | {"labevents": [lab(50912, 4, 1.5, storetime=at(6))]})
    recipe = read_recipe("future", availability="event")
    export.run(params, recipe, "meds", tmp_path / "out")
    assert [time for time, *_ in events(tmp_path / "out", "LAB")] == [when(4)]
    assert [time for time, *_ in events(tmp_path / "out", "CXR//FINDING")] == [when(3), when(3)]


def test_what_runs_has_a_start_and_an_end_that_says_how_much(tmp_path):
    run = {"subject_id": SUBJECT, "hadm_id": 20000001, "itemid": 220045, "starttime": at(1)}
    out = exported(
        tmp_path,
        inputevents=[
            run
            | {"endtime": at(5), "storetime": at(2), "rate": 2.5, "rateuom": "mL/hour"}
            | {"amount": 10.0, "amountuom": "mL"},
            run | {"endtime": at(0)},
        ],
        procedureevents=[run | {"endtime": at(3), "value": 120.0, "valueuom": "min"}],
    )
    assert events(out, "INFUSION") == [
        (when(1), "INFUSION//START//220045//UNK", None, None),
        (when(2), "INFUSION//START//220045//mL/hour", 2.5, None),
        (when(5), "INFUSION//END//220045//mL", 10.0, None),
    ]
    assert events(out, "PROCEDURE") == [
        (when(1), "PROCEDURE//START//220045", None, None),
        (when(3), "PROCEDURE//END//220045//min", 120.0, None),
    ]
    assert removed(out)["infusion event", "ends before it starts"] == 1


def test_a_film_says_where_it_lies_and_its_findings_wait_for_the_report(tmp_path):
    out = exported(tmp_path)
    path = f"files/p10/p{SUBJECT}/s51"
    assert events(out, "CXR") == [
        (when(1), "CXR//STUDY//AP", None, f"{path}/a.jpg"),
        (when(3), "CXR//STUDY//LATERAL", None, f"{path}/b.jpg"),
        (when(27), "CXR//FINDING//Edema", 1.0, None),
        (when(27), "CXR//FINDING//Pneumonia", -1.0, None),
    ]
    assert removed(out)["finding event", "of a study without a film that has a time"] == 1


def test_orders_cultures_and_codes(tmp_path):
    out = exported(
        tmp_path,
        prescriptions=[
            {
                "subject_id": SUBJECT,
                "starttime": at(1),
                "stoptime": at(9),
                "drug": "Heparin",
                "dose_val_rx": "1-2",
                "dose_unit_rx": "mL",
            }
        ],
        microbiologyevents=[
            {
                "subject_id": SUBJECT,
                "chartdate": "2150-01-02",
                "spec_type_desc": "URINE",
                "test_name": "CULTURE",
                "org_name": "YEAST",
            }
        ],
        omr=[
            {
                "subject_id": SUBJECT,
                "chartdate": "2150-01-02",
                "result_name": "Blood Pressure",
                "result_value": "120/80",
            }
        ],
        diagnoses_icd=[
            {
                "subject_id": SUBJECT,
                "hadm_id": 20000001,
                "seq_num": 1,
                "icd_code": "I501",
                "icd_version": 10,
            }
        ],
        chartevents=[chart(220045, 1, None, value="text", storetime=at(2)), chart(220045, 3, 80.0)],
    )
    assert events(out, "MEDICATION") == [
        (when(1), "MEDICATION//START//Heparin//mL", None, "1-2"),
        (when(9), "MEDICATION//STOP//Heparin", None, None),
    ]
    assert events(out, "MICRO") == [(when(24), "MICROBIOLOGY//URINE//CULTURE//YEAST", None, None)]
    assert events(out, "OMR") == [(when(24), "OMR//Blood Pressure", None, "120/80")]
    assert events(out, "DIAGNOSIS") == [(when(240), "DIAGNOSIS//ICD//10//I501", None, None)]
    assert events(out, "CHART") == [
        (when(2), "CHART//220045//UNK", None, "text"),
        (when(3), "CHART//220045//UNK", 80.0, None),
    ]


def test_tables_that_few_have_are_read_where_they_are(tmp_path):
    of = {"subject_id": SUBJECT, "hadm_id": 20000001}
    more = {
        "procedures_icd": [
            of | {"seq_num": 1, "chartdate": "2150-01-02", "icd_code": "0BH", "icd_version": 10}
        ],
        "transfers": [
            of | {"eventtype": "transfer", "careunit": "Med", "intime": at(5)},
            of | {"eventtype": "discharge", "intime": at(240)},
        ],
        "services": [of | {"transfertime": at(4), "curr_service": "CMED"}],
        "emar": [
            of
            | {
                "charttime": at(6),
                "storetime": at(7),
                "medication": "Heparin",
                "event_txt": "Given",
            }
        ],
        "d_icd_procedures": [{"icd_code": "0BH", "icd_version": 10, "long_title": "Tube"}],
    }
    params = write_tree(tmp_path, TABLES | more)
    ingest = IngestParams(**params.ingest.model_dump() | {"tables": "all"})
    params = params.model_copy(update={"ingest": ingest})
    export.run(params, read_recipe("future"), "meds", tmp_path / "out")
    out = tmp_path / "out"
    assert events(out, "PROCEDURE") == [(when(240), "PROCEDURE//ICD//10//0BH", None, None)]
    assert events(out, "TRANSFER") == [(when(5), "TRANSFER//transfer//Med", None, None)]
    assert events(out, "SERVICE") == [(when(4), "SERVICE//CMED", None, None)]
    assert events(out, "EMAR") == [(when(7), "EMAR//Heparin//Given", None, None)]
    codes = dict(pl.read_parquet(out / "metadata/codes.parquet")["code", "description"].iter_rows())
    assert codes["PROCEDURE//ICD//10//0BH"] == "Tube"


@pytest.mark.parametrize(
    ("changes", "dod", "died_at"),
    [({"deathtime": at(100)}, "2150-01-06", when(100)), ({}, "2150-06-01", datetime(2150, 6, 2))],
)
def test_death_is_the_hospitals_time_else_the_end_of_its_day(tmp_path, changes, dod, died_at):
    out = exported(
        tmp_path,
        patients=[patient(dod=dod), patient(SECOND), patient(THIRD)],
        admissions=[admission(**changes), *TABLES["admissions"][1:]],
    )
    assert events(out, "MEDS_DEATH") == [(died_at, "MEDS_DEATH", None, None)]


def test_patients_of_the_cohort_alone_each_in_its_split(tmp_path):
    out = exported(tmp_path)
    splits = split_of(out)
    assert splits.keys() == {SUBJECT, SECOND, THIRD}
    assert set(splits.values()) == {"train", "tuning", "held_out"}
    for subject, split in splits.items():
        rows = pl.read_parquet(out / "data" / split / "0.parquet")
        assert rows["subject_id"].unique().to_list() == [subject]


def label(out: Path, outcome: str, column: str) -> list[tuple]:
    rows = pl.read_parquet(out / "labels" / outcome / "*" / "0.parquet")
    assert rows.columns == ["subject_id", "prediction_time", column]
    return rows.sort("subject_id").rows()


def test_labels_are_those_of_the_stays_and_no_row_where_censored(tmp_path):
    out = exported(tmp_path)
    # Hours count from ICU admission, a day after admission to the hospital.
    assert label(out, "in_hospital_death", "boolean_value") == [
        (SUBJECT, when(24), False),
        (SECOND, when(24), True),
        (THIRD, when(24), False),
    ]
    assert label(out, "remaining_stay", "float_value") == [
        (SUBJECT, when(0), 240.0),
        (THIRD, when(0), 240.0),
    ]
    assert label(out, "readmission", "boolean_value") == [
        (SUBJECT, when(240), False),
        (THIRD, when(240), False),
    ]
    # In the ICU from hour 0, so not at risk of a transfer to it.
    assert label(out, "icu_transfer", "boolean_value") == [
        (SECOND, when(0), False),
        (THIRD, when(0), False),
    ]
    stays = pl.read_parquet(tmp_path / "build/future/cohort/stay.parquet").height
    assert removed(out)["label of remaining_stay", "not asked then, or censored"] == stays - 2


def test_phenotypes_are_labels_of_coded_admissions(tmp_path):
    code = {"subject_id": SUBJECT, "hadm_id": 20000001, "seq_num": 1, "icd_version": 10}
    out = exported(tmp_path, diagnoses_icd=[code | {"icd_code": "R6521"}])
    assert label(out, "phenotype/shock", "boolean_value") == [(SUBJECT, when(24), True)]
    assert phenotype_folder("Fluid; and (salt)") == "phenotype/fluid_and_salt"


def test_every_code_is_described_where_a_dictionary_has_it(tmp_path):
    out = exported(tmp_path, labevents=[lab(50912, 4, 1.5)], chartevents=[chart(220045, 1, 80.0)])
    codes = pl.read_parquet(out / "metadata/codes.parquet")
    data = pl.read_parquet(out / "data/*/*.parquet")
    assert codes["code"].to_list() == sorted(set(data["code"]))
    texts = dict(codes["code", "description"].iter_rows())
    assert texts["LAB//RESULT//50912//UNK"] == "Creatinine, Blood, C"
    assert texts["CHART//220045//UNK"] == "Heart Rate"
    assert texts["MEDS_BIRTH"] is None


def assert_meds(out: Path) -> None:
    """What MEDS asks of a folder, by its own package and by its words."""
    for path in out.glob("data/*/*.parquet"):
        DataSchema.validate(pq.read_table(path))
        rows = pl.read_parquet(path)
        assert rows["subject_id"].is_sorted()
        for part in rows.partition_by("subject_id"):
            assert part["time"].is_sorted(nulls_last=False)
    for path in out.glob("labels/**/*.parquet"):
        LabelSchema.validate(pq.read_table(path))
    CodeMetadataSchema.validate(pq.read_table(out / "metadata/codes.parquet"))
    SubjectSplitSchema.validate(pq.read_table(out / "metadata/subject_splits.parquet"))
    facts = json.loads((out / "metadata/dataset.json").read_text())
    DatasetMetadataSchema.validate(facts)
    assert facts["etl_name"] == "cxrfuture"


def digests(out: Path) -> dict[str, str]:
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): file_sha256(path) for path in files}


def test_the_same_bytes_every_time_and_as_meds_asks(tmp_path):
    rows = [lab(50912, hour % 3, float(hour)) for hour in range(50)]  # many of one time
    first = exported(tmp_path / "one", labevents=rows)
    second = exported(tmp_path / "two", labevents=rows)
    assert_meds(first)
    assert digests(first) == digests(second)


def test_shards_of_other_patients_hold_the_same_events(tmp_path, monkeypatch):
    whole = exported(tmp_path / "one")
    monkeypatch.setattr("etl.export_meds.SUBJECTS_PER_SHARD", 1)
    parted = exported(tmp_path / "two")
    assert len(list(parted.glob("data/*/*.parquet"))) == 3
    everything = [
        pl.read_parquet(out / "data/*/*.parquet").sort("subject_id", maintain_order=True)
        for out in (whole, parted)
    ]
    assert everything[0].equals(everything[1])
    assert (whole / "ledger.json").read_text() == (parted / "ledger.json").read_text()


def test_a_shard_of_another_export_is_refused(tmp_path):
    stale = tmp_path / "out" / "data" / "train" / "7.parquet"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"")
    with pytest.raises(ContractError, match=r"7\.parquet is of another export; remove"):
        exported(tmp_path)


def test_other_recipes_and_recipes_without_stays_are_refused(tmp_path):
    params = write_tree(tmp_path, TABLES)
    with pytest.raises(ContractError, match="holds recipes by the rules of future"):
        export.run(params, read_recipe("ddl_cxr"), "meds", tmp_path / "out")
    pairs = read_recipe("future").model_copy(update={"kinds": ["pair"]})
    with pytest.raises(ContractError, match="no stays to label; add stay to its kinds"):
        export.run(params, pairs, "meds", tmp_path / "out")


@pytest.mark.demo
def test_the_demo_as_meds_has_nothing_before_it_was_known(tmp_path):
    options = SimulateOptions(
        out=tmp_path, patients=20, seed=1, image_size=64, render=False, mimic_iv_from=demo_root()
    )
    simulate(options)
    paths = {"mimic_iv": str(demo_root()), "mimic_cxr_jpg": str(tmp_path / "mimic-cxr-jpg")}
    params = tiny_params(tmp_path)
    params = params.model_copy(update={"paths": params.paths.model_copy(update=paths)})
    export.run(params, read_recipe("future"), "meds", tmp_path / "out")
    assert_meds(tmp_path / "out")
    rows = pl.read_parquet(tmp_path / "out/data/*/*.parquet")
    assert rows.filter(pl.col("time") < pl.col("event_at")).height == 0
    assert rows["time"].null_count() == 2 * rows["subject_id"].n_unique()  # gender and race
    texts = dict(
        pl.read_parquet(tmp_path / "out/metadata/codes.parquet")["code", "description"].iter_rows()
    )
    measured = [code for code in texts if code.startswith(("LAB", "CHART", "INFUSION", "OUTPUT"))]
    assert len(measured) > 500
    assert all(texts[code] for code in measured)

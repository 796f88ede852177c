"""Simulated metadata of any size: the small tables of MIMIC-IV 3.1 and MIMIC-CXR-JPG 2.1.0 as
random rows, event tables as headers alone, SHA256SUMS.txt, no film. No medicine is in them.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from cxrfuture_data.schema import FINDINGS
from etl.mimic_schema import RECIPE_TABLES, TABLES
from etl.recipe import read_recipe, shipped_recipes
from etl.sources import CHECKSUMS

Numbers = NDArray[Any]

DAY = 86_400


@dataclass(frozen=True)
class Size:
    """Rows of each table; by default those of the full size (specs peers 4, 5.1)."""

    patients: int = 364_627
    admitted: int = 223_452
    admissions: int = 546_028
    icustays: int = 94_458
    transfers: int = 2_413_581
    diagnoses: int = 6_364_488
    omr: int = 7_753_027
    filmed: int = 65_379
    studies: int = 227_835
    labelled: int = 227_827
    films: int = 377_110


def write_metadata(folder: Path, size: Size, seed: int) -> None:
    """Write mimic-iv/ and mimic-cxr-jpg/ below the folder."""
    rng = np.random.default_rng(seed)
    subjects = 10_000_000 + rng.permutation(9_999_999)[: size.patients]
    admissions = _admissions(rng, size, subjects)
    stays = _icustays(rng, size, admissions)
    tables = {
        "patients": _patients(rng, subjects),
        "admissions": admissions,
        "icustays": stays,
        "transfers": _transfers(rng, size, admissions),
        "diagnoses_icd": _diagnoses(rng, size, admissions),
        "omr": _omr(rng, size, subjects),
        **_films(rng, size, subjects, admissions, stays),
    }
    needed = {table for name in shipped_recipes() for table in read_recipe(name).needed_tables}
    for name in dict.fromkeys((*RECIPE_TABLES, *sorted(needed), *tables)):
        _write_table(folder, name, tables.get(name, pl.DataFrame()))
    films = tables["cxr_metadata"].select("subject_id", "study_id", "dicom_id").iter_rows()
    with (folder / "mimic-cxr-jpg" / CHECKSUMS).open("w") as sums:
        for subject, study, dicom in films:
            path = f"files/p{str(subject)[:2]}/p{subject}/s{study}/{dicom}.jpg"
            sums.write(f"{'0' * 64} {path}\n")


def _write_table(folder: Path, name: str, frame: pl.DataFrame) -> None:
    """A release file; columns that the frame lacks are empty."""
    table = TABLES[name]
    is_cxr = table.module == "cxr"
    root = folder / ("mimic-cxr-jpg" if is_cxr else f"mimic-iv/{table.module}")
    root.mkdir(parents=True, exist_ok=True)
    missing = (
        pl.Series(column, [None] * len(frame), dtype=pl.String)
        for column in table.columns
        if column not in frame.columns
    )
    text = frame.with_columns(missing).select(list(table.columns))
    with gzip.open(root / f"{table.stem}.csv.gz", "wb", compresslevel=1) as handle:
        text.write_csv(handle, datetime_format="%Y-%m-%d %H:%M:%S")


def _times(seconds: Numbers) -> pl.Series:
    """Seconds since 2150 as times."""
    start = np.datetime64("2150-01-01", "s")
    return pl.Series((start + seconds.astype("timedelta64[s]")).astype("datetime64[us]"))


def _patients(rng: Generator, subjects: Numbers) -> pl.DataFrame:
    count = len(subjects)
    return pl.DataFrame(
        {
            "subject_id": np.sort(subjects),
            "gender": rng.choice(["F", "M"], count),
            "anchor_age": rng.integers(18, 92, count),
            "anchor_year": np.full(count, 2152),
        }
    )


def _admissions(rng: Generator, size: Size, subjects: Numbers) -> pl.DataFrame:
    """Every admitted patient has one; the rest fall on them at random."""
    admitted = subjects[: size.admitted]
    others = rng.choice(admitted, size.admissions - size.admitted)
    admitted_at = rng.integers(0, 3650 * DAY, size.admissions)
    days = rng.lognormal(1.1, 0.9, size.admissions)
    return pl.DataFrame(
        {
            "subject_id": np.concatenate([admitted, others]),
            "hadm_id": 20_000_000 + np.arange(size.admissions),
            "admittime": _times(admitted_at),
            "dischtime": _times(admitted_at + (days * DAY).astype(np.int64)),
            "admission_type": "EW EMER.",
            "race": "OTHER",
            "hospital_expire_flag": 0,
        }
    ).sort("subject_id", "admittime")


def _icustays(rng: Generator, size: Size, admissions: pl.DataFrame) -> pl.DataFrame:
    rows = np.sort(rng.choice(len(admissions), size.icustays, replace=False))
    of = admissions[rows]
    days = (of["dischtime"] - of["admittime"]).dt.total_seconds().to_numpy() / DAY
    los = days * rng.uniform(0.2, 1.0, len(of))
    unit = rng.choice(["MICU", "SICU", "CVICU"], len(of))
    return of.select("subject_id", "hadm_id").with_columns(
        pl.Series("stay_id", 30_000_000 + np.arange(len(of))),
        pl.Series("first_careunit", unit),
        pl.Series("last_careunit", unit),
        of["admittime"].alias("intime"),
        of["admittime"].alias("outtime") + pl.Series((los * DAY * 1e6).astype("timedelta64[us]")),
        pl.Series("los", los.round(4)),
    )


def _transfers(rng: Generator, size: Size, admissions: pl.DataFrame) -> pl.DataFrame:
    of = admissions[np.sort(rng.integers(0, len(admissions), size.transfers))]
    return of.select(
        "subject_id",
        "hadm_id",
        pl.Series("transfer_id", 40_000_000 + np.arange(len(of))),
        pl.lit("transfer").alias("eventtype"),
        pl.lit("Medicine").alias("careunit"),
        pl.col("admittime").alias("intime"),
        pl.col("dischtime").alias("outtime"),
    )


def _diagnoses(rng: Generator, size: Size, admissions: pl.DataFrame) -> pl.DataFrame:
    of = admissions[np.sort(rng.integers(0, len(admissions), size.diagnoses))]
    codes = pl.Series(["I5033", "J9601", "N179", "E119", "A419", "J189"])
    return of.select(
        "subject_id",
        "hadm_id",
        pl.int_range(pl.len()).over("hadm_id").alias("seq_num"),
        codes[rng.integers(0, len(codes), len(of))].alias("icd_code"),
        pl.lit(10).alias("icd_version"),
    )


def _omr(rng: Generator, size: Size, subjects: Numbers) -> pl.DataFrame:
    names = pl.Series(["BMI (kg/m2)", "Blood Pressure", "Height (Inches)", "Weight (Lbs)"])
    values = pl.Series(["25.1", "120/70", "66", "160"])
    which = rng.integers(0, 4, size.omr)
    day = _times(rng.integers(0, 3650, size.omr) * DAY).cast(pl.Date)
    return pl.DataFrame(
        {
            "subject_id": np.sort(rng.choice(subjects[: size.filmed * 3], size.omr)),
            "chartdate": day,
            "seq_num": np.ones(size.omr, np.int64),
            "result_name": names[which],
            "result_value": values[which],
        }
    )


def _taken(rng: Generator, spans: pl.DataFrame, count: int) -> pl.DataFrame:
    """So many studies at random times of random spans (subject_id, start, end)."""
    of = spans[np.sort(rng.integers(0, len(spans), count))]
    seconds = (of["end"] - of["start"]).dt.total_seconds().to_numpy() * rng.random(count)
    taken = of["start"].to_numpy().astype("datetime64[s]") + seconds.astype("timedelta64[s]")
    return of.select("subject_id", pl.Series("taken", taken.astype("datetime64[us]")))


def _films(
    rng: Generator, size: Size, subjects: Numbers, admissions: pl.DataFrame, stays: pl.DataFrame
) -> Mapping[str, pl.DataFrame]:
    """A fifth of the studies are taken in ICU stays, two in five in other admissions, the others
    at any time."""
    filmed = subjects[: size.filmed]
    is_filmed = pl.col("subject_id").is_in(filmed.tolist())
    start, end = pl.col("intime").alias("start"), pl.col("outtime").alias("end")
    in_stays = _taken(
        rng, stays.filter(is_filmed).select("subject_id", start, end), size.studies // 5
    )
    start, end = pl.col("admittime").alias("start"), pl.col("dischtime").alias("end")
    others = admissions.filter(is_filmed).select("subject_id", start, end)
    inside = pl.concat([in_stays, _taken(rng, others, size.studies * 2 // 5)])
    rest = size.studies - len(inside)
    anywhere = np.datetime64("2150-01-01", "s") + rng.integers(0, 3650 * DAY, rest)
    studies = pl.DataFrame(
        {
            "subject_id": np.concatenate([inside["subject_id"], rng.choice(filmed, rest)]),
            "study_id": 50_000_000 + rng.permutation(size.studies),
            "taken": np.concatenate([inside["taken"], anywhere.astype("datetime64[us]")]),
        }
    )
    again = rng.integers(0, size.studies, size.films - size.studies)
    films = studies[np.concatenate([np.arange(size.studies), again])].with_columns(
        pl.Series("dicom_id", [f"{n:040x}" for n in rng.integers(1, 1 << 62, size.films)]),
        pl.Series("ViewPosition", rng.choice(["AP", "PA", "LATERAL", "LL"], size.films)),
        pl.col("taken").dt.strftime("%Y%m%d").alias("StudyDate"),
        pl.col("taken").dt.strftime("%H%M%S").cast(pl.Int64).cast(pl.Float64).alias("StudyTime"),
    )
    films = films.sort("subject_id", "study_id", "dicom_id")
    values = pl.Series([1.0, 0.0, -1.0, None])
    labels = studies.select("subject_id", "study_id").sort("subject_id", "study_id")
    labels = labels.head(size.labelled).with_columns(
        values[rng.integers(0, len(values), size.labelled)].alias(name) for name in FINDINGS
    )
    split = films.select("dicom_id", "study_id", "subject_id", pl.lit("train").alias("split"))
    return {
        "cxr_metadata": films,
        "cxr_chexpert": labels,
        "cxr_negbio": labels,
        "cxr_split": split,
    }

"""Diff3M's cohort as the tables that the authors' loader reads (specs diff3m 7.4 and 8).

It reads two files: train (of which it keeps the films without a finding) and test. There is no
validation set in it; the films of that split go to a third file that it leaves alone.
"""

from pathlib import Path

import polars as pl

from cxrfuture_data.console import say
from cxrfuture_data.publish import publish
from cxrfuture_data.schema import FINDINGS
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_rows import read_table

FILES = {split: f"mimic_{split}_version_one_five.csv" for split in ("train", "valid", "test")}
IMAGE_FILE = "image.csv"

# Their loader takes the fourth and the sixth part of a path for the patient and the film.
RELEASE_FOLDER = "2.0.0"
# It stops at an age of 100; MIMIC gives every patient above 89 the age of 91.
OLDEST = 99.0
# Their table has the labels in this order, but one: they drop it.
LABELS = tuple(finding for finding in FINDINGS if finding != "Support Devices")
VALUES = {
    "bmi": "BMI (kg/m2)",
    "systolic": "Blood Pressure Max",
    "diastolic": "Blood Pressure Min",
    "height": "Height (Inches)",
    "weight": "Weight (Lbs)",
}


def export(params: Params, recipe: Recipe, out: Path) -> list[Path]:
    """Write one table a split, and image.csv: one row a film, with the label of their test set
    (0: No Finding is 1; 1: anything else). Returns the files."""
    rows = _read(params.build(recipe.name))
    out.mkdir(parents=True, exist_ok=True)
    oldest = rows.filter(pl.col("age") > OLDEST).height
    table = rows.with_columns(pl.col("age").clip(upper_bound=OLDEST)).sort("Path")
    columns = ["Path", *LABELS, "ViewPosition", "sex", "age", *VALUES.values()]
    for split, name in FILES.items():
        _write(table.filter(pl.col("split") == split).select(columns), out / name)
    _write(_images(rows), out / IMAGE_FILE)
    say(f"export: {recipe.name}: {rows.height:,} films; {oldest:,} above {OLDEST:g} years as that")
    return [out / name for name in (*FILES.values(), IMAGE_FILE)]


def _read(build: Path) -> pl.DataFrame:
    """The cohort's films with their labels, in their words."""
    cohort = build / "cohort"
    images = read_table(cohort / "image.parquet").drop("sex")
    labels = read_table(cohort / "label.parquet")
    films = read_table(cohort / "film.parquet").select("dicom_id", "path")
    return (
        images.join(labels, on="study_id", how="left")
        .join(films, on="dicom_id", how="left")
        .with_columns(
            pl.format("{}/{}", pl.lit(RELEASE_FOLDER), "path").alias("Path"),
            pl.col("age").cast(pl.Float64),
            *[pl.col(finding).cast(pl.Float64) for finding in FINDINGS],
        )
        .rename({"view": "ViewPosition", "is_male": "sex", **VALUES})
    )


def _images(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        "dicom_id",
        "subject_id",
        "study_id",
        "split",
        "sex",
        "age",
        pl.col("ViewPosition").alias("view"),
        *VALUES.values(),
        pl.col("No Finding").alias("no_finding"),
        pl.col("No Finding").ne_missing(1.0).cast(pl.Int8).alias("label"),
    ).sort("dicom_id")


def _write(table: pl.DataFrame, path: Path) -> None:
    with publish(path) as part:
        table.write_csv(part)

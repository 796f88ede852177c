"""A cohort as the files that DDL-CXR's own code reads (specs ddl-cxr 2.1, 4, 5).

Its `pickle_ehr.py` makes the arrays from the episodes; mind that its windows of pairs lose values
(specs 12.2, B1): `cxrfuture export --format npz` writes the arrays as the paper means them.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from cxrfuture_data.console import progress
from cxrfuture_data.publish import publish
from cxrfuture_data.schema import FINDINGS, PHENOTYPES, VARIABLES
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_rows import read_table
from etl.sqlfile import bind_tables, create_table, open_sql, read_sql

PARTS = {"train": "train", "validate": "valid", "test": "test"}
LABELS = (*(finding for finding in FINDINGS if finding != "No Finding"), "No Finding")
CODES = {-1: 0.0, 0: 1.0, 1: 2.0}  # uncertain, negative, positive; not mentioned is 3
NOT_MENTIONED = 3.0
SUBJECT_TABLES = ("all_stays", "phenotype_labels")
# Columns of an episode are spelled as the authors' item map spells the variables.
EPISODE_COLUMNS = {v.name: v.name.replace("GCS", "Glascow coma scale") for v in VARIABLES}


def export(params: Params, recipe: Recipe, out: Path) -> list[Path]:
    """Write the files below ``out``; returns them.

    ``all_stays.csv, phenotype_labels.csv, <subject_id>/episode<stay_id>_timeseries.csv`` are what
    the authors call the subjects directory; ``<part>_pred.csv, <part>_dm_labels.csv`` and
    ``<part>_autoencoder_augmented_label.csv`` of train, validate and test the metadata path.
    """
    cohort = {
        name: read_table(params.build(recipe.name, "cohort", f"{name}.parquet"))
        for name in ("pair", "stay", "image", "film", "label", "split", "all_stay", "phenotype")
    }
    labels = _coded(cohort["label"])
    tables = {"all_stays": _all_stays(cohort["all_stay"])}
    phenotypes = cohort["phenotype"].select("stay_id", pl.col(*PHENOTYPES).cast(pl.Int8))
    tables["phenotype_labels"] = phenotypes.sort("stay_id")
    for part, split in PARTS.items():
        chosen = {
            kind: cohort[kind]
            .filter(pl.col("split") == split)
            .join(cohort["split"].select("subject_id", "position"), on="subject_id")
            for kind in ("pair", "stay", "image")
        }
        tables[f"{part}_pred"] = _predictions(chosen["stay"], phenotypes)
        tables[f"{part}_dm_labels"] = _pairs(chosen["pair"], cohort["all_stay"], labels)
        tables[f"{part}_autoencoder_augmented_label"] = _images(
            chosen["image"], cohort["film"], labels
        )
    paths = [
        _write(out / f"{name}.csv", table, is_numbered=name not in SUBJECT_TABLES)
        for name, table in tables.items()
    ]
    return paths + _write_episodes(params, recipe, out)


def _coded(label: pl.DataFrame) -> pl.DataFrame:
    """One row per study: 0 uncertain, 1 negative, 2 positive, 3 not mentioned (specs 4.1)."""
    return label.select(
        "study_id",
        pl.col(*LABELS).replace_strict(CODES, default=NOT_MENTIONED, return_dtype=pl.Float64),
    )


def _all_stays(stays: pl.DataFrame) -> pl.DataFrame:
    died_in_unit = pl.any_horizontal(
        pl.col(name).cast(pl.Datetime("us")).is_between("intime", "outtime")
        for name in ("dod", "deathtime")
    ).fill_null(value=False)
    died = pl.col("died_in_hospital").cast(pl.Int8)
    return stays.sort("subject_id", "intime").select(
        *("subject_id", "hadm_id", "stay_id", "last_careunit", "intime", "outtime", "los"),
        *("admittime", "dischtime", "deathtime"),
        pl.col("sex").alias("gender"),
        *("anchor_age", "dod", "age"),
        died_in_unit.cast(pl.Int8).alias("mortality_inunit"),
        died.alias("mortality"),
        died.alias("mortality_inhospital"),
    )


def _predictions(stays: pl.DataFrame, phenotypes: pl.DataFrame) -> pl.DataFrame:
    """The rows of a part in the order of its dealt patients."""
    rows = stays.join(phenotypes, on="stay_id", how="left").sort("position", "stay_id")
    return _numbered(
        rows.select(
            *("subject_id", "stay_id"),
            pl.col("previous_study_id").alias("study_id"),
            pl.col("previous_dicom_id").alias("dicom_id"),
            *_patient(),
            pl.col("hours_since_previous").alias("cha"),
            pl.col("stay_id").alias("stay_id.1"),
            *PHENOTYPES,
        )
    )


def _pairs(pairs: pl.DataFrame, stays: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    rows = pairs.join(stays.select("stay_id", "intime"), on="stay_id").sort(
        *("position", "stay_id", "previous_at", "previous_study_id", "target_at"),
        "target_study_id",
    )
    rows = rows.select(
        "subject_id",
        pl.col("previous_study_id").alias("x0_study_id"),
        pl.col("target_study_id").alias("x1_study_id"),
        pl.col("previous_dicom_id").alias("x0_dicom_id"),
        pl.col("target_dicom_id").alias("x1_dicom_id"),
        "stay_id",
        pl.col("event_hours").cast(pl.Float64).alias("ehr_len"),
        _hours(pl.col("previous_at") - pl.col("intime")).alias("left_time"),
        _hours(pl.col("target_at") - pl.col("intime")).alias("right_time"),
        *_patient(),
    )
    for film in (0, 1):
        of_film = labels.rename({name: f"{name}_l{film}" for name in labels.columns})
        rows = rows.with_columns(pl.col(f"x{film}_study_id").alias(f"study_id_l{film}")).join(
            of_film, on=f"study_id_l{film}", how="left", maintain_order="left"
        )
    return _numbered(rows)


def _images(images: pl.DataFrame, films: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """In the order of the film list."""
    rows = images.join(films.select("dicom_id", "source_row"), on="dicom_id").sort("source_row")
    return rows.select("subject_id", "study_id", "dicom_id").join(
        labels, on="study_id", how="left", maintain_order="left"
    )


def _patient() -> list[pl.Expr]:
    return [
        pl.col("died_in_hospital").cast(pl.Int8).alias("mortality_inhospital"),
        (pl.col("sex") == "M").cast(pl.Int8).alias("Gender"),
        pl.col("age").alias("Age"),
    ]


def _hours(difference: pl.Expr) -> pl.Expr:
    return difference.dt.total_microseconds() / 86_400_000_000 * 24


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """``index`` names a sample in the authors' arrays."""
    return rows.with_row_index("index")


def _write_episodes(params: Params, recipe: Recipe, out: Path) -> list[Path]:
    """One file a stay: Hours since ICU admission and the 17 variables, categories as texts."""
    tables = {name: params.build(recipe.name, "cohort", f"{name}.parquet") for name in _STAYS}
    tables["measurement"] = params.build(recipe.name, "event", "measurement.parquet")
    with open_sql(params.sql, out / ".spill") as connection:
        bind_tables(connection, tables)
        create_table(connection, "sample_window", "export/episode_window")
        create_table(
            connection, "windowed_measurement", "window/windowed_measurement", recipe.parameters
        )
        sql = read_sql("export/episode_value")
        values = connection.sql(f"{sql.body}\nORDER BY {sql.order}").pl()
    paths = []
    with progress("export stays", values["stay_id"].n_unique(), "stays") as advance:
        for (subject, stay), rows in values.group_by("subject_id", "stay_id", maintain_order=True):
            path = out / str(subject) / f"episode{stay}_timeseries.csv"
            paths.append(_write(path, _episode(rows), is_numbered=False))
            advance()
    return paths


_STAYS = ("stay", "all_stay")


def _episode(values: pl.DataFrame) -> pl.DataFrame:
    wide = values.pivot("variable", index="hours", values="value").sort("hours")
    hours = pl.col("hours").alias("Hours")
    columns = [
        _texts(variable.name, variable.categories, wide.columns).alias(
            EPISODE_COLUMNS[variable.name]
        )
        for variable in VARIABLES
    ]
    return wide.select(hours, *columns)


def _texts(name: str, categories: tuple[str, ...], present: list[str]) -> pl.Expr:
    if name not in present:
        return pl.lit(None, dtype=pl.Float64)
    if not categories:
        return pl.col(name)
    texts: Mapping[int, str] = dict(enumerate(categories))
    return pl.col(name).cast(pl.Int64).replace_strict(texts, return_dtype=pl.String)


def _write(path: Path, table: pl.DataFrame, *, is_numbered: bool) -> Path:
    """Publish a csv; most of the authors' files begin with an unnamed number of the row."""
    rows = table.with_row_index("") if is_numbered else table
    with publish(path) as part:
        rows.write_csv(part, datetime_format="%Y-%m-%d %H:%M:%S")
    return path

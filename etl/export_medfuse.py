"""A cohort as the files that MedFuse's and DrFuse's own code reads (specs fusion-baselines 1 to 5).

Their readers cut events into hours themselves, so series hold what was measured at its own time.
They read films' times and labels from MIMIC-CXR-JPG's own csv files and choose films again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from duckdb import DuckDBPyConnection

from cxrfuture_data.console import progress
from cxrfuture_data.publish import publish
from cxrfuture_data.schema import PHENOTYPES, VARIABLES
from etl.params import Params
from etl.published_hours import create_pair_edges
from etl.recipe import Recipe
from etl.shard_rows import read_table
from etl.sqlfile import bind_tables, count_rows, create_table, open_sql, read_sql

# The authors' name of a part of the split, and ours; series of both first ones lie in train/.
PARTS = {"train": "train", "val": "valid", "test": "test"}
FOLDERS = {"train": "train", "valid": "train", "test": "test"}
CXR_SPLITS = {"train": "train", "valid": "validate", "test": "test"}
STAYS_AT_ONCE = 1000


@dataclass(frozen=True)
class Layout:
    """Where a reader looks: the folder of train/ and test/, and its list of a part's samples."""

    folder: str
    listfile: str


MEDFUSE = {
    "mortality": Layout("in-hospital-mortality", "{part}_listfile.csv"),
    "phenotyping": Layout("phenotyping", "{part}_listfile.csv"),
}
LABELS = {"mortality": ("y_true",), "phenotyping": PHENOTYPES}
DRFUSE = Layout("ehr", "ehr_list_phenotyping_48h_{part}.csv")
DRFUSE_FILMS = "metas_with_labels_phenotyping_first_48h_{part}.csv"


def export(params: Params, recipe: Recipe, out: Path) -> list[Path]:
    """Write the files below ``out``; returns them.

    MedFuse (``--ehr_data_dir``): ``<task>/{train,test}/<subject>_episode<k>_timeseries.csv`` (Hours
    since ICU admission and 17 variables in the contract's units, categories as charted texts, blank
    where not measured; k counts the patient's stays), ``<task>/{train,val,test}_listfile.csv``
    (stay, period_length, stay_id, labels; period_length 0 means 48 h) and ``root/all_stays.csv``;
    ``mimic-cxr-ehr-split.csv`` goes to ``--cxr_data_dir``. Phenotyping by the first hours is laid
    out for DrFuse (``--data_dir``): the same below ``ehr/``, with its names of lists, and a list of
    the films of each part. Its main.py wants the three in one pickle, as a dict of data frames by
    part, which nothing here writes. Both main programs read the header of one series of the
    training folder that they name by its patient; give them any other.
    """
    cohort = {
        name: read_table(params.build(recipe.name, "cohort", f"{name}.parquet"))
        for name in ("stay", "image", "film", "all_stay")
    }
    task = str(recipe.parameters["task"])
    is_drfuse = task == "phenotyping" and recipe.parameters["window_until"] == "hours"
    layout = DRFUSE if is_drfuse else MEDFUSE[task]
    stays = _listed(params, recipe, cohort)
    tables = {"root/all_stays.csv": _all_stays(cohort["all_stay"])}
    for part, split in PARTS.items():
        rows = stays.filter(pl.col("split") == split).sort("stay")
        path = f"{layout.folder}/{layout.listfile.format(part=part)}"
        tables[path] = rows.select("stay", "period_length", "stay_id", *LABELS[task])
        if is_drfuse:
            tables[DRFUSE_FILMS.format(part=part)] = _films(rows)
    if not is_drfuse:
        tables["mimic-cxr-ehr-split.csv"] = _cxr_split(cohort)
    paths = [_write(out / name, table) for name, table in tables.items()]
    return paths + _write_series(params, recipe, stays, out / layout.folder)


def _listed(params: Params, recipe: Recipe, cohort: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The stays with ``stay`` (the name of a series), ``period_length`` and the task's labels."""
    stays = _named(cohort["stay"], cohort["all_stay"])
    if recipe.parameters["task"] == "mortality":
        died = pl.col("died_in_hospital").cast(pl.Int8)
        return stays.with_columns(died.alias("y_true"), period_length=pl.lit("0"))
    phenotypes = read_table(params.build(recipe.name, "cohort", "phenotype.parquet"))
    groups = phenotypes.select("stay_id", pl.col(*PHENOTYPES).cast(pl.Int8))
    hours = (pl.col("window_end_at") - pl.col("window_start_at")).dt.total_microseconds() / 3.6e9
    return stays.join(groups, on="stay_id", how="left").with_columns(
        pl.col(*PHENOTYPES).fill_null(0), period_length=hours.round(6).cast(pl.String)
    )


def _named(stays: pl.DataFrame, all_stays: pl.DataFrame) -> pl.DataFrame:
    """``stay``: the name of its series; its number is that among the patient's stays in time."""
    numbered = all_stays.sort("subject_id", "intime", "outtime", "stay_id").select(
        "stay_id", pl.int_range(1, pl.len() + 1).over("subject_id").alias("number")
    )
    name = pl.format("{}_episode{}_timeseries.csv", "subject_id", "number")
    return stays.join(numbered, on="stay_id", how="left").with_columns(name.alias("stay"))


def _films(stays: pl.DataFrame) -> pl.DataFrame:
    """The film of each stay that has one."""
    taken = stays.filter(pl.col("previous_dicom_id").is_not_null())
    return taken.select(
        *("subject_id", "stay_id", "stay"),
        pl.col("previous_study_id").alias("study_id"),
        pl.col("previous_dicom_id").alias("dicom_id"),
    )


def _all_stays(stays: pl.DataFrame) -> pl.DataFrame:
    return stays.sort("subject_id", "intime", "stay_id").select(
        "subject_id", "hadm_id", "stay_id", "intime", "outtime"
    )


def _cxr_split(cohort: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Films of radiology pre-training and of stays, by their patient's split."""
    columns = ("dicom_id", "study_id", "subject_id", "split")
    films = cohort["film"].join(
        pl.concat(
            cohort[kind].select("subject_id", "split") for kind in ("stay", "image")
        ).unique(),
        on="subject_id",
    )
    return (
        films.sort("dicom_id")
        .select(*columns)
        .with_columns(pl.col("split").replace_strict(CXR_SPLITS))
    )


def _write_series(params: Params, recipe: Recipe, stays: pl.DataFrame, folder: Path) -> list[Path]:
    place = {row["stay_id"]: (FOLDERS[row["split"]], row["stay"]) for row in stays.to_dicts()}
    paths = []
    with (
        open_sql(params.sql, folder / ".spill") as connection,
        progress("export stays", len(place), "stays") as advance,
    ):
        for values in _values(connection, params, recipe):
            wide = values.pivot("variable", index=["stay_id", "hours"], values="value")
            for (stay,), rows in wide.group_by("stay_id", maintain_order=True):
                paths.append(_write(folder.joinpath(*place[stay]), _series(rows)))
                advance()
    return paths


def _values(
    connection: DuckDBPyConnection, params: Params, recipe: Recipe
) -> Iterator[pl.DataFrame]:
    """The values of some stays after others', each stay's in the order of time."""
    tables = {
        name: params.build(recipe.name, "cohort", f"{name}.parquet")
        for name in ("pair", "stay", "all_stay")
    }
    tables["measurement"] = params.build(recipe.name, "event", "measurement.parquet")
    bind_tables(connection, tables)
    create_pair_edges(connection, recipe)
    for table in ("sample_window", "windowed_measurement"):
        create_table(connection, table, f"window/{table}", recipe.parameters)
    sql = read_sql("export/window_value")
    for first in range(1, count_rows(connection, "sample_window") + 1, STAYS_AT_ONCE):
        chosen = f"window_number BETWEEN {first} AND {first + STAYS_AT_ONCE - 1}"
        yield connection.sql(f"SELECT * FROM ({sql.body}) WHERE {chosen} ORDER BY {sql.order}").pl()


def _series(wide: pl.DataFrame) -> pl.DataFrame:
    columns = []
    for variable in VARIABLES:
        value = pl.col(variable.name) if variable.name in wide.columns else pl.lit(None)
        if variable.categories:
            texts = dict(enumerate(variable.categories))
            value = value.cast(pl.Int64).replace_strict(texts, return_dtype=pl.String)
        # The benchmark's spelling of the Glasgow coma scale.
        columns.append(value.alias(variable.name.replace("GCS", "Glascow coma scale")))
    return wide.sort("hours").select(pl.col("hours").alias("Hours"), *columns)


def _write(path: Path, table: pl.DataFrame) -> Path:
    """Publish a csv as their readers split it: at every comma."""
    with publish(path) as part:
        table.write_csv(part, datetime_format="%Y-%m-%d %H:%M:%S", quote_style="never")
    return path

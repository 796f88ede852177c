"""The outcomes of stays as MEDS labels: a folder an outcome, a file a split.

An outcome that is not asked at a time, or is censored there, is no row: MEDS has no null label.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
from meds.schema import LabelSchema

from cxrfuture_data.schema import PHENOTYPES
from etl.ledger import Drop
from etl.shard_rows import read_table

SPLIT_NAMES = {"train": "train", "valid": "tuning", "test": "held_out"}

# Folder -> column of stay.parquet, and the column of MEDS that holds it.
OUTCOMES = {
    "in_hospital_death": ("died_in_hospital", "boolean_value"),
    "icu_transfer": ("icu_transfer", "boolean_value"),
    "readmission": ("readmitted", "boolean_value"),
    "remaining_stay": ("remaining_hours", "float_value"),
}
KEY = ["subject_id", "prediction_time"]


def phenotype_folder(name: str) -> str:
    """Shock -> phenotype/shock: lower case, one underscore for whatever is no letter or digit."""
    return "phenotype/" + re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def label_tables(folder: Path) -> dict[str, tuple[pa.Table, type[LabelSchema]]]:
    """File below labels/ -> its rows, by subject_id and prediction_time. ``folder``: the cohort."""
    tables = {}
    for outcome, rows, column in _outcomes(folder):
        kept = _kept(rows).sort(KEY)
        for split, name in SPLIT_NAMES.items():
            chosen = kept.filter(pl.col("split") == split).select(
                *KEY, pl.col("value").alias(column)
            )
            tables[f"{outcome}/{name}/0.parquet"] = (chosen.to_arrow(), LabelSchema)
    return tables


def count_missing(folder: Path) -> list[Drop]:
    """Of the predictions, those without an outcome, and those at one time of another's."""
    drops = []
    for outcome, rows, _ in _outcomes(folder):
        asked = rows.filter(pl.col("value").is_not_null())
        unit = f"label of {outcome}"
        missing = rows.height - asked.height
        again = asked.height - _kept(rows).height
        drops.append(Drop("export", unit, "not asked then, or censored", rows.height, missing))
        reason = "of another admission at the same time"
        drops.append(Drop("export", unit, reason, asked.height, again))
    return drops


def _kept(rows: pl.DataFrame) -> pl.DataFrame:
    """A patient has one label at one time: that of the admission with the highest id."""
    asked = rows.filter(pl.col("value").is_not_null())
    return asked.sort(*KEY, "hadm_id").unique(KEY, keep="last", maintain_order=True)


def _outcomes(folder: Path) -> Iterator[tuple[str, pl.DataFrame, str]]:
    """(folder, one row a prediction with its ``value``, column of MEDS) of each outcome."""
    stays = read_table(folder / "stay.parquet").rename({"prediction_at": "prediction_time"})
    coded = read_table(folder / "phenotype.parquet").select("hadm_id", *PHENOTYPES)
    stays = stays.join(coded, on="hadm_id", how="left", maintain_order="left")
    for outcome, (name, column) in OUTCOMES.items():
        yield outcome, stays.with_columns(value=pl.col(name)), column
    for name in PHENOTYPES:
        value = pl.when(pl.col("has_phenotypes")).then(pl.col(name))
        yield phenotype_folder(name), stays.with_columns(value=value), "boolean_value"

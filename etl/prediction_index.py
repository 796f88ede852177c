"""A cohort written elsewhere: a Parquet of labels as MEDS has them, which ACES writes.

Its rows say for whom and when something is predicted: subject_id, prediction_time, and one of
boolean_value, integer_value and float_value (specs peers 3.6).
"""

from pathlib import Path

import polars as pl
from duckdb import DuckDBPyConnection

from cxrfuture_data.schema import ContractError
from etl.sqlfile import create_table

VALUES = ("boolean_value", "integer_value", "float_value")
KEY = ["subject_id", "prediction_time"]
TABLE = "index_label"


def bind_index(connection: DuckDBPyConnection, index: str) -> None:
    """Make the rows of the file the table ``index_label``; no row without a file."""
    if not index:
        create_table(connection, TABLE, "cohort/future/no_index_label")
        return
    labels = read_index(Path(index)).to_arrow()
    connection.register("index_file", labels)
    connection.execute(f"CREATE TEMP TABLE {TABLE} AS SELECT * FROM index_file")
    connection.unregister("index_file")


def index_files(index: str | Path) -> list[Path]:
    """The file itself, or the shards of a folder; a ContractError where there is none."""
    path = Path(index).expanduser()
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ContractError(f"{path}: no such index; set cohort.index to a Parquet of labels")
    return files


def read_index(path: Path) -> pl.DataFrame:
    """subject_id, prediction_at, label (null where the row says none), ordered.

    ``path``: a file, or a folder of shards as ACES writes them.
    """
    files = index_files(path)
    try:
        rows = pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed")
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ContractError(f"{path}: not a readable Parquet file ({reason})") from None
    missing = [name for name in KEY if name not in rows.columns]
    if missing:
        raise ContractError(
            f"{path}: no column {missing[0]}; an index has subject_id, prediction_time and a value"
        )
    if "categorical_value" in rows.columns and rows["categorical_value"].count():
        raise ContractError(
            f"{path}: categorical_value is not read; write the classes as integer_value"
        )
    if rows.select(pl.any_horizontal(pl.col(KEY).is_null()).any()).item():
        raise ContractError(f"{path}: a row without subject_id or prediction_time; remove it")
    if rows.select(KEY).is_duplicated().any():
        raise ContractError(f"{path}: a subject_id and prediction_time stand on several rows")
    _require_types(path, rows)
    values = [pl.col(name).cast(pl.Float64) for name in VALUES if name in rows.columns]
    label = pl.coalesce(*values) if values else pl.lit(None, dtype=pl.Float64)
    return rows.select(
        pl.col("subject_id").cast(pl.Int64),
        prediction_at=pl.col("prediction_time").cast(pl.Datetime("us")),
        label=label,
    ).sort("subject_id", "prediction_at")


def _require_types(path: Path, rows: pl.DataFrame) -> None:
    """Refuse columns of other types than MEDS gives them."""
    for name, kind in rows.schema.items():
        is_value = name in VALUES and not (kind.is_numeric() or kind in (pl.Boolean, pl.Null))
        is_subject = name == "subject_id" and not kind.is_integer()
        is_time = name == "prediction_time" and kind != pl.Datetime
        if is_value or is_subject or is_time:
            raise ContractError(f"{path}: {name} is {kind}; write it as MEDS labels have it")

"""Which films, stays and pairs each filter of a cohort dropped: cohort/dropped.parquet.

The ledger counts; `cxrfuture diff` asks of a lost pair which filter it was. Filters over rows that
are no film, stay, admission or pair (outpatient measurements) are counted in the ledger alone. At
full size these are one to two million rows of ids, some 30 MB beside a cohort that takes minutes.
"""

from collections.abc import Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection

from etl.sqlfile import write_query

FILE = "dropped.parquet"
# Column of the file -> type, and the columns of a filter's table it is read from, the first there.
ID_COLUMNS = {
    "subject_id": ("BIGINT", ("subject_id",)),
    "hadm_id": ("BIGINT", ("hadm_id",)),
    "stay_id": ("BIGINT", ("stay_id",)),
    "dicom_id": ("VARCHAR", ("dicom_id", "previous_dicom_id")),
    "target_dicom_id": ("VARCHAR", ("target_dicom_id",)),
    "prediction_at": ("TIMESTAMP", ("prediction_at",)),
}
NAMING = ("hadm_id", "stay_id", "dicom_id")


def create_dropped(connection: DuckDBPyConnection) -> None:
    """The empty table ``dropped``. ``position``: of the filter in the cohort's order; ``sample``:
    the kind of sample that the filter is the last of, or null."""
    ids = ", ".join(f"{name} {kind}" for name, (kind, _) in ID_COLUMNS.items())
    connection.execute(
        "CREATE TEMP TABLE dropped"
        f" (position INTEGER, unit VARCHAR, sample VARCHAR, reason VARCHAR, {ids})"
    )


def add_dropped(
    connection: DuckDBPyConnection, table: str, unit: str, samples: Sequence[str]
) -> None:
    """Put what ``table`` dropped into ``dropped``, once an id; what it keeps another row of is not
    dropped. Of several reasons the last in rule order counts: that row came furthest."""
    found = connection.execute(f"SELECT * FROM {table} LIMIT 0").description
    columns = {column[0] for column in found or ()}
    is_pair = "target_dicom_id" in columns
    ids = []
    for name, (kind, sources) in ID_COLUMNS.items():
        # A stay's previous film is no part of what it is.
        usable = sources if is_pair else sources[:1]
        source = next((source for source in usable if source in columns), None)
        ids.append(f"CAST({source or 'NULL'} AS {kind}) AS {name}")
    if not columns & {source for name in NAMING for source in ID_COLUMNS[name][1]}:
        return
    sample = next((name for name in samples if table == f"{name}_sample"), None)
    connection.execute(
        "INSERT INTO dropped BY NAME SELECT"
        " (SELECT COALESCE(MAX(position), -1) + 1 FROM dropped) AS position"
        ", $unit AS unit, $sample AS sample, SUBSTR(MAX(drop_reason), 4) AS reason"
        f", {', '.join(ID_COLUMNS)}"
        f" FROM (SELECT drop_reason, {', '.join(ids)} FROM {table})"
        f" GROUP BY {', '.join(ID_COLUMNS)} HAVING COUNT(*) = COUNT(drop_reason)",
        {"unit": unit, "sample": sample},
    )


def write_dropped(connection: DuckDBPyConnection, folder: Path) -> None:
    """Publish the table ``dropped``; the order of all columns is one order."""
    write_query(connection, folder / FILE, "SELECT * FROM dropped ORDER BY ALL")

"""Run the files of sql/: one SELECT each, whose last clause is ``ORDER BY`` on output columns.

A file that filters returns every candidate with a ``drop_reason`` (null: kept). Its reasons are
numbered in rule order, so what each rule removed can be counted from the same text that removes.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection

from cxrfuture_data.console import console, say, step
from cxrfuture_data.publish import publish
from cxrfuture_data.schema import VARIABLE_SETS, ContractError
from etl.ledger import Drop
from etl.params import SqlParams
from etl.recipe import Value
from etl.sql_error import explain

Parameters = Mapping[str, Value]

# Names that stand on every measurement, as types of one byte: strings are dear to join and to sort.
# Their order is that of their texts. Parquet keeps the texts.
NAME_TYPES = {
    "contract_variable": sorted(
        {variable.name for variables in VARIABLE_SETS.values() for variable in variables}
    ),
    "measurement_source": ["chartevents", "gcs_total", "inputevents", "labevents", "outputevents"],
}
PARQUET = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"


@dataclass(frozen=True)
class SqlFile:
    """One SELECT, cut before its final ORDER BY."""

    name: str
    header: str
    body: str
    order: str

    @property
    def parameters(self) -> set[str]:
        return set(re.findall(r"\$([a-z_]+)", self.body))

    @property
    def reasons(self) -> list[str]:
        """Every drop_reason the file can give, in rule order."""
        return re.findall(r"THEN '(\d\d [^']+)'", self.body)


@dataclass(frozen=True)
class Counted:
    """Whose rows a filter counts: ``unit`` names one row in the ledger."""

    stage: str
    unit: str


@cache
def read_sql(name: str) -> SqlFile:
    """``name`` is the path below sql/ without its ending, such as ``cohort/admission``."""
    text = files("sql").joinpath(f"{name}.sql").read_text()
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    statement = "\n".join(line for line in lines[first:] if not line.lstrip().startswith("--"))
    body, _, order = statement.rpartition("\nORDER BY")
    return SqlFile(name, "\n".join(lines[:first]), body, " ".join(order.split()))


@contextmanager
def open_sql(params: SqlParams, spill: Path) -> Iterator[DuckDBPyConnection]:
    """DuckDB in memory, held to the params; what does not fit goes to ``spill`` for the while."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": params.memory_limit,
        "temp_directory": str(spill),
    }
    if params.threads:
        config["threads"] = params.threads
    spill.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(":memory:", config=config)
    # DuckDB's own bar, for statements of more than two seconds.
    connection.execute(f"SET enable_progress_bar = {console.is_terminal}")
    for name, texts in NAME_TYPES.items():
        listed = ", ".join(f"'{text}'" for text in texts)
        connection.execute(f"CREATE TEMP TYPE {name} AS ENUM ({listed})")
    try:
        yield connection
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        explained = explain(error, params, spill)
        if explained is None:
            raise
        raise explained from None
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)


def bind_tables(connection: DuckDBPyConnection, tables: Mapping[str, Path]) -> None:
    """Make each Parquet file readable under its name."""
    for name, path in tables.items():
        if not path.exists():
            raise ContractError(f"{path}: no such table; run the stage `{path.parent.name}` first")
        connection.execute(f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM {scan(path)}')


def scan(path: Path) -> str:
    """A Parquet file, to select from."""
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}')"


def create_table(
    connection: DuckDBPyConnection, table: str, name: str, parameters: Parameters | None = None
) -> None:
    """Keep the rows of a file, dropped ones too, under ``table``. A table has no order."""
    sql = read_sql(name)
    with step(name) as tell:
        made = connection.execute(
            f"CREATE TEMP TABLE {table} AS {sql.body}", _bind(sql, parameters)
        )
        tell(made.fetchall())


def add_rows(
    connection: DuckDBPyConnection, table: str, name: str, parameters: Parameters | None = None
) -> None:
    """Put the rows of a file behind those of ``table``, which is made if it is not there."""
    sql = read_sql(name)
    bound = _bind(sql, parameters)
    empty = f"SELECT * FROM (\n{sql.body}\n) LIMIT 0"
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} AS {empty}", bound)
    with step(name) as tell:
        tell(connection.execute(f"INSERT INTO {table} {sql.body}", bound).fetchall())


def write_query(
    connection: DuckDBPyConnection,
    path: Path,
    query: str,
    parameters: Parameters | None = None,
) -> None:
    """Publish the rows of a query, in its order."""
    with step(path.name) as tell, publish(path) as part:
        quoted = str(part).replace("'", "''")
        copy = f"COPY (\n{query}\n) TO '{quoted}' ({PARQUET})"
        tell(connection.execute(copy, dict(parameters or {})).fetchall())


def write_table(connection: DuckDBPyConnection, path: Path, table: str, name: str) -> None:
    """Publish ``table``, which holds the rows of a file, in the file's order."""
    write_query(connection, path, f"SELECT * FROM {table}\nORDER BY {read_sql(name).order}")


def write_parquet(
    connection: DuckDBPyConnection, path: Path, name: str, parameters: Parameters | None = None
) -> None:
    """Publish the rows of a file that filters nothing."""
    sql = read_sql(name)
    write_query(connection, path, f"{sql.body}\nORDER BY {sql.order}", _bind(sql, parameters))


def write_kept(
    connection: DuckDBPyConnection,
    path: Path,
    name: str,
    sources: Sequence[str],
    parameters: Parameters | None = None,
) -> None:
    """Publish a file that reads ``kept``: the rows its source files keep, one after the other.

    The source files have equal columns. One that never has a row stands alone: DuckDB's sort of a
    union that begins with an empty source does not spill.
    """
    files = [read_sql(source) for source in sources]
    kept = "\nUNION ALL BY NAME\n".join(_kept_rows(file) for file in files)
    sql = read_sql(name)
    query = f"WITH kept AS (\n{kept}\n)\n{sql.body}\nORDER BY {sql.order}"
    bound = {key: value for file in (*files, sql) for key, value in _bind(file, parameters).items()}
    write_query(connection, path, query, bound)


def write_kept_tables(
    connection: DuckDBPyConnection, path: Path, name: str, tables: Sequence[str]
) -> None:
    """As ``write_kept``, of files whose rows, dropped ones too, are in tables already."""
    kept = "\nUNION ALL BY NAME\n".join(
        f"SELECT * EXCLUDE (drop_reason) FROM {table} WHERE drop_reason IS NULL" for table in tables
    )
    sql = read_sql(name)
    write_query(connection, path, f"WITH kept AS (\n{kept}\n)\n{sql.body}\nORDER BY {sql.order}")


def write_filtered(
    connection: DuckDBPyConnection, path: Path, name: str, parameters: Parameters | None = None
) -> None:
    """Publish the rows that a file keeps."""
    sql = read_sql(name)
    write_query(
        connection, path, f"{_kept_rows(sql)}\nORDER BY {sql.order}", _bind(sql, parameters)
    )


def write_unsorted(
    connection: DuckDBPyConnection, path: Path, name: str, parameters: Parameters | None = None
) -> None:
    """Publish the rows that a file keeps, in no order: for a stage's own use."""
    sql = read_sql(name)
    write_query(connection, path, _kept_rows(sql), _bind(sql, parameters))


def count_drops(
    connection: DuckDBPyConnection,
    counted: Counted,
    name: str,
    *,
    table: str | None = None,
    parameters: Parameters | None = None,
) -> list[Drop]:
    """What each reason of a file removed, from ``table`` if the file's rows were kept there."""
    sql = read_sql(name)
    source = table or f"(\n{sql.body}\n)"
    counts: dict[str | None, int] = dict(
        connection.execute(
            f"SELECT drop_reason, COUNT(*) FROM {source} GROUP BY drop_reason",
            {} if table else _bind(sql, parameters),
        ).fetchall()
    )
    before = sum(counts.values())
    drops = []
    for reason in sql.reasons:
        removed = counts.get(reason, 0)
        drops.append(Drop(counted.stage, counted.unit, reason[3:], before, removed))
        before -= removed
    return drops


def check_names() -> list[str]:
    """The files of sql/check, each of which must select no row."""
    folder = files("sql").joinpath("check")
    return sorted(f"check/{file.name.removesuffix('.sql')}" for file in folder.iterdir())


def offending_rows(
    connection: DuckDBPyConnection,
    name: str,
    tables: Mapping[str, Path],
    parameters: Parameters | None = None,
) -> int:
    """How many rows offend the check ``name`` over Parquet files named as in the file."""
    sql = read_sql(name)
    wanted = {table: path for table, path in tables.items() if re.search(rf"\b{table}\b", sql.body)}
    bind_tables(connection, wanted)
    counted = f"SELECT COUNT(*) FROM (\n{sql.body}\n)"
    with step(name) as tell:
        rows = connection.execute(counted, _bind(sql, parameters)).fetchall()
        tell(rows)
    return int(rows[0][0])


def say_rows(folder: Path, names: Sequence[str]) -> None:
    """One line: the stage, the recipe, and the rows of each Parquet file it wrote."""
    counts = (
        f"{pq.read_metadata(folder / f'{name}.parquet').num_rows:,} {name.replace('_', ' ')} rows"
        for name in names
    )
    say(f"{folder.name}: {folder.parent.name}: {', '.join(counts)}")


def count_rows(connection: DuckDBPyConnection, table: str) -> int:
    """Rows of a table or view."""
    return int(connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchall()[0][0])


def _kept_rows(sql: SqlFile) -> str:
    return f"SELECT * EXCLUDE (drop_reason) FROM (\n{sql.body}\n) WHERE drop_reason IS NULL"


def _bind(sql: SqlFile, parameters: Parameters | None) -> dict[str, Value]:
    given = parameters or {}
    missing = sorted(sql.parameters - given.keys())
    if missing:
        raise ContractError(f"sql/{sql.name}.sql reads {missing[0]!r}; set it in the recipe")
    return {key: given[key] for key in sorted(sql.parameters)}

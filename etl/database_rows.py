"""Rows of a database's table, streamed as Arrow batches in the order in which they were loaded.

ADBC lets the server COPY in binary, batch after batch: neither side holds the result. A plain scan
from the first block gives the rows as they lie on disk; ORDER BY ctid would give the same after the
server had sorted the whole table. They lie as in the csv where the table was created or truncated
in the transaction that loaded it; else COPY may put a short row into a gap of an earlier block.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa

from cxrfuture_data.schema import ContractError
from etl.database import DatabaseTable, require_driver
from etl.database_url import reason_of
from etl.mimic_schema import SOURCE_ROW
from etl.source_block import Layout, Parsed, parse_arrow

DRIVER = "adbc_driver_postgresql.dbapi"
# A scan from the first block to the last by one process: the order of the rows rests on these.
SETTINGS = {
    "synchronize_seqscans": "off",
    "max_parallel_workers_per_gather": "0",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
    "statement_timeout": "0",
    "datestyle": "ISO",
}
DISORDER = "times that a lower patient follows, so ties may break otherwise than from csv.gz"
WHOLE = ("smallint", "integer", "bigint")
WITHOUT_ZONE = "timestamp without time zone"


class DatabaseRows:
    """One pass over a table. ``bytes_read`` follows the rows, by the catalogue's counts."""

    ends_in_line_end = True

    def __init__(self, table: DatabaseTable) -> None:
        self.table = table
        self.rows_read = 0
        self.bytes_read = 0
        self.steps_back = 0
        """How often a row belongs to a lower patient than the row before it."""
        self._last: int | None = None

    def blocks(self, layout: Layout) -> Iterator[Parsed]:
        """Typed blocks; the next batch is received while one is worked on."""
        driver = require_driver(DRIVER)
        try:
            with (
                closing(driver.connect(self.table.url)) as connection,
                closing(connection.cursor()) as cursor,
            ):
                cursor.execute(_set_all(SETTINGS))
                cursor.fetchall()
                cursor.execute(select_rows(self.table, layout))
                for batch in _read_ahead(cursor.fetch_record_batch()):
                    self._count(batch)
                    parsed = parse_arrow(pa.Table.from_batches([batch]), layout)
                    self._watch_order(parsed)
                    yield parsed
        except (driver.Error, pa.ArrowException, OSError) as error:
            raise self._explain(error) from None
        self.bytes_read = self.table.bytes

    def _count(self, batch: pa.RecordBatch) -> None:
        self.rows_read += batch.num_rows
        expected = self.table.estimated_rows
        done = self.table.bytes * self.rows_read // expected if expected > 0 else 0
        self.bytes_read = min(done or self.bytes_read + batch.nbytes, self.table.bytes)

    def _watch_order(self, parsed: Parsed) -> None:
        if SOURCE_ROW not in parsed.table.column_names or not parsed.table.num_rows:
            return
        patients = parsed.table["subject_id"].to_numpy()
        before = patients[:1] if self._last is None else [self._last]
        self.steps_back += int((np.diff(patients, prepend=before) < 0).sum())
        self._last = int(patients[-1])

    def _explain(self, error: Exception) -> ContractError:
        said = reason_of(error, self.table.url)
        if getattr(error, "sqlstate", None) == "42501":
            next_step = f"ask its owner to GRANT SELECT ON {self.table.file_name}"
            return ContractError(f"{self.table}: may not be read ({said}); {next_step}")
        return ContractError(
            f"{self.table}: reading stopped after {self.rows_read:,} rows ({said}); see that the"
            " server runs, then run `cxrfuture ingest` again: finished tables are kept"
        )


def select_rows(table: DatabaseTable, layout: Layout) -> str:
    """The SELECT of a layout's columns, each brought to a type that loses nothing on the way."""
    found = dict(zip(map(str.lower, table.columns), table.columns, strict=True))
    types = dict(zip(map(str.lower, table.columns), table.types, strict=True))
    columns = [
        f"{_cast(_quoted(found[column]), types[column], layout.types[column])} AS {column}"
        for column in layout.columns
    ]
    return f"SELECT {', '.join(columns)} FROM {_quoted(table.schema)}.{_quoted(table.name)}"


def _cast(column: str, found: str, declared: str) -> str:
    """One column as Arrow takes it to its declared type. What is cast to text is read as in a csv:
    a cell that loses something is refused, an empty one is NULL."""
    if declared in ("BIGINT", "INTEGER", "DOUBLE") and found in WHOLE:
        return f"{column}::bigint"
    if declared == "DOUBLE" and found in ("double precision", "numeric"):
        return f"{column}::double precision"
    if declared == "TIMESTAMP" and found in (WITHOUT_ZONE, "date"):
        return f"{column}::timestamp"
    if declared == "DATE" and found == "date":
        return column
    if declared == "DATE" and found == WITHOUT_ZONE:
        # A day is a day only at midnight; another time is left to be refused as in a csv.
        return (
            f"CASE WHEN {column} = {column}::date THEN {column}::date::text ELSE {column}::text END"
        )
    return f"NULLIF({column}::text, '')"


def _set_all(settings: Mapping[str, str]) -> str:
    calls = (f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    return f"SELECT {', '.join(calls)}"


def _read_ahead(batches: pa.RecordBatchReader) -> Iterator[Any]:
    with ThreadPoolExecutor(1) as receiving:
        ahead = receiving.submit(next, batches, None)
        while (batch := ahead.result()) is not None:
            ahead = receiving.submit(next, batches, None)
            yield batch


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'

"""A Parquet file in a table's order, written in one pass where the source allows it.

MIMIC's large files are grouped by patient, patients ascending. So rows are held back until the
next patient starts, sorted among themselves and written. Where a file is not grouped, its rows are
written as they come and DuckDB sorts the file afterwards, on disk if it must. Both ways give the
same bytes: one writer, row groups of a fixed size.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl.mimic_schema import SOURCE_ROW, TABLES, Table
from etl.source_block import arrow_schema

ROWS_PER_GROUP = 1 << 18


class GroupWriter:
    """Writes rows as they come in row groups of exactly ROWS_PER_GROUP, however they come cut."""

    def __init__(self, path: Path, name: str) -> None:
        schema = arrow_schema(name)
        # source_row counts up, so its differences pack to almost nothing and a dictionary is waste.
        dictionary = [name for name in schema.names if name != SOURCE_ROW]
        has_row = SOURCE_ROW in schema.names
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            use_dictionary=dictionary,
            column_encoding={SOURCE_ROW: "DELTA_BINARY_PACKED"} if has_row else None,
        )
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows += table.num_rows
        self.rows += table.num_rows
        if self._rows < ROWS_PER_GROUP:
            return
        waiting = pa.concat_tables(self._waiting)
        whole = self._rows - self._rows % ROWS_PER_GROUP
        for start in range(0, whole, ROWS_PER_GROUP):
            self._write_group(waiting.slice(start, ROWS_PER_GROUP))
        self._waiting = [waiting.slice(whole)]
        self._rows -= whole

    def _write_group(self, table: pa.Table) -> None:
        # Pages end where chunks end: without chunks the bytes depend on the values alone.
        self._writer.write_table(table.combine_chunks(), row_group_size=ROWS_PER_GROUP)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is None and (self._rows or not self.rows):
            empty = self._schema.empty_table()
            self._write_group(pa.concat_tables([empty, *self._waiting]))
        self._writer.close()


class SortedWriter:
    """Sorts on the way to a GroupWriter for as long as groups come in order."""

    def __init__(self, table: Table, groups: GroupWriter) -> None:
        self._order = table.order
        self._group = table.order[0]
        self._groups = groups
        self._held: pa.Table | None = None
        self._last: object = None
        self.is_sorted = True

    def write(self, block: pa.Table) -> None:
        if not block.num_rows:
            return
        if not self.is_sorted:
            self._groups.write(block)
            return
        rows = block if self._held is None else pa.concat_tables([self._held, block])
        ordered = sort_rows(rows, self._order)
        group = ordered[self._group]
        if self._last is not None and group[0].as_py() <= self._last:
            self.is_sorted = False
            self._groups.write(rows)
            self._held = None
            return
        start = pc.index(group, group[-1]).as_py()
        self._held = ordered.slice(start)
        if start:
            self._last = group[start - 1].as_py()
            self._groups.write(ordered.slice(0, start))

    def finish(self) -> None:
        """Write what was held back for rows that did not come."""
        if self._held is not None:
            self._groups.write(self._held)
            self._held = None


def sort_rows(rows: pa.Table, order: tuple[str, ...]) -> pa.Table:
    """Stable sort, nulls last. Rows that are in order already are not copied."""
    keys = [(column, "ascending", "at_end") for column in order]
    indices = pc.sort_indices(rows, sort_keys=keys)
    if np.array_equal(indices.to_numpy(), np.arange(rows.num_rows)):
        return rows
    return rows.combine_chunks().take(indices)


def rewrite_sorted(
    connection: duckdb.DuckDBPyConnection, source: Path, target: Path, name: str
) -> int:
    """Sort a table's Parquet with DuckDB and drop rows that repeat a key word for word.

    Returns the number of dropped rows. ``source_row`` of a repeated row is its first.
    """
    table = TABLES[name]
    schema = arrow_schema(name)
    columns = [f'"{column}"' for column in table.names]
    tie = [SOURCE_ROW] if table.has_source_row else []
    last = tie or columns  # every tie is broken, or the order would be a matter of threads
    order = ", ".join(f"{column} NULLS LAST" for column in (*table.order, *last))
    everything = ", ".join(columns)
    if table.key:
        first = [f"min({SOURCE_ROW}) AS {SOURCE_ROW}"] if tie else []
        select = f"SELECT {', '.join(columns + first)} FROM $source GROUP BY {everything}"
    else:
        select = f"SELECT {', '.join(columns + tie)} FROM $source"
    quoted = "'" + str(source).replace("'", "''") + "'"
    relation = connection.sql(f"{select.replace('$source', quoted)} ORDER BY {order}")
    with GroupWriter(target, name) as groups:
        for batch in relation.to_arrow_reader(ROWS_PER_GROUP):
            groups.write(pa.Table.from_batches([batch]).cast(schema))
        written = groups.rows
    return pq.read_metadata(source).num_rows - written


def count_repeated_keys(path: Path, key: tuple[str, ...]) -> int:
    """Key values that more than one row has."""
    keys = pq.read_table(path, columns=list(key))
    count = keys.group_by(list(key)).aggregate([([], "count_all")])["count_all"]
    return int(pc.sum(pc.greater(count, 1)).as_py() or 0)

"""One block of a source file -> typed columns, and the rows that cannot be read, by kind.

Blocks are read by pyarrow's CSV reader. Only a block that it refuses is read again cell by cell,
which is slow, finds the offending rows, and accepts spellings that lose nothing (a whole number
written 12.0, a date with midnight).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cxrfuture_data.schema import ContractError
from etl.mimic_schema import SOURCE_ROW, TABLES, output_name
from etl.version_schema import lacked_columns

ARROW_TYPES = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR": pa.string(),
}
PARSE_BYTES = 1 << 20  # stays in the processor's cache: a fifth faster than parsing 16 MB at once

WRONG_FIELDS = "wrong number of fields"
NOT_UTF8 = "not UTF-8"
EMPTY_KEY = "empty"
NOT_A_VALUE = {
    "BIGINT": "not a whole number",
    "INTEGER": "not a whole number",
    "DOUBLE": "not a number",
    "DATE": "not a date",
    "TIMESTAMP": "not a time",
}
_WHOLE = "CASE WHEN try_cast({c} AS DOUBLE) = try_cast({c} AS {t}) THEN try_cast({c} AS {t}) END"
_ISO = r"'\s*\d{{4}}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?\s*'"
LOSSLESS = {
    "BIGINT": _WHOLE,
    "INTEGER": _WHOLE,
    "DOUBLE": "try_cast({c} AS DOUBLE)",
    "DATE": f"CASE WHEN regexp_full_match({{c}}, {_ISO})"
    " AND try_cast({c} AS TIMESTAMP) = try_cast({c} AS DATE) THEN try_cast({c} AS DATE) END",
    "TIMESTAMP": f"CASE WHEN regexp_full_match({{c}}, {_ISO})"
    " THEN try_cast({c} AS TIMESTAMP) END",
}


@dataclass(frozen=True)
class Layout:
    """How one file's columns map to the table's."""

    name: str
    columns: tuple[str, ...]
    """Output columns in the order of the file; those that its version lacks are not among them."""
    header: tuple[str, ...] = ()
    """The same as the file spells them."""

    @property
    def is_reordered(self) -> bool:
        return self.columns != tuple(n for n in TABLES[self.name].names if n in self.columns)

    @property
    def types(self) -> dict[str, str]:
        """Output column -> DuckDB type, in the release's order."""
        return {output_name(column): kind for column, kind in TABLES[self.name].columns.items()}

    @property
    def types_found(self) -> dict[str, str]:
        """The same, of the columns that the file has."""
        return {column: kind for column, kind in self.types.items() if column in self.columns}


@dataclass(frozen=True)
class Reject:
    """A row that was left out. Never its text."""

    row: int
    column: str | None
    kind: str


@dataclass(frozen=True)
class Parsed:
    """The readable rows of a block; ``source_row`` and rejects count from 1 within the block."""

    table: pa.Table
    rejects: list[Reject]
    rows: int


def read_header(line: bytes) -> list[str]:
    """Column names of a csv's first line."""
    text = line.decode("utf-8", errors="replace").strip("\r\n")
    return [column.strip() for column in next(csv.reader([text]), [])]


def match_columns(name: str, found: Sequence[str], path: Path | str) -> Layout:
    """Match the columns of a file, or of a database, with the table's by name, whatever their case
    and order."""
    known = {column.lower(): column for column in TABLES[name].columns}
    seen: set[str] = set()
    for column in found:
        if column.lower() not in known:
            raise ContractError(
                f"{name}: unknown column {column!r} in {path}; MIMIC-IV 2.0 or later and"
                " MIMIC-CXR-JPG 2.x are read"
            )
        if column.lower() in seen:
            raise ContractError(f"{name}: column {column!r} stands twice in {path}")
        seen.add(column.lower())
    for column in known:
        if column not in seen and column not in lacked_columns(name):
            raise ContractError(
                f"{name}: no column {known[column]!r} in {path}; MIMIC-IV 2.0 or later and"
                " MIMIC-CXR-JPG 2.x are read"
            )
    columns = tuple(output_name(known[column.lower()]) for column in found)
    return Layout(name, columns, tuple(found))


def arrow_schema(name: str) -> pa.Schema:
    """The schema of a table's Parquet."""
    layout = Layout(name, TABLES[name].names)
    fields = [pa.field(column, ARROW_TYPES[kind]) for column, kind in layout.types.items()]
    if TABLES[name].has_source_row:
        fields.append(pa.field(SOURCE_ROW, pa.int64()))
    return pa.schema(fields)


def parse_block(block: bytes, layout: Layout) -> Parsed:
    """Read one block of whole records, without its header."""
    types = {column: ARROW_TYPES[kind] for column, kind in layout.types_found.items()}
    try:
        table = _read_csv(block, layout, types, PARSE_BYTES).select(list(types))
    except pa.ArrowInvalid:
        return _parse_cell_by_cell(block, layout)
    rows = np.arange(1, table.num_rows + 1)
    return _without_empty_keys(table, rows, [], table.num_rows, layout)


def parse_arrow(table: pa.Table, layout: Layout) -> Parsed:
    """Bring columns of any type, as a Parquet file may hold them, to the declared types."""
    table = table.rename_columns(list(layout.columns)).select(list(layout.types_found))
    rows = np.arange(1, table.num_rows + 1)
    return _convert(table, rows, [], layout)


def _read_csv(
    block: bytes,
    layout: Layout,
    types: dict[str, pa.DataType],
    parse_bytes: int,
    rejects: list[int] | None = None,
) -> pa.Table:
    def note(row: pacsv.InvalidRow) -> str:
        if rejects is None:
            return "error"
        rejects.append(row.number)
        return "skip"

    return pacsv.read_csv(
        pa.py_buffer(block),
        read_options=pacsv.ReadOptions(
            use_threads=False, column_names=list(layout.columns), block_size=parse_bytes
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _parse_cell_by_cell(block: bytes, layout: Layout) -> Parsed:
    if not block.strip():
        empty = arrow_schema(layout.name).empty_table()
        return Parsed(empty, [], 0)
    skipped: list[int] = []
    binary = dict.fromkeys(layout.columns, pa.binary())
    table = _read_csv(block, layout, binary, len(block) + 1, skipped)
    rejects = [Reject(row, None, WRONG_FIELDS) for row in skipped]
    total = table.num_rows + len(skipped)
    rows = np.delete(np.arange(1, total + 1), np.array(skipped, dtype=np.int64) - 1)
    return _convert(table, rows, rejects, layout)


def _convert(table: pa.Table, rows: np.ndarray, rejects: list[Reject], layout: Layout) -> Parsed:
    """Cast every column to its declared type; rows with a cell that cannot be are rejected."""
    total = table.num_rows + len(rejects)
    bad: dict[int, tuple[str, str]] = {}
    columns = []
    for column, kind in layout.types_found.items():
        values, failed, reason = _cast(table[column], kind)
        for position in failed:
            bad.setdefault(position, (column, reason))
        columns.append(values)
    converted = pa.table(columns, names=list(layout.types_found))
    rejects = rejects + [Reject(int(rows[at]), *why) for at, why in sorted(bad.items())]
    if bad:
        keep = np.setdiff1d(np.arange(len(rows)), np.fromiter(bad, dtype=np.int64))
        converted, rows = converted.take(pa.array(keep)), rows[keep]
    return _without_empty_keys(converted, rows, rejects, total, layout)


def _cast(values: pa.ChunkedArray, kind: str) -> tuple[pa.ChunkedArray, list[int], str]:
    """The values as ``kind``, the positions that cannot be, and why not."""
    if pa.types.is_timestamp(values.type) and values.type.tz:
        values = values.cast(pa.string())  # MIMIC's times have no zone; the cells are refused below
    elif pa.types.is_timestamp(values.type) and kind == "DATE":
        values = values.cast(pa.string())  # Arrow would cut the time of day without a word
    try:
        if not pa.types.is_binary(values.type) or kind == "VARCHAR":
            return values.cast(ARROW_TYPES[kind]), [], ""
    except pa.ArrowInvalid:
        pass
    if pa.types.is_binary(values.type):
        values, failed = _decode(values)
        if failed or kind == "VARCHAR":
            return values, failed, NOT_UTF8
    cells = pa.table({"cell": values.cast(pa.string())})
    expression = LOSSLESS[kind].format(c="cell", t=kind)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.register("cells", cells)
        cast = connection.sql(f"SELECT {expression} AS value FROM cells").to_arrow_table()["value"]
    is_bad = pc.and_(pc.is_null(cast), pc.is_valid(cells["cell"]))
    positions = np.flatnonzero(is_bad.to_numpy()).tolist()
    return cast.cast(ARROW_TYPES[kind]), positions, NOT_A_VALUE[kind]


def _decode(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[int]]:
    try:
        return values.cast(pa.string()), []
    except pa.ArrowInvalid:
        failed = []
        texts: list[str | None] = []
        for position, value in enumerate(values.to_pylist()):
            try:
                texts.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                texts.append(None)
                failed.append(position)
        return pa.chunked_array([pa.array(texts, pa.string())]), failed


def _without_empty_keys(
    table: pa.Table, rows: np.ndarray, rejects: list[Reject], total: int, layout: Layout
) -> Parsed:
    """Leave out rows that lack the column that comes first in the order: they are nobody's."""
    declared = TABLES[layout.name]
    first = declared.order[0]
    if table[first].null_count:
        is_there = pc.is_valid(table[first]).to_numpy()
        rejects = rejects + [Reject(int(row), first, EMPTY_KEY) for row in rows[~is_there]]
        table, rows = table.filter(pa.array(is_there)), rows[is_there]
    if len(layout.columns) < len(declared.columns):
        table = _with_lacked(table, layout)
    if declared.has_source_row:
        table = table.append_column(SOURCE_ROW, pa.array(rows))
    return Parsed(table.cast(arrow_schema(layout.name)), rejects, total)


def _with_lacked(table: pa.Table, layout: Layout) -> pa.Table:
    """Empty columns where the version has none: every version gives one schema."""
    return pa.table(
        {
            column: table[column]
            if column in layout.columns
            else pa.nulls(table.num_rows, ARROW_TYPES[kind])
            for column, kind in layout.types.items()
        }
    )

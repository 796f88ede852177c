"""A source table as text: cells spelt as the file spells them, read as EHRXDiff's reader reads.

EHRXDiff's event texts carry the file's own spelling (1.0 or 1, .5 or 0.5, trailing blanks, capital
column names), which typed tables cannot give back. So for texts as published the seven tables are
read once more from their source. Its reader, Spark's, takes one line for one record (a line end in
a quoted cell ends the record), a backslash for the escape of a quote, ``""`` for an empty cell and
a short record for one with empty cells at its end. specs ehrxdiff 3.1 and 15.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import DuckDBPyConnection

from cxrfuture_data.publish import publish
from etl.source_file import SourceFile

UNIT = "\x1f"  # between cells whose commas are not separators any more, and between parts of a text
LINES = pa.schema([("source_row", pa.int64()), ("line", pa.string()), ("is_parsed", pa.bool_())])


@dataclass(frozen=True)
class TextTable:
    """Which columns of a table become its events' text: all but these, in the file's order."""

    name: str
    time: str
    code: str | None
    """The column that decides whether a row is used; None: every row is."""
    excluded: frozenset[str]
    """Besides ids and the time. Names are compared without case."""


IDS = frozenset({"subject_id", "hadm_id", "stay_id"})


def text_table(name: str, time: str, code: str | None, excluded: str) -> TextTable:
    return TextTable(name, time, code, frozenset(excluded.split()))


# Table 3.1 and 3.2 of specs ehrxdiff, in the order of EVENT_TABLES.
TEXT_TABLES = (
    text_table(
        "labevents",
        "charttime",
        "itemid",
        "labevent_id storetime order_provider_id specimen_id",
    ),
    text_table(
        "prescriptions",
        "starttime",
        "drug",
        """gsn ndc order_provider_id pharmacy_id poe_id poe_seq formulary_drug_cd stoptime""",
    ),
    text_table(
        "inputevents",
        "starttime",
        None,
        """endtime storetime orderid linkorderid caregiver_id continueinnextdept
        statusdescription""",
    ),
    text_table("chartevents", "charttime", "itemid", "storetime caregiver_id"),
    text_table("outputevents", "charttime", None, "storetime caregiver_id"),
    text_table(
        "microbiologyevents",
        "charttime",
        "spec_type_desc",
        """chartdate storetime storedate order_provider_id microevent_id micro_specimen_id
        spec_itemid test_itemid org_itemid ab_itemid""",
    ),
    text_table(
        "procedureevents",
        "starttime",
        "ordercategoryname",
        """storetime endtime caregiver_id orderid linkorderid continueinnextdept
        statusdescription""",
    ),
)


def write_cells(
    connection: DuckDBPyConnection, table: TextTable, source: Path, target: Path
) -> list[str]:
    """Publish a table's rows as text; returns the text columns as the header spells them.

    Columns of the Parquet: source_row; subject_id, hadm_id, event_at, stored_at, code and itemid,
    NULL where the table has none; cells, the text columns' values. Nothing is converted; an empty
    cell is NULL.
    """
    header = _header(source)
    places = {column.lower(): place for place, column in enumerate(header)}
    left_out = table.excluded | IDS | {table.time}
    shown = [column for column in header if column.lower() not in left_out]

    def cell(column: str | None) -> str:
        place = places.get(column or "")
        return "NULL" if place is None else f"NULLIF(cells[{place + 1}], '')"

    values = ", ".join(cell(column.lower()) for column in shown)
    named = {
        "subject_id": cell("subject_id"),
        "hadm_id": cell("hadm_id"),
        "event_at": cell(table.time),
        "stored_at": cell("storetime"),
        "code": cell(table.code),
        "itemid": cell("itemid"),
    }
    columns = ", ".join(f"CAST({value} AS VARCHAR) AS {name}" for name, value in named.items())
    with publish(target) as part:
        connection.register("source_line", _lines(source))
        try:
            connection.execute(
                f"COPY (SELECT source_row, {columns}, [{values}] AS cells FROM ("
                "SELECT source_row,"
                f" STRING_SPLIT(line, CASE WHEN is_parsed THEN '{UNIT}' ELSE ',' END) AS cells"
                f" FROM source_line)) TO '{_quoted(part)}' (FORMAT parquet, COMPRESSION zstd)"
            )
        finally:
            connection.unregister("source_line")
    return shown


def read_cells(line: str) -> list[str]:
    """The cells of one line. A quote that neither opens, closes nor is escaped makes the cell raw.

    A quoted cell ends at a quote before a comma, the line's end, or blanks and one of these. Any
    other quote in it, a doubled one too, makes the cell everything up to the next comma, quotes
    included.
    """
    cells = []
    at = 0
    while True:
        if line.startswith('"', at):
            cell, at = _read_quoted(line, at + 1)
        else:
            end = _end_of_cell(line, at)
            cell, at = line[at:end], end
        cells.append(cell)
        if at >= len(line):
            return cells
        at += 1


def _read_quoted(line: str, start: int) -> tuple[str, int]:
    """The cell that a quote before ``start`` opens, and where it ends."""
    read: list[str] = []
    before = ""  # a quote or backslash whose meaning the next character decides
    for at in range(start, len(line)):
        character = line[at]
        if before == '"':
            if character == '"':
                read.append('"')
                continue
            rest = _end_of_blanks(line, at)
            if rest == len(line) or line[rest] == ",":
                return "".join(read), rest
            end = _end_of_cell(line, at)
            return f'"{"".join(read)}"{line[at:end]}', end
        if before == "\\":
            read.append(character if character in '"\\' else "\\" + character)
            before = ""
        elif character in '"\\':
            before = character
        else:
            read.append(character)
    return "".join(read), len(line)


def _end_of_blanks(line: str, at: int) -> int:
    while at < len(line) and line[at] <= " ":
        at += 1
    return at


def _end_of_cell(line: str, at: int) -> int:
    end = line.find(",", at)
    return len(line) if end < 0 else end


def _header(source: Path) -> list[str]:
    first = next(SourceFile(source).blocks(block_bytes=1), b"")
    return read_cells(first.splitlines()[0].decode("utf-8", errors="replace"))


def _lines(source: Path) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(LINES, _csv_lines(source))


def _csv_lines(source: Path) -> Iterator[pa.RecordBatch]:
    """Records by number, from 1: lines as they are, or parsed where a quote stands in them."""
    row = 0
    is_first = True
    for block in SourceFile(source).blocks():
        lines = _split_lines(block)
        if is_first:
            lines = lines[1:]
            is_first = False
        is_quoted = pc.match_substring(lines, '"')
        places = np.flatnonzero(is_quoted.to_numpy(zero_copy_only=False))
        if len(places):
            parsed = [UNIT.join(read_cells(lines[int(place)].as_py())) for place in places]
            lines = pc.replace_with_mask(lines, is_quoted, pa.array(parsed, pa.string()))
        rows = pa.array(np.arange(row + 1, row + 1 + len(lines)))
        yield pa.record_batch([rows, lines, is_quoted], schema=LINES)
        row += len(lines)


def _split_lines(block: bytes) -> pa.StringArray:
    """The lines that hold more than blanks; any of \\n, \\r and \\r\\n ends one."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not block.isascii():
        block = block.decode("utf-8", errors="replace").encode()
    if not block.endswith(b"\n"):
        block += b"\n"
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    ended = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(block))
    lines = pc.utf8_rtrim(ended, "\n")
    return lines.filter(pc.not_equal(pc.ascii_trim_whitespace(lines), ""))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")

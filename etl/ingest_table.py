"""One source table -> one typed, sorted, checked Parquet.

Of a file, one thread inflates and hashes, a few parse blocks of it, the caller's sorts and writes;
of a database, one receives. Memory is bounded by a few blocks and the rows of one patient.
"""

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cxrfuture_data.publish import digest, file_sha256, publish
from cxrfuture_data.schema import ContractError
from etl.database import DatabaseTable
from etl.database_rows import DISORDER, DatabaseRows
from etl.mimic_schema import SOURCE_ROW, TABLES
from etl.params import IngestParams
from etl.sorted_parquet import GroupWriter, SortedWriter, count_repeated_keys, rewrite_sorted
from etl.source_block import (
    Layout,
    Parsed,
    Reject,
    match_columns,
    parse_arrow,
    parse_block,
    read_header,
)
from etl.source_file import SourceFile

FORMAT = 1  # raise it when the same source would give other bytes
MOST_PARSERS = 4  # inflating is serial and keeps no more than these busy
ROWS_PER_BATCH = 1 << 17

_SORTING = threading.Lock()  # a sort may take all of the memory limit: one at a time

# Times that should not run backwards and sometimes do: counted, kept.
INTERVALS = {"admissions": ("admittime", "dischtime"), "icustays": ("intime", "outtime")}


@dataclass(frozen=True)
class Job:
    """One table to ingest. ``build`` is the stage's folder."""

    name: str
    origin: Path | DatabaseTable
    layout: Layout
    expected_sha256: str | None
    settings: IngestParams
    build: Path

    @property
    def path(self) -> Path:
        """The file; a database's table has none."""
        if isinstance(self.origin, DatabaseTable):
            raise ContractError(f"{self.origin}: a file is needed here; set paths.mimic_iv to one")
        return self.origin

    @property
    def source_name(self) -> str:
        """The file's name, or schema and table."""
        return self.origin.name if isinstance(self.origin, Path) else self.origin.file_name

    @property
    def source_bytes(self) -> int:
        """On disk, here or at the server."""
        return self.origin.stat().st_size if isinstance(self.origin, Path) else self.origin.bytes

    @property
    def target(self) -> Path:
        return self.build / f"{self.name}.parquet"

    @property
    def rejects_path(self) -> Path:
        return self.build / "rejects" / f"{self.name}.parquet"

    @property
    def made_from(self) -> str:
        """Digest of all that decides the table's bytes; a file by its name, size and mtime."""
        table = TABLES[self.name]
        return digest(
            FORMAT,
            self._identity,
            (dict(table.columns), table.order, table.key),
        )

    @property
    def _identity(self) -> tuple[object, ...]:
        if isinstance(self.origin, DatabaseTable):
            return self.origin.identity
        facts = self.origin.stat()
        return (self.origin.name, facts.st_size, facts.st_mtime_ns, self.expected_sha256)


def read_layout(name: str, path: Path | DatabaseTable) -> Layout:
    """Read a file's header (of a database: its catalogue) and match it with the table's columns."""
    if isinstance(path, DatabaseTable):
        return match_columns(name, path.columns, str(path))
    if path.suffix == ".parquet":
        try:
            columns = pq.read_schema(path).names
        except (pa.ArrowException, OSError):
            raise ContractError(f"{path}: not a readable Parquet file; copy it again") from None
    else:
        first = next(SourceFile(path).blocks(block_bytes=1), b"")
        columns = read_header(first.partition(b"\n")[0])
    if not columns:
        raise ContractError(f"{path}: empty, not even a header; copy it again")
    return match_columns(name, columns, path)


def ingest_table(job: Job, tell: Callable[[int, int], None]) -> dict[str, Any]:
    """Publish one table and its rejects; returns facts. ``tell`` takes rows and bytes so far."""
    source = _open(job)
    rejects: list[Reject] = []
    rows = 0
    with publish(job.target) as part:
        with GroupWriter(part, job.name) as groups:
            writer = SortedWriter(TABLES[job.name], groups)
            for parsed in _parsed_blocks(job, source):
                rejects += [Reject(r.row + rows, r.column, r.kind) for r in parsed.rejects]
                if len(rejects) > job.settings.max_rejects:
                    _refuse_rejects(job, rejects)
                writer.write(_shift_rows(parsed.table, rows))
                rows += parsed.rows
                tell(rows, source.bytes_read)
            writer.finish()
        sha256 = _check_sha256(job, source)
        repeated = _finish_order(job, part, writer.is_sorted)
    _write_rejects(job, rejects)
    notes = {
        "columns reordered": int(job.layout.is_reordered),
        "rows regrouped by patient": 0 if writer.is_sorted else rows,
        DISORDER: source.steps_back if isinstance(source, DatabaseRows) else 0,
        "last line without an end": int(not source.ends_in_line_end),
        "rows repeated word for word, dropped": repeated,
        "unreadable rows, left out": len(rejects),
        **_backward_intervals(job),
    }
    return {
        "rows": rows - len(rejects) - repeated,
        "rejects": len(rejects),
        "notes": {note: count for note, count in notes.items() if count},
        "bytes": job.target.stat().st_size,
        "source_file": job.source_name,
        "source_bytes": job.source_bytes,
        "source_sha256": sha256 or file_sha256(job.target),  # rows of a database have but these
    }


def _open(job: Job) -> SourceFile | DatabaseRows:
    if isinstance(job.origin, DatabaseTable):
        return DatabaseRows(job.origin)
    return SourceFile(job.origin)


def _parsed_blocks(job: Job, source: SourceFile | DatabaseRows) -> Iterator[Parsed]:
    """Blocks in the order of the source, parsed while the next are inflated or received."""
    if isinstance(source, DatabaseRows):
        yield from source.blocks(job.layout)
        return
    if job.path.suffix == ".parquet":
        yield from _parquet_blocks(job)
        return
    parsers = min(job.settings.threads or os.cpu_count() or 1, MOST_PARSERS)
    blocks = source.blocks()
    waiting: deque[Future[Parsed]] = deque()
    is_first = True
    with ThreadPoolExecutor(1) as inflating, ThreadPoolExecutor(parsers) as parsing:
        ahead = inflating.submit(next, blocks, None)
        while (block := ahead.result()) is not None:
            ahead = inflating.submit(next, blocks, None)
            if is_first:
                block = block.partition(b"\n")[2]
                is_first = False
            if block:
                waiting.append(parsing.submit(parse_block, block, job.layout))
            if len(waiting) > parsers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _parquet_blocks(job: Job) -> Iterator[Parsed]:
    try:
        with pq.ParquetFile(job.path) as file:
            for batch in file.iter_batches(ROWS_PER_BATCH):
                yield parse_arrow(pa.Table.from_batches([batch]), job.layout)
    except (pa.ArrowException, OSError) as error:
        raise ContractError(
            f"{job.path}: not a readable Parquet file ({type(error).__name__}); copy it again"
        ) from None


def _shift_rows(table: pa.Table, offset: int) -> pa.Table:
    if SOURCE_ROW not in table.column_names or not offset:
        return table
    at = table.column_names.index(SOURCE_ROW)
    return table.set_column(at, table.schema.field(at), pc.add(table[SOURCE_ROW], offset))


def _check_sha256(job: Job, source: SourceFile | DatabaseRows) -> str | None:
    """The file's, which must be the one that its release names; None for a database's table."""
    if isinstance(source, DatabaseRows):
        return None
    sha256 = source.sha256 if source.bytes_read else file_sha256(job.path)
    if job.expected_sha256 not in (None, sha256):
        raise ContractError(
            f"{job.path}: not the file that SHA256SUMS.txt names (its sha256 starts with"
            f" {sha256[:12]}); download it again"
        )
    return sha256


def _finish_order(job: Job, part: Path, is_sorted: bool) -> int:
    """Sort what was not grouped, drop rows that repeat a keyed row; the number dropped."""
    key = TABLES[job.name].key
    if is_sorted and not (key and count_repeated_keys(part, key)):
        return 0
    scratch = job.build / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    unsorted = scratch / f"{job.name}.parquet"
    part.replace(unsorted)
    with _SORTING, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{job.settings.memory_limit}'")
        connection.execute("SET temp_directory = $folder", {"folder": str(scratch)})
        if job.settings.threads:
            connection.execute(f"SET threads = {job.settings.threads}")
        dropped = rewrite_sorted(connection, unsorted, part, job.name)
    unsorted.unlink()
    repeated = count_repeated_keys(part, key) if key else 0
    if repeated:
        raise ContractError(
            f"{job.name}: {repeated:,} values of {', '.join(key)} stand on several rows that"
            f" differ, in {job.origin}; keep one row of each"
        )
    return dropped


def _refuse_rejects(job: Job, rejects: list[Reject]) -> None:
    _write_rejects(job, rejects)
    kinds = Counter(reject.kind for reject in rejects)
    said = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    first = rejects[0]
    column = f", column {first.column}" if first.column else ""
    raise ContractError(
        f"{job.name}: unreadable rows ({said}) exceed ingest.max_rejects"
        f" {job.settings.max_rejects}, first at data row {first.row:,}{column} of {job.origin};"
        f" mend the file or raise ingest.max_rejects (rows: {job.rejects_path})"
    )


def _write_rejects(job: Job, rejects: list[Reject]) -> None:
    if not rejects:
        job.rejects_path.unlink(missing_ok=True)
        return
    columns = {
        SOURCE_ROW: pa.array([reject.row for reject in rejects], pa.int64()),
        "column": pa.array([reject.column for reject in rejects], pa.string()),
        "kind": pa.array([reject.kind for reject in rejects], pa.string()),
    }
    with publish(job.rejects_path) as part:
        pq.write_table(pa.table(columns).sort_by(SOURCE_ROW), part)


def _backward_intervals(job: Job) -> dict[str, int]:
    if job.name not in INTERVALS:
        return {}
    start, end = INTERVALS[job.name]
    times = pq.read_table(job.target, columns=[start, end])
    count = pc.sum(pc.less(times[end], times[start])).as_py() or 0
    return {f"{end} before {start}, kept": count}

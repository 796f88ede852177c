"""The tables of a release: which are there, whole, and of how many rows."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from cxrfuture_data.console import progress
from cxrfuture_data.schema import ContractError
from etl.database import Database
from etl.doctor_file import damage_at_the_ends, damage_by_checksum
from etl.doctor_problem import Level, Problems
from etl.doctor_release import expected_bytes
from etl.ingest import KILOBYTE, LABELS, wanted_tables
from etl.metadata import (
    SMALL_TABLES,
    read_ingested_table,
    read_small_table,
    table_job,
)
from etl.mimic_schema import RECIPE_TABLES, TABLES
from etl.params import Params
from etl.recipe import Recipe, read_recipe
from etl.sources import Release, read_checksums
from etl.version import Version
from etl.version_schema import expected_rows

WHOLE, ENDS, SUM = "read whole", "header and ends", "checksum"


@dataclass(frozen=True)
class TableFacts:
    """One table. ``rows``: None where nobody has counted them yet; ``parquet``: None alike."""

    name: str
    file: str
    is_needed: bool
    size: int = 0
    state: str = "missing"
    checked: str = ""
    rows: int | None = None
    expected: int | None = None
    parquet: Path | None = None

    @property
    def is_there(self) -> bool:
        return self.state != "missing"


def look_at_tables(
    params: Params, release: Release | Database, deep: str, problems: Problems
) -> list[TableFacts]:
    """Every known table of the release; those that a run reads and are not whole are problems."""
    facts = []
    for name, table in TABLES.items():
        if (table.module == "cxr") != (release.source == "mimic_cxr_jpg"):
            continue
        if name in release.tables:
            facts.append(_look_at_table(params, release, name, problems))
            continue
        facts.append(TableFacts(name, table.file, is_needed(params, name)))
        if name in RECIPE_TABLES and not _has_other_labels(release, name):
            _tell_missing(release, name, problems)
    if deep == "sums" and isinstance(release, Release):
        return _check_sums(release, facts, problems)
    return facts


def _tell_missing(release: Release | Database, name: str, problems: Problems) -> None:
    table = TABLES[name]
    if isinstance(release, Database):
        next_step = "load it with mimic-code, or set paths.mimic_iv to the database that has it"
        problems.add(name, f"no table {table.module}.{table.stem} in {release.root}", next_step)
        return
    problems.add(
        name,
        f"no {table.stem}.csv.gz, .csv or .parquet in"
        f" {release.root if table.module == 'cxr' else release.root / table.module}",
        f"download it, or set paths.{release.source} to the folder that has it",
    )


def _has_other_labels(release: Release | Database, name: str) -> bool:
    """One labeler's labels are enough for ingest; recipes say which they read."""
    return name in LABELS and any(other in release.tables for other in LABELS)


def is_needed(params: Params, name: str) -> bool:
    """Whether ingest reads the table if it is there."""
    return params.ingest.tables == "all" or name in wanted_tables(_readable_recipes(params))


def _readable_recipes(params: Params) -> Iterator[Recipe]:
    """A recipe that cannot be read is a problem by its own name."""
    for name in params.recipes:
        with suppress(ContractError):
            yield read_recipe(name)


def _look_at_table(
    params: Params, release: Release | Database, name: str, problems: Problems
) -> TableFacts:
    table = release.tables[name]
    level: Level = "fails" if is_needed(params, name) else "warning"
    facts = TableFacts(name, _name_of(release, name), level == "fails", state="damaged")
    with problems.caught(name, level):
        if isinstance(table, Path):
            facts = replace(facts, size=table.stat().st_size)
            damage = damage_at_the_ends(table)
            if damage is not None:
                problems.add(name, f"{table}: {damage}", "download it again", level)
                return facts
        table_job(params, release, name)  # checks the header
        read = read_small_table if name in SMALL_TABLES else read_ingested_table
        parquet: Path | None = read(params, release, name)
        checked = ENDS if parquet is None else WHOLE
        rows = pq.read_metadata(parquet).num_rows if parquet else None
        return replace(facts, state="ok", checked=checked, rows=rows, parquet=parquet)
    return facts


def _name_of(release: Release | Database, name: str) -> str:
    """The file below the root; in full where it is made from headers; or schema and table."""
    table = release.tables[name]
    if not isinstance(table, Path):
        return table.file_name
    root = Path(release.root)
    return str(table.relative_to(root) if table.is_relative_to(root) else table)


def _check_sums(
    release: Release, facts: Sequence[TableFacts], problems: Problems
) -> list[TableFacts]:
    """Read every file of the release again, against SHA256SUMS.txt or gzip's own checksum."""
    sums = read_checksums(release.root)
    checked = []
    kilobytes = sum(table.size for table in facts if table.is_there) // KILOBYTE
    with progress(f"checksums of {release.source}", kilobytes, "kB") as advance:
        for table in facts:
            if table.state == "ok":
                level: Level = "fails" if table.is_needed else "warning"
                with problems.caught(table.name, level):
                    path = release.root / table.file
                    damage = damage_by_checksum(
                        path, sums.get(table.file), lambda size: advance(size // KILOBYTE)
                    )
                    if damage is not None:
                        problems.add(table.name, f"{path}: {damage}", "download it again", level)
                    table = replace(table, checked=SUM, state="altered" if damage else "ok")
            checked.append(table)
    return checked


def compare_with_release(
    release: Release | Database,
    version: Version,
    tables: Sequence[TableFacts],
    problems: Problems,
) -> list[TableFacts]:
    """Rows of the version beside those found; a large file much too small was cut short."""
    if release.simulated:
        return list(tables)
    rows = expected_rows(release.source, version.release_rows)
    compared = []
    for table in tables:
        expected = rows.get(table.name)
        compared.append(replace(table, expected=expected))
        if table.state != "ok" or expected is None:
            continue
        if table.rows is not None and table.rows != expected:
            problems.add(
                table.name,
                f"{table.rows:,} rows, release {version.title} has {expected:,}",
                "a table of another release, or a part of it: download it again",
                "warning",
            )
        size = expected_bytes(table.name, expected)
        is_gzip = table.file.endswith(".gz")
        if table.rows is None and is_gzip and size is not None and table.size < 0.7 * size:
            problems.add(
                table.name,
                f"{table.file}: {table.size / 1e6:,.0f} MB, release {version.title} has about"
                f" {size / 1e6:,.0f}",
                "it seems cut short: `cxrfuture doctor --deep sums` tells, or download it again",
                "fails" if table.is_needed else "warning",
            )
    return compared

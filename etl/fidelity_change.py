"""How the tables of two builds of a recipe differ: rows by their keys, then value by value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from cxrfuture_data.schema import PHENOTYPES
from etl.sqlfile import bind_tables, create_table

ROWS = ""


@dataclass(frozen=True)
class Compared:
    """A Parquet file of a build. Values are compared where the row is in both builds, or, where
    the table is ``sparse``, a row that is missing counts as values that are missing."""

    table: str
    file: str
    keys: tuple[str, ...]
    values: tuple[str, ...] = ()  # empty: every column that is no key
    sparse: bool = False


# Hourly values and events are those of windows in both builds: what a sample that came or went
# brought or took is counted with the samples.
COMPARED = (
    Compared("pair", "cohort/pair", ("pair_id",)),
    Compared("stay", "cohort/stay", ("key",)),
    Compared("image", "cohort/image", ("key",)),
    Compared("label", "cohort/label", ("study_id",)),
    Compared("phenotype", "cohort/phenotype", (), PHENOTYPES),
    Compared("hourly", "window/hourly", ("kind", "key", "hour"), sparse=True),
    Compared(
        "event", "window/window_event", ("kind", "key", "event_table", "source_row"), ("text",)
    ),
)
_OF_WINDOWS = {"hourly", "event"}


@dataclass(frozen=True)
class Change:
    """Rows of a table (``column`` is ROWS), or the values of one of its columns.

    ``before`` and ``after`` count rows, or values that are not null; ``touched`` how many windows
    an hourly value or event that differs belongs to, else how many rows.
    """

    table: str
    column: str
    before: int
    after: int
    gained: int
    lost: int
    changed: int
    touched: int

    @property
    def is_none(self) -> bool:
        return not (self.gained or self.lost or self.changed)


def compare_builds(connection: DuckDBPyConnection, before: Path, after: Path) -> list[Change]:
    """Every table of ``before`` against the same of ``after``, both folders build/<recipe>."""
    _create_common(connection, before, after)
    changes = []
    for compared in COMPARED:
        builds = {"before": before, "after": after}
        if all((build / f"{compared.file}.parquet").exists() for build in builds.values()):
            sides = {side: _rows_of(compared, build) for side, build in builds.items()}
            changes += _compare(connection, compared, sides)
    return changes


def count_hours_before_first(connection: DuckDBPyConnection, build: Path) -> Change:
    """Hours before a window's first measurement, whose age and sex are not the patient's."""
    tables = ("window", "hourly")
    bind_tables(connection, {name: build / "window" / f"{name}.parquet" for name in tables})
    create_table(connection, "hour_before_first", "fidelity/hour_before_first")
    query = "SELECT COALESCE(SUM(hours), 0)::BIGINT, COUNT(*) FROM hour_before_first"
    hours, windows = connection.execute(query).fetchall()[0]
    everything = connection.execute('SELECT COALESCE(SUM(hours), 0)::BIGINT FROM "window"')
    total = everything.fetchall()[0][0]
    return Change("hour", "age and sex", total, total, 0, 0, hours, windows)


def _rows_of(compared: Compared, build: Path) -> str:
    """What a build holds of a table, to select from; of events the texts that their ids read."""
    rows = _read(build / f"{compared.file}.parquet")
    if compared.table != "event":
        return rows
    texts = _read(build / "event" / "text.parquet")
    columns = "kind, key, event_table, source_row, text"
    return f"(SELECT {columns} FROM {rows} INNER JOIN {texts} USING (text_id))"


def _create_common(connection: DuckDBPyConnection, before: Path, after: Path) -> None:
    """The table ``common``: (kind, key) of every window in both builds."""
    sides = [
        f"SELECT kind, key FROM {_read(side / 'window' / 'window.parquet')}"
        for side in (before, after)
    ]
    connection.execute(f"CREATE TEMP TABLE common AS {' INTERSECT '.join(sides)}")


def _compare(
    connection: DuckDBPyConnection, compared: Compared, sides: Mapping[str, str]
) -> list[Change]:
    found = connection.execute(f"SELECT * FROM {sides['before']} LIMIT 0").description
    columns = [column[0] for column in found or ()]
    keys = compared.keys or tuple(name for name in columns if name not in compared.values)
    values = compared.values or tuple(name for name in columns if name not in keys)
    counts = connection.execute(_query(compared, keys, values, sides)).fetchall()[0]
    groups = [counts[start : start + 6] for start in range(0, len(counts), 6)]
    names = (ROWS, *values)
    return [Change(compared.table, name, *group) for name, group in zip(names, groups, strict=True)]


def _query(
    compared: Compared, keys: Sequence[str], values: Sequence[str], sides: Mapping[str, str]
) -> str:
    """One row: six counts of the rows, then six of each column's values."""
    only = " WHERE (kind, key) IN (SELECT (kind, key) FROM common)"
    where = only if compared.table in _OF_WINDOWS else ""
    read = ", ".join(
        f"{side} AS (SELECT *, TRUE AS is_there FROM {rows}{where})" for side, rows in sides.items()
    )
    on = " AND ".join(f"before.{_quote(key)} = after.{_quote(key)}" for key in keys)
    both = "(before.is_there AND after.is_there)"
    differing = [f"before.{_quote(name)} IS DISTINCT FROM after.{_quote(name)}" for name in values]
    counts = _counts("is_there", f"({both} AND ({' OR '.join(differing)}))", compared, "TRUE")
    within = "TRUE" if compared.sparse else both
    for name in values:
        column = _quote(name)
        counts += _counts(column, f"before.{column} <> after.{column}", compared, within)
    return f"WITH {read} SELECT {', '.join(counts)} FROM before FULL JOIN after ON {on}"


def _counts(column: str, changed: str, compared: Compared, within: str) -> list[str]:
    old, new = f"before.{column}", f"after.{column}"
    gained = f"({within} AND {old} IS NULL AND {new} IS NOT NULL)"
    lost = f"({within} AND {old} IS NOT NULL AND {new} IS NULL)"
    touched = f"{gained} OR {lost} OR ({within} AND {changed})"
    one = "*"
    if compared.table in _OF_WINDOWS:
        kind, key = (f"COALESCE(before.{name}, after.{name})" for name in ("kind", "key"))
        one = f"DISTINCT ({kind}, {key})"
    return [
        f"COUNT({old})",
        f"COUNT({new})",
        f"COUNT(*) FILTER ({gained})",
        f"COUNT(*) FILTER ({lost})",
        f"COUNT(*) FILTER ({within} AND {changed})",
        f"COUNT({one}) FILTER ({touched})",
    ]


def _read(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}')"


def _quote(name: str) -> str:
    return f'"{name}"'

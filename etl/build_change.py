"""How the tables of two builds of a recipe differ: rows by their keys, then value by value.

A row is known by what MIMIC calls it: hadm_id, stay_id, study_id, dicom_id. The keys of samples are
hashes of ours, which other code may make otherwise, so windows of two builds are matched first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from cxrfuture_data.schema import PHENOTYPES
from etl.built_recipe import read_built
from etl.sqlfile import bind_tables, create_table, scan

ROWS = ""


@dataclass(frozen=True)
class Compared:
    """A Parquet file of a build. Values are compared where the row is in both builds, or, where
    the table is ``sparse``, a row that is missing counts as values that are missing. Rows that are
    ``of_windows`` are those of windows in both builds, known by the window's number in ``matched``.
    """

    table: str
    file: str
    keys: tuple[str, ...]
    values: tuple[str, ...] = ()  # empty: every column that is no key
    sparse: bool = False
    of_windows: bool = False
    columns: str = "*"


# A film may lie in two stays; where the rules pair films within a stay the stay is part of a pair.
PAIRED_WITHIN_STAYS = ("ddl_cxr",)
# The windows of a sample of a table.
WINDOW_KINDS = {"pair": ("pair",), "stay": ("stay", "generation")}
STAY_KEYS = {"future": ("hadm_id", "prediction_at")}
# Several samples without events may hold one film twice, each in place of another target.
_NULL_EVENT = "* EXCLUDE (pair_id), CASE WHEN is_null_event THEN pair_id END AS null_event_id"
IMAGE = Compared("image", "cohort/image", ("dicom_id",), columns="* EXCLUDE (key)")
LABEL = Compared("label", "cohort/label", ("study_id",))
PHENOTYPE = Compared("phenotype", "cohort/phenotype", (), PHENOTYPES)
# Hourly values and events are those of windows in both builds: what a sample that came or went
# brought or took is counted with the samples.
HOURLY = Compared("hourly", "window/hourly", ("number", "hour"), sparse=True, of_windows=True)
# Events by their row in the source: of one ingest alone.
SOURCE_EVENT = Compared(
    "event",
    "window/window_event",
    ("number", "event_table", "source_row"),
    ("text",),
    of_windows=True,
)


def samples_of(rules: str) -> tuple[Compared, Compared, Compared]:
    """Pairs, stays and images, known by the ids that the rules build them from."""
    within = ("stay_id",) if rules in PAIRED_WITHIN_STAYS else ()
    films = ("previous_dicom_id", "target_dicom_id", "null_event_id")
    pair = Compared("pair", "cohort/pair", ("hadm_id", *within, *films), columns=_NULL_EVENT)
    keys = STAY_KEYS.get(rules, ("stay_id",))
    stay = Compared("stay", "cohort/stay", keys, columns="* EXCLUDE (key)")
    return pair, stay, IMAGE


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
    """Every table of ``before`` against the same of ``after``, both folders build/<recipe> made
    from one ingest."""
    samples = samples_of(read_built(before).rules)
    match_windows(connection, samples, before, after)
    tables = (*samples, LABEL, PHENOTYPE, HOURLY, SOURCE_EVENT)
    return compare_tables(connection, tables, before, after)


def compare_tables(
    connection: DuckDBPyConnection, tables: Sequence[Compared], before: Path, after: Path
) -> list[Change]:
    """Those of ``tables`` that both builds have. Needs ``match_windows`` for tables of windows."""
    changes = []
    for compared in tables:
        builds = {"before": before, "after": after}
        if all((build / f"{compared.file}.parquet").exists() for build in builds.values()):
            sides = {side: rows_of(compared, side, build) for side, build in builds.items()}
            changes += _compare(connection, compared, sides)
    return changes


def match_windows(
    connection: DuckDBPyConnection, samples: Sequence[Compared], before: Path, after: Path
) -> None:
    """The table ``matched``: a number for each window in both builds, its kind and its two keys."""
    builds = {"before": before, "after": after}
    queries = []
    for compared in samples:
        kinds = WINDOW_KINDS.get(compared.table, ())
        key = "pair_id" if compared.table == "pair" else "key"
        rows = {
            side: f"(SELECT {compared.columns}, {key} AS sample_key"
            f" FROM {scan(build / f'{compared.file}.parquet')}) AS {side}"
            for side, build in builds.items()
        }
        queries += [
            f"SELECT '{kind}' AS kind, before.sample_key AS before_key"
            f", after.sample_key AS after_key"
            f" FROM {rows['before']} INNER JOIN {rows['after']} ON {equal(compared.keys)}"
            for kind in kinds
        ]
    there = " AND ".join(
        f"(kind, {side}_key) IN (SELECT (kind, key) FROM {scan(build / 'window/window.parquet')})"
        for side, build in builds.items()
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE matched AS SELECT *, ROW_NUMBER() OVER () AS number"
        f" FROM ({' UNION ALL '.join(queries)}) WHERE {there}"
    )


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


def rows_of(compared: Compared, side: str, build: Path) -> str:
    """What a build (``side``: before or after) holds of a table, to select from; of events the
    texts that their ids read."""
    rows = scan(build / f"{compared.file}.parquet")
    if not compared.of_windows:
        return f"(SELECT {compared.columns} FROM {rows})"
    joined = (
        f"(SELECT {compared.columns} FROM {rows}) AS held INNER JOIN matched"
        f" ON held.kind = matched.kind AND held.key = matched.{side}_key"
    )
    if compared.table != "event":
        return f"(SELECT matched.number, held.* EXCLUDE (kind, key) FROM {joined})"
    texts = scan(build / "event" / "text.parquet")
    columns = "number, event_table, event_at, source_row, text"
    return f"(SELECT {columns} FROM {joined} INNER JOIN {texts} USING (text_id))"


def columns_of(connection: DuckDBPyConnection, rows: str) -> list[str]:
    """Column names of a table, a file or a query in brackets."""
    found = connection.execute(f"SELECT * FROM {rows} LIMIT 0").description
    return [column[0] for column in found or ()]


def _compare(
    connection: DuckDBPyConnection, compared: Compared, sides: Mapping[str, str]
) -> list[Change]:
    """Columns that one build lacks are not compared."""
    there = set(columns_of(connection, sides["after"]))
    columns = [name for name in columns_of(connection, sides["before"]) if name in there]
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
    there = ", ".join(
        f"{side} AS (SELECT *, TRUE AS is_there FROM {rows})" for side, rows in sides.items()
    )
    both = "(before.is_there AND after.is_there)"
    differing = [f"before.{_quote(name)} IS DISTINCT FROM after.{_quote(name)}" for name in values]
    different = " OR ".join(differing) or "FALSE"
    counts = _counts("is_there", f"({both} AND ({different}))", compared, "TRUE")
    within = "TRUE" if compared.sparse else both
    for name in values:
        column = _quote(name)
        counts += _counts(column, f"before.{column} <> after.{column}", compared, within)
    joined = f"before FULL JOIN after ON {equal(keys)}"
    return f"WITH {there} SELECT {', '.join(counts)} FROM {joined}"


def equal(keys: Sequence[str]) -> str:
    """A condition between ``before`` and ``after``; a key may be null."""
    terms = (f"before.{_quote(key)} IS NOT DISTINCT FROM after.{_quote(key)}" for key in keys)
    return " AND ".join(terms)


def _counts(column: str, changed: str, compared: Compared, within: str) -> list[str]:
    old, new = f"before.{column}", f"after.{column}"
    gained = f"({within} AND {old} IS NULL AND {new} IS NOT NULL)"
    lost = f"({within} AND {old} IS NOT NULL AND {new} IS NULL)"
    touched = f"{gained} OR {lost} OR ({within} AND {changed})"
    one = "*"
    if compared.of_windows:
        one = "DISTINCT COALESCE(before.number, after.number)"
    return [
        f"COUNT({old})",
        f"COUNT({new})",
        f"COUNT(*) FILTER ({gained})",
        f"COUNT(*) FILTER ({lost})",
        f"COUNT(*) FILTER ({within} AND {changed})",
        f"COUNT({one}) FILTER ({touched})",
    ]


def _quote(name: str) -> str:
    return f'"{name}"'

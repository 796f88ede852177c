"""What differs between two builds of a recipe, and by which filter: `cxrfuture diff`.

Counts only. Both builds have been through event, cohort and window; neither is written to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from cxrfuture_data.schema import SCHEMA_VERSION, ContractError
from etl.build_cause import Cause, find_causes
from etl.build_change import (
    HOURLY,
    LABEL,
    PHENOTYPE,
    ROWS,
    Change,
    Compared,
    columns_of,
    compare_tables,
    match_windows,
    rows_of,
    samples_of,
)
from etl.built_recipe import BuiltRecipe, read_built
from etl.ledger import LEDGER, read_ledger
from etl.sqlfile import scan

STAGES = ("event", "cohort", "window")
FILES = {
    "event": ("text.parquet", LEDGER),
    "cohort": (
        *(
            f"{name}.parquet"
            for name in ("pair", "stay", "image", "film", "split", "all_stay", "label", "dropped")
        ),
        LEDGER,
    ),
    "window": ("window.parquet", "hourly.parquet", "window_event.parquet", LEDGER),
}
PATIENT = Compared("patient", "cohort/split", ("subject_id",), ("split",))
# An admission where the rules know no ICU stays.
ICU_STAY = Compared("cohort stay", "cohort/all_stay", ("hadm_id", "stay_id"))
FILM = Compared("film", "cohort/film", ("dicom_id",), columns="* EXCLUDE (source_row)")
WINDOW = Compared("window", "window/window", ("number",), of_windows=True)
# Rows of the events themselves have no name that outlives a release; see _compare_events.
EVENT = Compared("event", "window/window_event", (), of_windows=True)
LABELS = (
    LABEL,
    Compared("radiologist_label", "cohort/radiologist_label", ("study_id",)),
    Compared("attribute", "cohort/attribute", ("dicom_id",)),
    Compared(
        "change",
        "cohort/change",
        ("number",),
        of_windows=True,
        columns="'pair' AS kind, pair_id AS key, * EXCLUDE (pair_id)",
    ),
    PHENOTYPE,
)


@dataclass(frozen=True)
class LedgerLine:
    """One filter in both builds; None where a build has no such filter."""

    stage: str
    unit: str
    reason: str
    before_a: int | None
    removed_a: int | None
    before_b: int | None
    removed_b: int | None

    @property
    def is_equal(self) -> bool:
        return (self.before_a, self.removed_a) == (self.before_b, self.removed_b)


@dataclass(frozen=True)
class BuildDiff:
    """How build B of a recipe differs from build A. ``moves``: patients by (split in A, in B);
    ``settings``: recipe settings by name, as (A, B); ``unshared``: columns that one build lacks."""

    recipe: str
    changes: list[Change]
    moves: dict[tuple[str, str], int]
    causes: list[Cause]
    ledger: list[LedgerLine]
    settings: dict[str, tuple[Any, Any]]
    unshared: list[str]

    @property
    def is_none(self) -> bool:
        """Whether nothing differs: no row, value, count of a filter, setting or column."""
        is_equal = all(line.is_equal for line in self.ledger)
        same = is_equal and all(change.is_none for change in self.changes)
        return same and not self.settings and not self.unshared


def find_recipes(build_a: Path, build_b: Path, recipe: str | None) -> dict[str, tuple[Path, Path]]:
    """The two folders of each recipe in both; a build is the folder of one or of all."""
    found = [_recipes_of(build) for build in (build_a, build_b)]
    singles = {
        name
        for build, names in zip((build_a, build_b), found, strict=True)
        if (build / "cohort").is_dir()
        for name in names
    }
    wanted = singles | ({recipe} if recipe else set())
    if len(wanted) > 1:
        raise ContractError(
            f"{' and '.join(sorted(wanted))} are different recipes; give two builds of one"
            " (`cxrfuture fidelity` compares the corrections of a recipe)"
        )
    for build, names in zip((build_a, build_b), found, strict=True):
        missing = sorted(wanted - names.keys())
        if missing:
            raise ContractError(
                f"{build}: no recipe {missing[0]} there, but {', '.join(sorted(names))};"
                f" run `cxrfuture cohort --recipe {missing[0]}`"
            )
    common = sorted(wanted or found[0].keys() & found[1].keys())
    if not common:
        raise ContractError(
            f"{build_a} has {', '.join(sorted(found[0]))} and {build_b} has"
            f" {', '.join(sorted(found[1]))}: no recipe in both; build one in both"
        )
    return {name: (found[0][name], found[1][name]) for name in common}


def _recipes_of(build: Path) -> dict[str, Path]:
    if not build.is_dir():
        raise ContractError(f"{build}: no such folder; give a build folder, or a recipe's in it")
    if (build / "cohort").is_dir():
        return {build.resolve().name: build}
    names = {path.parent.name: path.parent for path in sorted(build.glob("*/cohort"))}
    if not names:
        raise ContractError(
            f"{build}: no built cohort; give the folder that holds <recipe>/cohort, or build it"
        )
    return names


def diff_builds(connection: DuckDBPyConnection, before: Path, after: Path) -> BuildDiff:
    """Compare two folders build/<recipe>."""
    records = [_require_finished(connection, build) for build in (before, after)]
    settings = _require_comparable(records, before, after)
    samples = samples_of(records[0].rules)
    units = (PATIENT, ICU_STAY, FILM, *samples)
    tables = (*units, *LABELS, WINDOW, HOURLY)
    match_windows(connection, samples, before, after)
    changes = compare_tables(connection, tables, before, after)
    changes = _count_unmatched(connection, changes, before, after)
    changes.append(_compare_events(connection, before, after))
    causes = [cause for unit in units for cause in find_causes(connection, unit, before, after)]
    return BuildDiff(
        before.resolve().name,
        changes,
        _moves(connection, before, after),
        causes,
        _ledger_lines(before, after),
        settings,
        _unshared(connection, tables, before, after),
    )


def _require_finished(connection: DuckDBPyConnection, build: Path) -> BuiltRecipe:
    record = read_built(build)
    for stage, names in FILES.items():
        advice = f"run `cxrfuture {stage} --recipe {build.name}` to finish this build"
        for name in names:
            if not (build / stage / name).exists():
                raise ContractError(f"{build / stage / name}: no such file; {advice}")
        halves = sorted((build / stage).glob("*.part"))
        if halves:
            raise ContractError(f"{halves[0]}: being written, or cut short; {advice}")
    samples = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, {key} AS key FROM {scan(build / 'cohort' / f'{kind}.parquet')}"
        for kind, key in (("pair", "pair_id"), ("stay", "key"))
    )
    windows = (
        f"SELECT kind, key FROM {scan(build / 'window' / 'window.parquet')}"
        " WHERE kind IN ('pair', 'stay')"
    )
    others = connection.execute(
        f"SELECT COUNT(*) FROM ((({samples}) EXCEPT {windows}) UNION ALL"
        f" ({windows} EXCEPT ({samples})))"
    )
    count = others.fetchall()[0][0]
    if count:
        raise ContractError(
            f"{build / 'window'}: {count:,} windows are not those of the cohort beside it;"
            f" run `cxrfuture window --recipe {build.name}` again"
        )
    return record


def _require_comparable(
    records: Sequence[BuiltRecipe], before: Path, after: Path
) -> dict[str, tuple[Any, Any]]:
    """The settings in which the recipes differ; their name, rules and fidelity may not."""
    for build, record in zip((before, after), records, strict=True):
        if record.schema_version != SCHEMA_VERSION:
            raise ContractError(
                f"{build}: built for schema version {record.schema_version}, this code reads"
                f" {SCHEMA_VERSION}; build it again, or compare by the code that built it"
            )
    settings = _differing(records[0].recipe, records[1].recipe)
    for name in ("name", "rules", "fidelity"):
        if name in settings:
            raise ContractError(
                f"{before} has {name} {settings[name][0]}, {after} {settings[name][1]}; give two"
                " builds of one recipe (`cxrfuture fidelity` compares corrections)"
            )
    return settings


def _differing(
    one: Mapping[str, Any], other: Mapping[str, Any], within: str = ""
) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in sorted(one.keys() | other.keys()):
        values = one.get(name), other.get(name)
        if values[0] == values[1]:
            continue
        if isinstance(values[0], dict) and isinstance(values[1], dict):
            found |= _differing(values[0], values[1], f"{within}{name}.")
        else:
            found[within + name] = values
    return found


def _count_unmatched(
    connection: DuckDBPyConnection, changes: Sequence[Change], before: Path, after: Path
) -> list[Change]:
    """The changes, with the windows of one build alone among the rows of the windows."""
    a, b = (_count_rows(connection, build / "window/window.parquet") for build in (before, after))
    both = connection.execute("SELECT COUNT(*) FROM matched").fetchall()[0][0]
    return [
        Change(WINDOW.table, ROWS, a, b, b - both, a - both, change.changed, change.touched)
        if (change.table, change.column) == (WINDOW.table, ROWS)
        else change
        for change in changes
    ]


def _count_rows(connection: DuckDBPyConnection, path: Path) -> int:
    return int(connection.execute(f"SELECT COUNT(*) FROM {scan(path)}").fetchall()[0][0])


def _compare_events(connection: DuckDBPyConnection, before: Path, after: Path) -> Change:
    """Events of windows in both builds, known by table, time and text: one whose text changed is
    lost and gained. Their rows in the source are other ones in each release."""
    texts = {"before": before, "after": after}
    rows = " UNION ALL ".join(
        f"SELECT number, event_table, event_at, HASH(text) AS words, '{side}' AS side"
        f" FROM {rows_of(EVENT, side, build)}"
        for side, build in texts.items()
    )
    counts = connection.execute(
        "SELECT COALESCE(SUM(a), 0)::BIGINT, COALESCE(SUM(b), 0)::BIGINT"
        ", COALESCE(SUM(GREATEST(b - a, 0)), 0)::BIGINT"
        ", COALESCE(SUM(GREATEST(a - b, 0)), 0)::BIGINT, 0::BIGINT"
        ", COUNT(DISTINCT number) FILTER (a <> b) FROM ("
        "SELECT number, COUNT(*) FILTER (side = 'before') AS a"
        f", COUNT(*) FILTER (side = 'after') AS b FROM ({rows})"
        " GROUP BY number, event_table, event_at, words)"
    )
    return Change(EVENT.table, ROWS, *counts.fetchall()[0])


def _moves(connection: DuckDBPyConnection, before: Path, after: Path) -> dict[tuple[str, str], int]:
    """Patients of both builds whose split is another, by (split before, after)."""
    a, b = (scan(build / "cohort" / "split.parquet") for build in (before, after))
    rows = connection.execute(
        f"SELECT before.split, after.split, COUNT(*) FROM {a} AS before INNER JOIN {b} AS after"
        " ON before.subject_id = after.subject_id AND before.split <> after.split"
        " GROUP BY ALL ORDER BY ALL"
    )
    return {(old, new): count for old, new, count in rows.fetchall()}


def _ledger_lines(before: Path, after: Path) -> list[LedgerLine]:
    """The filters of both builds, in the order in which they ran; one name may filter twice."""
    lines = []
    for stage in STAGES:
        sides = [_numbered(build / stage) for build in (before, after)]
        for name in dict.fromkeys([*sides[0], *sides[1]]):
            a, b = (side.get(name, (None, None)) for side in sides)
            lines.append(LedgerLine(stage, name[0], name[1], *a, *b))
    return lines


def _numbered(
    folder: Path,
) -> dict[tuple[str, str, int], tuple[int | None, int | None]]:
    """(unit, reason, which of that name) -> before, removed."""
    found: dict[tuple[str, str, int], tuple[int | None, int | None]] = {}
    for drop in read_ledger(folder):
        count = sum(name[:2] == (drop.unit, drop.reason) for name in found)
        found[(drop.unit, drop.reason, count)] = (drop.before, drop.removed)
    return found


def _unshared(
    connection: DuckDBPyConnection, tables: Sequence[Compared], before: Path, after: Path
) -> list[str]:
    """Names such as label.Edema that one build has and the other lacks; a table as a whole too."""
    names = []
    for compared in tables:
        paths = [build / f"{compared.file}.parquet" for build in (before, after)]
        if not all(path.exists() for path in paths):
            names += [compared.table] if any(path.exists() for path in paths) else []
            continue
        a, b = ({*columns_of(connection, scan(path))} for path in paths)
        names += [f"{compared.table}.{column}" for column in sorted(a ^ b)]
    return names

"""A recipe's cohort before its event tables are read: how many samples at most, and of which films.

The recipe's own rules run on the small tables; where they read no more, that is the cohort. Three
files read measurements or events; in their place run those of sql/plan, as if no window were
empty, and what the rules keep is then everything that a build can keep.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from cxrfuture_data.schema import SPLITS, ContractError
from etl.cohort import (
    NEEDED,
    OFFICIAL_SPLIT,
    RULES,
    SAMPLES,
    SHARED,
    apply_rules,
    assign_patients,
    read_official_split,
)
from etl.metadata import SMALL_TABLES
from etl.mimic_schema import TABLES
from etl.params import Params
from etl.recipe import Recipe
from etl.sqlfile import bind_tables, open_sql, read_sql

STAND_INS = {
    "window/windowed_measurement": "plan/windowed_measurement",
    "cohort/ddl_cxr/pair_event_hours": "plan/pair_event_hours",
    "cohort/ehrxdiff/pair_event": "plan/pair_event",
}
EVENT_STAGE = ("measurement", "event")
FINDING = "cxr_finding"
_TABLE = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_0-9]+)")

Samples = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class PlannedCohort:
    """What a recipe takes: samples by kind and split, and its films as paths in the release.

    ``is_exact``: as a build has it; else no build has more samples or other films.
    """

    recipe: str
    is_exact: bool
    samples: Samples
    films: Sequence[str]

    @property
    def total(self) -> int:
        return sum(count for splits in self.samples.values() for count in splits.values())


def files_of_rules(recipe: Recipe) -> list[str]:
    """The SQL that makes the recipe's cohort from metadata."""
    return [STAND_INS.get(name, name) for name in (*SHARED, *RULES[recipe.rules])]


def tables_of_rules(recipe: Recipe) -> list[str]:
    """The source tables that the rules read, the labeler's, and an official split, which may be
    missing."""
    read = {table for name in files_of_rules(recipe) for table in _TABLE.findall(_body(name))}
    tables = {f"cxr_{recipe.labels.findings}", *NEEDED.get(recipe.rules, ())}
    if recipe.split.method == "official":
        tables.add(OFFICIAL_SPLIT)
    return sorted(tables | {table for table in read if table in TABLES})


def require_metadata_only(recipe: Recipe) -> None:
    """Refuse rules whose bound cannot be had without the event tables."""
    read = {table for name in files_of_rules(recipe) for table in _TABLE.findall(_body(name))}
    late = sorted(read & set(EVENT_STAGE)) or sorted(
        set(tables_of_rules(recipe)) - set(SMALL_TABLES)
    )
    if late:
        raise ContractError(
            f"recipe {recipe.name}: its rules read {late[0]}, which is not metadata; plan it with"
            " --exact, which reads the event tables"
        )


def plan_from_metadata(params: Params, recipe: Recipe, tables: Mapping[str, Path]) -> PlannedCohort:
    """The bound; where no file had to be replaced, what a build has.

    ``tables``: the Parquet of those that ``tables_of_rules`` names.
    """
    require_metadata_only(recipe)
    is_exact = not STAND_INS.keys() & RULES[recipe.rules].keys()
    folder = params.build("plan", recipe.name)
    with open_sql(params.sql, folder / ".spill") as connection:
        bind_tables(connection, tables)
        bind_tables(connection, {FINDING: tables[f"cxr_{recipe.labels.findings}"]})
        apply_rules(connection, recipe, STAND_INS)
        if not any(_has_sample(connection, kind) for kind in SAMPLES):
            return PlannedCohort(recipe.name, is_exact, _by_kind(recipe, []), ())
        is_official = recipe.split.method == "official" and OFFICIAL_SPLIT in tables
        named = read_official_split(connection) if is_official else {}
        assign_patients(connection, recipe, folder, named)
        counts = "\nUNION ALL\n".join(
            f"SELECT '{kind}', split, COUNT(*) FROM {kind}_sample INNER JOIN assigned"
            " USING (subject_id) WHERE drop_reason IS NULL GROUP BY split"
            for kind in recipe.kinds
        )
        rows = connection.execute(counts).fetchall()
        films = connection.execute(f"SELECT path FROM ({_body('cohort/film')}) ORDER BY path")
        paths = tuple(path for (path,) in films.fetchall())
    return PlannedCohort(recipe.name, is_exact, _by_kind(recipe, rows), paths)


def read_built_cohort(params: Params, recipe: Recipe) -> PlannedCohort:
    """The cohort that stage cohort has written, whose films stage image reads."""
    folder = params.build(recipe.name, "cohort")
    with open_sql(params.sql, params.build("plan", recipe.name, ".spill")) as connection:
        bind_tables(connection, {name: folder / f"{name}.parquet" for name in (*SAMPLES, "film")})
        counts = "\nUNION ALL\n".join(
            f"SELECT '{kind}', split, COUNT(*) FROM {kind} GROUP BY split" for kind in recipe.kinds
        )
        rows = connection.execute(counts).fetchall()
        films = connection.execute("SELECT path FROM film ORDER BY path").fetchall()
    return PlannedCohort(
        recipe.name, True, _by_kind(recipe, rows), tuple(path for (path,) in films)
    )


def _body(name: str) -> str:
    return read_sql(name).body


def _has_sample(connection: DuckDBPyConnection, kind: str) -> bool:
    query = f"SELECT 1 FROM {kind}_sample WHERE drop_reason IS NULL LIMIT 1"
    return bool(connection.execute(query).fetchall())


def _by_kind(recipe: Recipe, rows: Sequence[tuple[Any, ...]]) -> Samples:
    counts = {(kind, split): int(count) for kind, split, count in rows}
    return {
        kind: {split: counts.get((kind, split), 0) for split in SPLITS} for kind in recipe.kinds
    }

"""The report of `cxrfuture diff`: tables of 80 columns, JSON, CSV. Counts only, never an id."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from cxrfuture_data.publish import publish
from etl.build_change import ROWS, Change
from etl.build_diff import BuildDiff, LedgerLine, diff_builds, find_recipes
from etl.params import Params
from etl.sqlfile import open_sql

NAMES = {
    "patient": "patients",
    "cohort stay": "stays of the cohort",
    "film": "films in use",
    "pair": "pair samples",
    "stay": "stay samples",
    "image": "image samples",
    "label": "studies with labels",
    "radiologist_label": "studies by a radiologist",
    "attribute": "films with attributes",
    "change": "pairs with change labels",
    "phenotype": "stays with phenotypes",
    "window": "windows",
    "hourly": "hours, windows in both",
    "event": "events, windows in both",
}
CSV_COLUMNS = (
    "recipe",
    "section",
    "table",
    "column",
    "stage",
    "unit",
    "reason",
    "before",
    "after",
    "gained",
    "lost",
    "changed",
    "touched",
    "removed_before",
    "removed_after",
)


def run_diff(
    params: Params, builds: tuple[Path, Path], recipe: str | None, csv_file: Path | None
) -> list[BuildDiff]:
    """Compare every recipe in both builds, or ``recipe``; ``csv_file`` gets every line."""
    diffs = []
    with open_sql(params.sql, params.build(".diff-spill")) as connection:
        for before, after in find_recipes(*builds, recipe).values():
            diffs.append(diff_builds(connection, before, after))
    if csv_file is not None:
        write_diff(csv_file, diffs)
    return diffs


def print_json(diffs: Iterable[BuildDiff]) -> None:
    """One object a recipe."""
    values = []
    for diff in diffs:
        moves = [
            {"from": old, "to": new, "patients": count} for (old, new), count in diff.moves.items()
        ]
        values.append(asdict(diff) | {"moves": moves, "is_none": diff.is_none})
    print(json.dumps(values, indent=1, default=str))


def print_diff(diff: BuildDiff, console: Console) -> None:
    """The tables of one recipe: rows, values, splits, causes, filters; those that differ alone."""
    console.print(_rows_table(diff))
    if diff.is_none:
        console.print("Nothing differs.")
        return
    for table in (_values_table(diff), _causes_table(diff), _ledger_table(diff)):
        if table.row_count:
            console.print(table)
    for (old, new), count in diff.moves.items():
        console.print(f"patients of {old} in A are {new} in B: {count:,}")
    for name, (old, new) in diff.settings.items():
        console.print(f"recipe, {name}: {old} in A, {new} in B", markup=False)
    if diff.unshared:
        console.print(f"in one build alone, not compared: {', '.join(diff.unshared)}", markup=False)


def _table(title: str, words: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in words:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _rows_table(diff: BuildDiff) -> Table:
    numbers = ("in A", "in B", "gained", "lost", "changed")
    table = _table(f"{diff.recipe}: rows of build A and build B", [""], numbers)
    for change in diff.changes:
        if change.column == ROWS:
            table.add_row(NAMES[change.table], *_counts(change))
    return table


def _values_table(diff: BuildDiff) -> Table:
    numbers = ("in A", "in B", "gained", "lost", "changed", "of")
    title = "values of what is in both that differ (of: so many rows or windows)"
    table = _table(title, ["table", "value"], numbers)
    for change in diff.changes:
        if change.column != ROWS and not change.is_none:
            counts = (*_counts(change), f"{change.touched:,}")
            table.add_row(change.table, change.column, *counts)
    return table


def _counts(change: Change) -> list[str]:
    changes = (change.gained, change.lost, change.changed)
    return [f"{change.before:,}", f"{change.after:,}", *(f"{n:,}" if n else "" for n in changes)]


def _causes_table(diff: BuildDiff) -> Table:
    title = "why: lost, by a filter of B; gained, by a filter of A that no longer does it"
    table = _table(title, ["", "of the cohort", "filter of"], ["rows"])
    table.add_column("reason", overflow="fold")
    for cause in diff.causes:
        name = NAMES[cause.table]
        table.add_row(cause.direction, name, cause.unit, f"{cause.rows:,}", cause.reason)
    return table


def _ledger_table(diff: BuildDiff) -> Table:
    words = ["stage", "filter of", "reason"]
    numbers = ("A in", "B in", "A out", "B out")
    table = _table(
        "filters that remove another number (in: rows that came, out: removed)", words, numbers
    )
    for line in diff.ledger:
        if line.removed_a != line.removed_b:  # what came follows from the filters before it
            counts = (line.before_a, line.before_b, line.removed_a, line.removed_b)
            cells = ("none" if count is None else f"{count:,}" for count in counts)
            table.add_row(line.stage, line.unit, line.reason, *cells)
    return table


def write_diff(path: Path, diffs: Iterable[BuildDiff]) -> None:
    """Every line of every section, equal ones too; cells that a section has not are empty."""
    with publish(path) as part, part.open("w", newline="") as handle:
        lines = csv.DictWriter(handle, CSV_COLUMNS, restval="", lineterminator="\n")
        lines.writeheader()
        for diff in diffs:
            for section, row in _lines(diff):
                lines.writerow({"recipe": diff.recipe, "section": section} | row)


def _lines(diff: BuildDiff) -> Iterator[tuple[str, dict[str, Any]]]:
    for change in diff.changes:
        yield "rows" if change.column == ROWS else "values", asdict(change)
    for (old, new), count in diff.moves.items():
        yield "split", {"table": "patient", "before": old, "after": new, "changed": count}
    for cause in diff.causes:
        row = {"table": cause.table, "unit": cause.unit, "reason": cause.reason}
        yield "cause", row | {"stage": "cohort" if cause.unit else "", cause.direction: cause.rows}
    for line in diff.ledger:
        yield "ledger", _ledger_row(line)
    for name, (old, new) in diff.settings.items():
        yield "setting", {"column": name, "before": old, "after": new}
    for name in diff.unshared:
        yield "unshared", {"column": name}


def _ledger_row(line: LedgerLine) -> dict[str, Any]:
    return {
        "stage": line.stage,
        "unit": line.unit,
        "reason": line.reason,
        "before": line.before_a,
        "after": line.before_b,
        "removed_before": line.removed_a,
        "removed_after": line.removed_b,
    }

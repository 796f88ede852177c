"""The attrition table: what every filter of a recipe removed, from the ledgers of its stages.

Counts of rows only; no id of a patient, so a table may be published beside a paper.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from cxrfuture_data.publish import publish
from cxrfuture_data.schema import ContractError
from etl.ledger import Drop, read_ledgers
from etl.params import Params
from etl.recipe import Recipe

COLUMNS = ("stage", "unit", "reason", "before", "removed", "after", "percent", "filter")


def run_attrition(params: Params, recipe: Recipe, csv_file: Path | None) -> None:
    """Print the table of what has been built so far; ``csv_file`` gets the same rows."""
    drops = collect_drops(params, recipe)
    if csv_file is not None:
        write_attrition(drops, csv_file)
    Console().print(attrition_table(recipe.name, drops))


def collect_drops(params: Params, recipe: Recipe) -> list[Drop]:
    """The ledgers of all stages that have run, in the order in which the filters ran."""
    drops = read_ledgers(params.build(recipe.name))
    if not drops:
        raise ContractError(
            f"{params.build(recipe.name)}: no ledger yet; run `cxrfuture event` first,"
            " with the same recipe, fidelity and availability"
        )
    return drops


def write_attrition(drops: Sequence[Drop], path: Path) -> None:
    """One line a filter. ``filter`` is unique, for plots: stage, unit and reason in one."""
    with publish(path) as part, part.open("w", newline="") as handle:
        lines = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        lines.writeheader()
        for drop in drops:
            lines.writerow(
                {
                    "stage": drop.stage,
                    "unit": drop.unit,
                    "reason": drop.reason,
                    "before": drop.before,
                    "removed": drop.removed,
                    "after": drop.after,
                    "percent": f"{percent(drop):.2f}",
                    "filter": f"{drop.stage}: {drop.unit}: {drop.reason}",
                }
            )


def percent(drop: Drop) -> float:
    """Share of what came to the filter that it removed; 0 of nothing."""
    return 100 * drop.removed / drop.before if drop.before else 0.0


def attrition_table(title: str, drops: Sequence[Drop]) -> Table:
    """A filter a line; stage and unit are named at its first."""
    caption = f"{title}: what each filter removed"
    table = Table(title=caption, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("stage", "unit", "reason"):
        table.add_column(name, overflow="fold")
    for name in ("before", "removed", "%", "after"):
        table.add_column(name, justify="right")
    shown = None
    for drop in drops:
        is_first = shown != (drop.stage, drop.unit)
        shown = (drop.stage, drop.unit)
        if is_first:
            table.add_section()
        table.add_row(
            *(shown if is_first else ("", "")),
            drop.reason,
            f"{drop.before:,}",
            f"{drop.removed:,}",
            f"{percent(drop):.1f}",
            f"{drop.after:,}",
        )
    return table

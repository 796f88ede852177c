"""A filled table as people and as machines read it."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from train.table import Column, Filled

EVALUATE = (
    "cxrfuture evaluate RUNS --dataset build/{recipe}/shard --codec build/{recipe}/fit_vae "
    "--judge build/train/classifier --out build/train/evaluation-{recipe}"
)


def print_table(filled: Filled, *, as_json: bool, as_csv: bool) -> None:
    """On standard output; for machines as JSON, or as CSV of a line a cell."""
    if as_json:
        print(json.dumps(to_json(filled), indent=1, allow_nan=False))
    elif as_csv:
        print(to_csv(filled), end="")
    else:
        console = Console(highlight=False)
        console.print(as_rich(filled))
        for line in footer(filled):
            console.print(line, markup=False, soft_wrap=True)


def as_rich(filled: Filled) -> Table:
    """Each column twice: the paper's, and ours with its interval and its deviation over seeds."""
    table = Table(title=title_of(filled), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    for column in filled.table.columns:
        table.add_column(f"{column.title}\npaper", justify="right")
        table.add_column(f"{column.title}\nours", justify="right")
    for row in filled.table.rows:
        texts = []
        for column in filled.table.columns:
            texts += [_paper(row.paper.get(column.name), column), _ours(filled, row.title, column)]
        table.add_row(row.title, *texts)
    return table


def title_of(filled: Filled) -> str:
    """What the table is, and whose data our numbers are of."""
    data, scored = filled.data, filled.scored
    if data is None or scored is None:
        return f"{filled.table.title}\nours: no evaluation yet"
    kept = f"{data['pairs']:,} test pairs of {data['patients']:,} patients"
    return (
        f"{filled.table.title}\nours: {data['origin']}, recipe {data['recipe']}, {kept}; "
        f"labels: {scored['labels']}, {scored['fidelity']}; FID's features: {scored['features']}"
    )


def footer(filled: Filled) -> list[str]:
    """Notes, and the commands that would fill what is empty."""
    lines = [filled.table.note] if filled.table.note else []
    if filled.scored is not None:
        share = round(100 * filled.scored["level"])
        lines.append(f"[low, high]: {share}% over patients; ±: deviation over seeds")
    if filled.others:
        lines.append(f"left out: {filled.others} evaluations of other pairs, judges or rules")
    empty = [row for row in filled.table.rows if filled.cells[row.title] is None]
    commands = [(row.title, row.command) for row in empty if row.command is not None]
    if commands or filled.data is None:
        lines.append("To fill what is empty:")
        lines += [f"  {title}: {command}" for title, command in commands]
        recipe = filled.table.recipes[0]
        lines.append(f"  then: {EVALUATE.format(recipe=recipe)}")
    return lines


def to_json(filled: Filled) -> dict[str, Any]:
    """Everything that is printed, as numbers."""
    return {
        "title": filled.table.title,
        "data": filled.data,
        "scored": filled.scored,
        "columns": [column.name for column in filled.table.columns],
        "rows": [
            {
                "title": row.title,
                "command": row.command,
                "paper": row.paper,
                "ours": filled.cells[row.title],
            }
            for row in filled.table.rows
        ],
    }


def to_csv(filled: Filled) -> str:
    """A line a cell; of nothing, nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("value", "low", "high", "sd")
    writer.writerow(["row", "column", "paper", "paper_sd", *names, "data"])
    origin = None if filled.data is None else filled.data["origin"]
    for row in filled.table.rows:
        for column in filled.table.columns:
            paper = [*row.paper.get(column.name, []), None, None][:2]
            cell = (filled.cells[row.title] or {}).get(column.name, {})
            ours = [cell.get(name) for name in names]
            writer.writerow([row.title, column.name, *paper, *ours, origin])
    return out.getvalue()


def _paper(values: Sequence[float] | None, column: Column) -> str:
    if not values:
        return "-"
    return " ± ".join(f"{value:.{column.digits}f}" for value in values)


def _ours(filled: Filled, title: str, column: Column) -> str:
    cells = filled.cells[title]
    if cells is None:
        return filled.table.missing
    return _cell(cells.get(column.name, {}), column.digits)


def _cell(cell: Mapping[str, Any], digits: int) -> str:
    if cell.get("value") is None:
        return "-"
    text = f"{cell['value']:.{digits}f}"
    if cell.get("sd") is not None:
        text += f" ± {cell['sd']:.{digits}f}"
    if cell.get("low") is not None:
        text += f"\n[{cell['low']:.{digits}f}, {cell['high']:.{digits}f}]"
    return text

"""A filled table as people and as machines read it."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from train.table_result import Filled
from train.table_settings import Column, EvaluationRow, Row

BESIDE = 5  # columns of which the paper's and ours stand side by side; of more, one upon the other


def print_table(filled: Filled, *, as_json: bool, as_csv: bool) -> None:
    """On standard output; for machines as JSON, or as CSV of a line a cell."""
    if as_json:
        print(json.dumps(to_json(filled), indent=1, allow_nan=False))
    elif as_csv:
        print(to_csv(filled), end="")
    else:
        _print(filled, Console(highlight=False))


def to_text(filled: Filled) -> str:
    """What ``print_table`` prints into a file."""
    out = io.StringIO()
    _print(filled, Console(highlight=False, file=out))
    return out.getvalue()


def _print(filled: Filled, console: Console) -> None:
    table = as_rich(filled)
    if not console.is_terminal:  # a file has no edge at which to fold
        wide = console.options.update(max_width=1000)
        console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(table)
    for line in filled.notes:
        console.print(line, markup=False, soft_wrap=True)


def as_rich(filled: Filled) -> Table:
    """Each column twice: the paper's, and ours with its interval and its deviation over seeds."""
    table = Table(title=title_of(filled), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    columns = filled.table.columns
    is_beside = len(columns) <= BESIDE
    for column in columns:
        heads = ("\npaper", "\nours") if is_beside else ("\npaper\nours",)
        for head in heads:
            table.add_column(column.title + head, justify="right")
    for row in filled.table.rows:
        texts = []
        for column in columns:
            both = [_paper(row.paper.get(column.name), _digits(row, column))]
            both.append(_ours(filled, row, column))
            texts += both if is_beside else ["\n".join(both)]
        table.add_row(row.title, *texts, end_section=not is_beside)
    return table


def title_of(filled: Filled) -> str:
    """What the table is, and whose data our numbers are of."""
    return f"{filled.table.title}\n{filled.about}"


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
                "command": filled.commands[row.title],
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
            said = row.paper.get(column.name, [])
            paper = [*([said] if isinstance(said, str) else said), None, None][:2]
            cell = (filled.cells[row.title] or {}).get(column.name, {})
            ours = [cell.get(name) for name in names]
            writer.writerow([row.title, column.name, *paper, *ours, origin])
    return out.getvalue()


def _digits(row: Row, column: Column) -> int:
    if isinstance(row, EvaluationRow) or row.digits is None:
        return column.digits
    return row.digits


def _paper(said: Sequence[float] | str | None, digits: int) -> str:
    if not said:
        return "-"
    if isinstance(said, str):
        return said
    return " ± ".join(f"{value:.{digits}f}" for value in said)


def _ours(filled: Filled, row: Row, column: Column) -> str:
    cells = filled.cells[row.title]
    if cells is None:
        return filled.table.missing
    return _cell(cells.get(column.name, {}), _digits(row, column))


def _cell(cell: Mapping[str, Any], digits: int) -> str:
    value = cell.get("value")
    if value is None or isinstance(value, str):
        return value or "-"
    text = f"{value:.{digits}f}"
    if cell.get("sd") is not None:
        text += f" ± {cell['sd']:.{digits}f}"
    if cell.get("low") is not None:
        text += f"\n[{cell['low']:.{digits}f}, {cell['high']:.{digits}f}]"
    return text

"""The papers' tables of outcomes, filled from every outcomes.json below a folder.

    cxrfuture table ddl_cxr.1 [--runs build/study]

From the newest, and from others of the same stays. An average rank is over the columns that are
filled, so it is the paper's only when all are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.outcome_compare import average_ranks
from train.table_result import OUTCOMES_FILE, Filled, has_settings, interval_note, read_results
from train.table_settings import OutcomeColumn, OutcomeRow, OutcomeTable

DEFAULT_RUNS = Path("build/study")
RANK, PREVALENCE = "rank", "prevalence"
PREDICT = "OUTCOME is mortality or phenotypes, SEED 0 to 4, SHARE 0.75 or 0.5; then of each run:"
EVALUATE = (
    "cxrfuture outcomes build/study/fusion/* --dataset build/{recipe}/shard "
    "--out build/study/outcomes"
)

Cell = Mapping[str, Any]
Results = Sequence[Mapping[str, Any]]  # outcomes.json, newest first


def fill_outcomes(table: OutcomeTable, runs: Path | None) -> Filled:
    """The table's cells from the evaluations of test stays of its recipes."""
    found = [
        value
        for value in read_results(runs or DEFAULT_RUNS, OUTCOMES_FILE)
        if value["data"]["recipe"] in table.recipes and value["data"]["split"] == "test"
    ]
    same = [value for value in found if _terms(value) == _terms(found[0])]
    cells = {row.title: _cells_of(row, table, same) for row in table.rows}
    data, scored = (same[0]["data"], same[0]["scored"]) if same else (None, None)
    others = len(found) - len(same)
    return Filled(
        table=table,
        data=data,
        scored=scored,
        cells={title: of or None for title, of in cells.items()},
        about=_about(same[0]) if same else "ours: no outcomes yet",
        notes=_notes(table, cells, scored, others),
        commands=_commands(table),
        others=others,
    )


def _about(value: Mapping[str, Any]) -> str:
    data, seeds = value["data"], len(value["scored"]["seeds"])
    return (
        f"ours: {data['origin']}, recipe {data['recipe']}, {data['stays']:,} test stays of "
        f"{data['patients']:,} patients, {data['training']['stays']:,} of training; {seeds} seeds"
    )


def _terms(value: Mapping[str, Any]) -> list[Any]:
    """What must be alike in evaluations whose rows stand in one table."""
    return [value["data"][name] for name in ("origin", "recipe", "stays", "patients")]


def _notes(
    table: OutcomeTable,
    cells: Mapping[str, Mapping[str, Cell]],
    scored: Mapping[str, Any] | None,
    others: int,
) -> list[str]:
    lines = [table.note] if table.note else []
    if scored is not None:
        lines.append(interval_note(scored))
    if others:
        lines.append(f"left out: {others} evaluations of other stays")
    empty = [row for row in table.rows if len(cells[row.title]) < len(table.columns)]
    wanted = [(row.title, row.command) for row in empty]
    wanted += [
        (column.title, column.command)
        for column in table.columns
        if not any(column.name in of for of in cells.values())
    ]
    commands = [f"  {title}: {command}" for title, command in wanted if command is not None]
    if not commands:
        return lines
    dataset = f"--dataset build/{table.recipes[0]}/shard"
    last = [f"  {PREDICT} cxrfuture predict RUN {dataset}", f"  then: {_evaluate(table)}"]
    last.append("  or all of a study: dvc repro in train/study (docs/study.md)")
    return [*lines, "To fill what is empty:", *commands, *last]


def _evaluate(table: OutcomeTable) -> str:
    return EVALUATE.format(recipe=table.recipes[0])


def _commands(table: OutcomeTable) -> dict[str, str]:
    """Of a row of a label: those of all columns."""
    columns = [column.command for column in table.columns if column.command is not None]
    every = "; ".join(columns) or _evaluate(table)
    return {row.title: row.command or every for row in table.rows}


def _cells_of(row: OutcomeRow, table: OutcomeTable, results: Results) -> dict[str, Cell]:
    """By column, those that are filled."""
    if row.cell is not None and row.cell.endswith(f".{RANK}"):
        return _ranks(row.cell.removesuffix(RANK), table, results)
    cells = {column.name: _cell_of(row, column, results) for column in table.columns}
    return {name: cell for name, cell in cells.items() if cell is not None}


def _cell_of(row: OutcomeRow, column: OutcomeColumn, results: Results) -> Cell | None:
    where = (row.where or {}) | (column.where or {})
    cell = column.cell if row.cell in (None, PREVALENCE) else row.cell
    assert cell is not None
    outcome, metric, *place = cell.split(".", 3)
    for value in results:
        for of in value["rows"].values():
            found = of.get(outcome)
            if found is not None and has_settings(found["settings"], where):
                if row.cell == PREVALENCE:
                    return _prevalence(value["outcomes"][outcome], found, place)
                return _at(found, metric, place)
    return None


def _at(found: Mapping[str, Any], metric: str, place: Sequence[str]) -> Cell | None:
    """The cell of a row of an outcome: of all, of a label or of a group."""
    if not place:
        return found["cells"].get(metric)
    kind, name = place
    groups = found["labels"] if kind == "label" else found["groups"].get(kind, {})
    return groups.get(name, {}).get(metric)


def _prevalence(
    outcome: Mapping[str, Any], found: Mapping[str, Any], place: Sequence[str]
) -> Cell | None:
    """Percent of stays with the one label of the outcome, of all or of a group."""
    if place:
        counts = outcome["groups"].get(place[0], {}).get(place[1])
    else:
        (counts,) = found["labels"].values()
    return {"value": 100 * counts["positives"] / counts["stays"]} if counts else None


def _ranks(start: str, table: OutcomeTable, results: Results) -> dict[str, Cell]:
    """``start``: what the cells of the labels' rows begin with."""
    labels = [row for row in table.rows if row.cell is not None and f"{start}label." in row.cell]
    values = {}
    for column in table.columns:
        cells = [_cell_of(row, column, results) for row in labels]
        numbers = [
            np.nan if cell is None or cell["value"] is None else cell["value"] for cell in cells
        ]
        if not np.isnan(numbers).all():
            values[column.name] = np.array(numbers)
    return {name: {"value": rank} for name, rank in average_ranks(values).items()}

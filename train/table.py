"""The papers' tables: the paper's number beside ours.

    cxrfuture table ddl_cxr.4 [--runs build/train] [--json | --csv]

A table is a YAML of train/tables. Those of generation are filled here, from every evaluation.json
below ``--runs``: from the newest, and from others that scored as many pairs of as many patients
with the same judge. Those of outcomes: train/outcome_table.py; of a dataset: train/cohort_table.py.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import read_settings, read_yaml
from train.cohort_table import fill_cohort
from train.outcome_table import fill_outcomes
from train.table_result import (
    EVALUATION_FILE,
    Cells,
    Filled,
    has_settings,
    interval_note,
    read_results,
)
from train.table_settings import (
    TABLE_OF_SOURCE,
    AnyTable,
    CohortTable,
    EvaluationRow,
    EvaluationTable,
    OutcomeTable,
)

DEFAULT_RUNS = Path("build/train")
ALIASES = {"ehrxdiff.II": "ehrxdiff.2", "ehrxdiff.III": "ehrxdiff.3", "ehrxdiff.IV": "ehrxdiff.4"}
EVALUATE = (
    "cxrfuture evaluate RUNS --dataset build/{recipe}/shard --codec build/{recipe}/fit_vae "
    "--judge build/train/classifier --out build/train/evaluation-{recipe}"
)


def read_table(name: str) -> AnyTable:
    """A shipped table."""
    path = _folder() / f"{ALIASES.get(name, name)}.yaml"
    if not path.exists():
        raise ContractError(f"no table {name!r}; there are {', '.join(table_names())}")
    table = read_settings(TABLE_OF_SOURCE[read_yaml(path)["source"]], path)
    assert isinstance(table, AnyTable)
    return table


def table_names() -> list[str]:
    """The shipped tables, by paper and number."""
    names = (path.stem.rpartition(".") for path in _folder().glob("*.yaml"))
    return [".".join((paper, number)) for paper, _, number in sorted(names, key=_number)]


def fill(table: AnyTable, runs: Path | None = None, dataset: Path | None = None) -> Filled:
    """The table with our numbers, from below ``runs`` or of a dataset."""
    if isinstance(table, OutcomeTable):
        return fill_outcomes(table, runs)
    if isinstance(table, CohortTable):
        return fill_cohort(table, dataset)
    return fill_evaluations(table, runs or DEFAULT_RUNS)


def fill_evaluations(table: EvaluationTable, runs: Path) -> Filled:
    """The table's rows from the evaluations of test pairs of its recipes."""
    found = [
        value
        for value in read_results(runs, EVALUATION_FILE)
        if value["data"]["recipe"] in table.recipes and value["data"]["split"] == "test"
    ]
    same = [value for value in found if _terms(value) == _terms(found[0])]
    cells = {row.title: _cells_of(row, same) for row in table.rows}
    evaluate = EVALUATE.format(recipe=table.recipes[0])
    filled = Filled(
        table=table,
        data=same[0]["data"] if same else None,
        scored=same[0]["scored"] if same else None,
        cells=cells,
        about=_about(same[0]) if same else "ours: no evaluation yet",
        notes=[],
        commands={row.title: row.command or evaluate for row in table.rows},
        others=len(found) - len(same),
    )
    filled.notes.extend(_notes(table, filled, evaluate))
    return filled


def _about(value: Mapping[str, Any]) -> str:
    data, scored = value["data"], value["scored"]
    return (
        f"ours: {data['origin']}, recipe {data['recipe']}, {data['pairs']:,} test pairs of "
        f"{data['patients']:,} patients; labels: {scored['labels']}, {scored['fidelity']}; "
        f"FID's features: {scored['features']}"
    )


def _notes(table: EvaluationTable, filled: Filled, evaluate: str) -> list[str]:
    """With the commands that would fill what is empty."""
    lines = [table.note] if table.note else []
    if filled.scored is not None:
        lines.append(interval_note(filled.scored))
    if filled.others:
        lines.append(f"left out: {filled.others} evaluations of other pairs, judges or rules")
    empty = [row for row in table.rows if filled.cells[row.title] is None]
    commands = [(row.title, row.command) for row in empty if row.command is not None]
    if commands or filled.data is None:
        lines.append("To fill what is empty:")
        lines += [f"  {title}: {command}" for title, command in commands]
        lines.append(f"  then: {evaluate}")
    return lines


def _terms(value: Mapping[str, Any]) -> list[Any]:
    """What must be alike in evaluations whose rows stand in one table.

    Not the dataset: null events change it, and not the pairs that are scored.
    """
    data, scored = value["data"], value["scored"]
    return [
        *(data[name] for name in ("origin", "pairs", "patients")),
        *(scored[name] for name in ("labels", "records", "fidelity", "features", "judge")),
    ]


def _cells_of(row: EvaluationRow, evaluations: Sequence[Mapping[str, Any]]) -> Cells | None:
    for value in evaluations:
        for name, found in value["rows"].items():
            is_asked = row.where is not None and has_settings(found.get("settings"), row.where)
            if row.row == name or is_asked:
                cells: Cells = found["cells"]
                return cells
    return None


def _number(name: tuple[str, str, str]) -> tuple[str, int]:
    return name[0], int(name[2])


def _folder() -> Path:
    return Path(str(files("train").joinpath("tables")))

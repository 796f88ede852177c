"""The papers' tables of generation, filled from evaluations: the paper's number beside ours.

    cxrfuture table ddl_cxr.4 [--runs build/train] [--json | --csv]

A table is a YAML of train/tables: a row says which row of an evaluation fills it, or which settings
a run must have to do so. Ours come from every evaluation.json below ``--runs``: from the newest,
and from others that scored as many pairs of as many patients with the same judge.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import model_validator

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings, read_settings

EVALUATION_FILE = "evaluation.json"
ALIASES = {"ehrxdiff.II": "ehrxdiff.2", "ehrxdiff.III": "ehrxdiff.3", "ehrxdiff.IV": "ehrxdiff.4"}
Cells = Mapping[str, Mapping[str, Any]]  # by column: train/score.py


class Column(Settings):
    name: str  # as an evaluation calls it
    title: str
    digits: int


class PaperRow(Settings):
    """``row``: of an evaluation, such as previous_film; or ``where``: settings, by dotted name,
    that a run has; or neither, where nothing of ours can fill it."""

    title: str
    row: str | None
    where: dict[str, Any] | None
    command: str | None  # what makes the run
    paper: dict[str, list[float]]  # of a column: mean, or mean and deviation

    @model_validator(mode="after")
    def _one_source(self) -> "PaperRow":
        if self.row is not None and self.where is not None:
            raise ValueError("give row or where, and null for the other")
        return self


class PaperTable(Settings):
    title: str
    recipes: list[str]  # whose test pairs it is of
    note: str
    missing: str  # what stands where nothing of ours is
    columns: list[Column]
    rows: list[PaperRow]


@dataclass(frozen=True)
class Filled:
    """``cells``: by title of the row, or None of a row that no evaluation fills; ``data`` and
    ``scored`` are those of the evaluations, or None; ``others`` were not comparable."""

    table: PaperTable
    data: Mapping[str, Any] | None
    scored: Mapping[str, Any] | None
    cells: Mapping[str, Cells | None]
    others: int


def read_table(name: str) -> PaperTable:
    """A shipped table."""
    path = _folder() / f"{ALIASES.get(name, name)}.yaml"
    if not path.exists():
        raise ContractError(f"no table {name!r}; there are {', '.join(table_names())}")
    return read_settings(PaperTable, path)


def table_names() -> list[str]:
    """The shipped tables."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def fill(table: PaperTable, runs: Path) -> Filled:
    """The table's rows from the evaluations of test pairs of its recipes."""
    found = [
        value
        for value in read_evaluations(runs)
        if value["data"]["recipe"] in table.recipes and value["data"]["split"] == "test"
    ]
    same = [value for value in found if _terms(value) == _terms(found[0])]
    cells = {row.title: _cells_of(row, same) for row in table.rows}
    if not found:
        return Filled(table, None, None, cells, 0)
    return Filled(table, same[0]["data"], same[0]["scored"], cells, len(found) - len(same))


def read_evaluations(runs: Path) -> list[dict[str, Any]]:
    """Every evaluation below a folder, newest first."""
    paths = sorted(runs.rglob(EVALUATION_FILE), key=lambda path: -path.stat().st_mtime_ns)
    values = []
    for path in paths:
        try:
            values.append(json.loads(path.read_text()))
        except (OSError, ValueError):
            raise ContractError(f"{path}: not an evaluation; delete it") from None
    return values


def _terms(value: Mapping[str, Any]) -> list[Any]:
    """What must be alike in evaluations whose rows stand in one table.

    Not the dataset: null events change it, and not the pairs that are scored.
    """
    data, scored = value["data"], value["scored"]
    return [
        *(data[name] for name in ("origin", "pairs", "patients")),
        *(scored[name] for name in ("labels", "records", "fidelity", "features", "judge")),
    ]


def _cells_of(row: PaperRow, evaluations: Sequence[Mapping[str, Any]]) -> Cells | None:
    for value in evaluations:
        for name, found in value["rows"].items():
            if row.row == name or (row.where is not None and _has(found, row.where)):
                cells: Cells = found["cells"]
                return cells
    return None


def _has(found: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Whether an evaluation's row is of a run of these settings; the order of a list is free."""
    for place, expected in where.items():
        value: Any = found.get("settings")
        for name in place.split("."):
            if not isinstance(value, dict) or name not in value:
                return False
            value = value[name]
        if isinstance(value, list) and isinstance(expected, list):
            value, expected = sorted(value), sorted(expected)
        if value != expected:
            return False
    return True


def _folder() -> Path:
    return Path(str(files("train").joinpath("tables")))

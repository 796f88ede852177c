"""A filled table, and what fills it: results below a folder, and which of their rows are asked for.

Nothing here or in table_settings.py needs torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from cxrfuture_data.schema import ContractError
from train.table_settings import AnyTable, Where

EVALUATION_FILE, OUTCOMES_FILE = "evaluation.json", "outcomes.json"
Cells: TypeAlias = Mapping[str, Mapping[str, Any]]  # by column: train/score.py


@dataclass(frozen=True)
class Filled:
    """``cells``: by title of the row, or None of a row that nothing fills; ``data`` and ``scored``
    are those of what filled it, or None; ``about`` says whose numbers ours are, ``notes`` stand
    below, ``commands`` are by title of the row; ``others`` were not comparable."""

    table: AnyTable
    data: Mapping[str, Any] | None
    scored: Mapping[str, Any] | None
    cells: Mapping[str, Cells | None]
    about: str
    notes: list[str]
    commands: Mapping[str, str]
    others: int = 0


def has_settings(settings: Any, where: Where) -> bool:
    """Whether a run's settings are these; the order of a list is free."""
    for place, expected in where.items():
        value = settings
        for name in place.split("."):
            if not isinstance(value, dict) or name not in value:
                return False
            value = value[name]
        if isinstance(value, list) and isinstance(expected, list):
            value, expected = sorted(value), sorted(expected)
        if value != expected:
            return False
    return True


def read_results(runs: Path, name: str) -> list[dict[str, Any]]:
    """Every evaluation below a folder, newest first."""
    paths = sorted(runs.rglob(name), key=lambda path: -path.stat().st_mtime_ns)
    values = []
    for path in paths:
        try:
            values.append(json.loads(path.read_text()))
        except (OSError, ValueError):
            raise ContractError(f"{path}: not an evaluation; delete it") from None
    return values


def interval_note(scored: Mapping[str, Any]) -> str:
    """What brackets and deviations are."""
    return f"[low, high]: {round(100 * scored['level'])}% over patients; ±: deviation over seeds"

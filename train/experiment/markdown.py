"""The tables of a result, as docs/experiment.md shows them."""

from collections.abc import Iterator
from typing import Any

from train.experiment.score import SUBSETS

TITLES = {
    "truth": "Findings as the simulator knows them",
    "reports": "Findings as the simulated reports say",
}


def as_markdown(result: dict[str, Any]) -> str:
    """Rows, differences, and findings one by one where they changed."""
    lines = [f"{result['pairs']:,} test pairs of {result['patients']} patients.", ""]
    for kind, title in TITLES.items():
        lines += [f"## {title}", "", *_rows(result[kind]), ""]
        lines += [*_differences(result[kind]), "", *_by_finding(result[kind]), ""]
    return "\n".join(lines)


def _rows(found: dict[str, Any]) -> Iterator[str]:
    names = [f"{subset} ({found['records'][subset]:,})" for subset in SUBSETS]
    yield f"| AUROC (records) | {' | '.join(names)} |"
    yield "|---" * (1 + len(SUBSETS)) + "|"
    for row, subsets in found["rows"].items():
        yield f"| {row} | {' | '.join(_cell(subsets[subset]) for subset in SUBSETS)} |"


def _differences(found: dict[str, Any]) -> Iterator[str]:
    yield f"| difference | {' | '.join(SUBSETS)} |"
    yield "|---" * (1 + len(SUBSETS)) + "|"
    for name, subsets in found["differences"].items():
        yield f"| {name} | {' | '.join(_cell(subsets[subset], '+') for subset in SUBSETS)} |"


def _by_finding(found: dict[str, Any]) -> Iterator[str]:
    rows = found["diff by finding"]
    first = next(iter(rows.values()))
    names = [f"{name} ({count}, {new} new)" for name, (_, count, new) in first.items()]
    yield f"| diff, by finding | {' | '.join(names)} |"
    yield "|---" * (1 + len(names)) + "|"
    for row, findings in rows.items():
        values = ["-" if value is None else f"{value:.3f}" for value, _, _ in findings.values()]
        yield f"| {row} | {' | '.join(values)} |"


def _cell(found: dict[str, Any], sign: str = "") -> str:
    low, high = found["interval"]
    return f"{found['auroc']:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"

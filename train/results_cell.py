"""What tables and figures of the results page share."""

from collections.abc import Mapping
from typing import Any

from cxrfuture_data.page.table import Cell
from train.results_text import GROUPINGS, spell_interval, spell_mean

Json = Mapping[str, Any]
RANKED = ("auprc", "auroc")
LOWER_IS_BETTER = ("brier", "ece")
BEFORE = "_uncalibrated"
GAP = "gap"  # the grouping by hours since the last film


def order_rows(result: Json) -> list[str]:
    """Names of rows, the best first by the mean of their ranks."""
    ranks = [of for found in result["ranks"].values() for of in found.values()]

    def mean_rank(name: str) -> tuple[float, str]:
        known = [of[name] for of in ranks if of.get(name) is not None]
        return (sum(known) / len(known) if known else float("inf"), name)

    return sorted(result["rows"], key=mean_rank)


def rows_of(result: Json, outcome: str) -> dict[str, Any]:
    """Name -> what outcomes.json holds of it, in order."""
    rows = result["rows"]
    return {name: rows[name][outcome] for name in order_rows(result) if outcome in rows[name]}


def number_rows(result: Json, outcome: str) -> list[tuple[int, str, Json]]:
    """Number, name and what outcomes.json holds of each: the number chooses its colour, which is
    the same for all outcomes."""
    order, rows = order_rows(result), rows_of(result, outcome)
    return [(order.index(name), name, row) for name, row in rows.items()]


def groupings_of(result: Json, outcome: str) -> list[str]:
    """Of subgroups, in the page's order: all but the time since the film."""
    found = result["outcomes"][outcome]["groups"]
    named = [name for name in GROUPINGS if name in found and name != GAP]
    return named + sorted(found.keys() - GROUPINGS.keys())


def score(cell: Json | None, *, is_best: bool = False) -> Cell:
    return Cell(spell_mean(cell), spell_interval(cell), "best" if is_best else "")


def best_of(cells: Mapping[str, Json | None], metric: str) -> set[str]:
    """The names of the best, of two or more."""
    values = {n: c["value"] for n, c in cells.items() if c is not None and c["value"] is not None}
    if len(values) < 2:
        return set()
    best = (min if metric in LOWER_IS_BETTER else max)(values.values())
    return {name for name, value in values.items() if value == best}

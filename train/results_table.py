"""Tables of the results page, from outcomes.json: cells of text, for the template to lay out."""

from collections.abc import Mapping
from dataclasses import replace

from cxrfuture_data.page.shareable import SMALLEST
from cxrfuture_data.page.table import Cell, Head, Line, Mark, Table
from train.results_cell import (
    BEFORE,
    GAP,
    RANKED,
    Json,
    best_of,
    order_rows,
    rows_of,
    score,
)
from train.results_text import (
    METRICS,
    NOTHING,
    name_group,
    name_grouping,
    name_outcome,
    spell,
    spell_count,
    spell_interval,
    spell_p,
    title_of,
)

SIGNIFICANT = 0.05


def data_table(result: Json) -> Table:
    """How many stays have what is predicted."""
    lines = []
    for outcome, found in result["outcomes"].items():
        labels = next(iter(rows_of(result, outcome).values()))["labels"].values()
        cells = [spell_count(len(found["labels"]))]
        cells += [_range([of[name] for of in labels]) for name in ("stays", "positives")]
        few = sum(is_few(of) for of in labels if isinstance(of["positives"], int))
        note = f"{few} of {len(labels)} with fewer\nthan {SMALLEST}: says little" if few else ""
        shown = [Cell(text) for text in cells[:-1]]
        lines.append(Line(name_outcome(outcome), [*shown, Cell(cells[-1], note)]))
    heads = [Head("Labels"), Head("Stays"), Head("Positives of a label")]
    return Table("What was predicted", "Outcome", heads, lines)


def is_few(of: Json) -> bool:
    """Whether so few have or lack a label that a score of it, and its interval, say little."""
    stays, positives = of["stays"], of["positives"]
    if not isinstance(stays, int) or not isinstance(positives, int):
        return True
    return min(positives, stays - positives) < SMALLEST


def _range(counts: list[int | str]) -> str:
    """Of those that are shown."""
    known = sorted({count for count in counts if isinstance(count, int)})
    if not known:
        return spell_count(counts[0])
    ends = dict.fromkeys((known[0], known[-1]))
    return " to ".join(spell_count(count) for count in ends)


def overview_table(result: Json) -> Table:
    """Every row and outcome: the macro means."""
    columns = [(outcome, metric) for outcome in result["outcomes"] for metric in RANKED]
    cells = {
        column: {name: found["cells"].get(column[1]) for name, found in rows.items()}
        for column in columns
        for rows in [rows_of(result, column[0])]
    }
    best = {column: best_of(of, column[1]) for column, of in cells.items()}
    return Table(
        caption=f"AUPRC and AUROC: mean ± deviation over seeds, {_interval_words(result)} below",
        corner="Model",
        above=[Head(name_outcome(outcome), span=len(RANKED)) for outcome in result["outcomes"]],
        heads=[Head(METRICS[metric]) for _, metric in columns],
        lines=[
            Line(
                title_of(name),
                [score(of.get(name), is_best=name in best[column]) for column, of in cells.items()],
            )
            for name in order_rows(result)
        ],
    )


def label_table(result: Json, outcome: str, metric: str) -> Table:
    """A line a label, a column a row of the study."""
    rows = rows_of(result, outcome)
    lines = []
    for label in result["outcomes"][outcome]["labels"]:
        found = {name: row["labels"][label] for name, row in rows.items()}
        counts = next(iter(found.values()))
        cells = {name: of[metric] for name, of in found.items()}
        best = best_of(cells, metric)
        scores = [score(cell, is_best=name in best) for name, cell in cells.items()]
        shown = [Cell(spell_count(counts[name])) for name in ("stays", "positives")]
        lines.append(Line(label, [*shown, *scores]))
    return Table(
        caption=f"{name_outcome(outcome)}: {METRICS[metric]} of each label",
        corner="Label",
        heads=[Head("Stays"), Head("Positives"), *(Head(title_of(name)) for name in rows)],
        lines=lines,
    )


def group_table(result: Json, outcome: str, grouping: str, metric: str) -> Table | None:
    """A line a row of the study, a column a group, and the gap between them."""
    groups = result["outcomes"][outcome]["groups"].get(grouping)
    if not groups:
        return None
    names = {group: name_group(group, is_hours=grouping == GAP) for group in groups}
    # AUPRC depends on the share of positives, which differs between groups: nothing is marked.
    is_marked = metric != "auprc"
    is_one = len(result["outcomes"][outcome]["labels"]) == 1
    is_thin = {group: is_one and is_few(of) for group, of in groups.items()}
    lines = []
    for name, row in rows_of(result, outcome).items():
        overall, cells = row["cells"].get(metric), row["groups"][grouping]
        found = {names[group]: cells.get(group, {}).get(metric) for group in groups}
        shown = [
            _beside(cell, overall, is_marked=is_marked and not is_thin[group])
            for group, cell in zip(groups, found.values(), strict=True)
        ]
        gap = _gap(found, is_marked=is_marked and not any(is_thin.values()))
        lines.append(Line(title_of(name), [score(overall), gap, *shown]))
    heads = [Head(names[group], _count(of, is_one=is_one)) for group, of in groups.items()]
    return Table(
        caption=f"{name_grouping(grouping)}: {METRICS[metric]} of {name_outcome(outcome).lower()}",
        corner="Model",
        heads=[Head("All stays"), Head("Gap", "highest\nless lowest"), *heads],
        lines=lines,
    )


def _count(of: Json, *, is_one: bool) -> str:
    """``is_one``: of several labels it says nothing how many have any."""
    stays = f"{spell_count(of['stays'])} stays"
    return f"{stays}\n{spell_count(of['positives'])} positive" if is_one else stays


def compared_table(result: Json, outcome: str, metric: str) -> Table | None:
    """Each row less each other one."""
    wanted = [
        found
        for found in result["compared"]
        if (found["outcome"], found["metric"]) == (outcome, metric)
    ]
    if not wanted:
        return None
    rows = rows_of(result, outcome)
    names = list(rows)
    # As a score of few positives, a difference of two is not marked.
    labels = next(iter(rows.values()))["labels"].values()
    is_marked = not all(is_few(of) for of in labels)
    cells = {}
    for found in wanted:
        cells[found["first"], found["second"]] = _difference(found, 1, is_marked=is_marked)
        cells[found["second"], found["first"]] = _difference(found, -1, is_marked=is_marked)
    return Table(
        caption=f"{name_outcome(outcome)}: difference in {METRICS[metric]}, row less column",
        corner="Model",
        heads=[Head(title_of(name)) for name in names],
        lines=[
            Line(title_of(name), [cells.get((name, other), Cell("")) for other in names])
            for name in names
        ],
    )


def rank_table(result: Json) -> Table:
    """The mean over labels of each row's rank."""
    columns = [(outcome, metric) for outcome, of in result["ranks"].items() for metric in of]
    values = [result["ranks"][outcome][metric] for outcome, metric in columns]
    best = [min((v for v in of.values() if v is not None), default=None) for of in values]
    return Table(
        caption="Average rank over labels; 1 is the best",
        corner="Model",
        above=[Head(name_outcome(name), span=len(of)) for name, of in result["ranks"].items()],
        heads=[Head(METRICS[metric]) for _, metric in columns],
        lines=[
            Line(
                title_of(name),
                [
                    Cell(spell(of.get(name), 2), mark=_markbest_of(of.get(name), least))
                    for of, least in zip(values, best, strict=True)
                ],
            )
            for name in order_rows(result)
        ],
    )


def calibration_table(result: Json, outcome: str) -> Table:
    """ECE and Brier's score, as the model gives probabilities and after calibration."""
    columns = [metric + when for metric in ("ece", "brier") for when in (BEFORE, "")]
    rows = rows_of(result, outcome)
    cells = {c: {name: row["cells"].get(c) for name, row in rows.items()} for c in columns}
    best = {c: best_of(of, c.removesuffix(BEFORE)) for c, of in cells.items()}
    return Table(
        caption=f"{name_outcome(outcome)}: ECE and Brier score before and after calibration",
        corner="Model",
        above=[Head("ECE", span=2), Head("Brier score", span=2)],
        heads=[Head("Before"), Head("After"), Head("Before"), Head("After")],
        lines=[
            Line(
                title_of(name),
                [score(of[name], is_best=name in best[c]) for c, of in cells.items()],
            )
            for name in rows
        ],
    )


def runs_table(result: Json) -> Table:
    """Which runs the numbers are of."""
    lines = []
    for name in order_rows(result):
        for outcome, found in result["rows"][name].items():
            runs = found["runs"]
            seeds = ", ".join(str(run["seed"]) for run in runs)
            steps = ", ".join(f"{run['steps']:,}" for run in runs)
            cells = [Cell(name_outcome(outcome)), Cell(seeds), Cell(steps)]
            lines.append(Line(title_of(name), cells))
    heads = [Head("Outcome"), Head("Seeds"), Head("Steps")]
    return Table("Runs: their seeds, and the steps that each was trained", "Model", heads, lines)


def _interval_words(result: Json) -> str:
    return f"{result['scored']['level']:.0%} interval over patients"


def _markbest_of(value: float | None, best: float | None) -> Mark:
    return "best" if value is not None and value == best else ""


def _beside(cell: Json | None, overall: Json | None, *, is_marked: bool) -> Cell:
    """Of a group: marked where all of its interval is on one side of the number of all stays."""
    whole = None if overall is None else overall["value"]
    mark: Mark = ""
    if is_marked and cell is not None and cell.get("low") is not None and whole is not None:
        mark = "higher" if cell["low"] > whole else "lower" if cell["high"] < whole else ""
    return replace(score(cell), mark=mark)


def _gap(cells: Mapping[str, Json | None], *, is_marked: bool) -> Cell:
    """Of the highest and lowest group; marked where their intervals do not overlap."""
    known = {name: c for name, c in cells.items() if c is not None and c["value"] is not None}
    if len(known) < 2:
        return Cell(NOTHING)
    order = sorted(known, key=lambda name: known[name]["value"])
    lowest, highest = known[order[0]], known[order[-1]]
    end, start = lowest.get("high"), highest.get("low")
    is_apart = is_marked and end is not None and start is not None and end < start
    gap = spell(highest["value"] - lowest["value"])
    return Cell(gap, f"{order[-1]}\nover {order[0]}", "apart" if is_apart else "")


def _difference(found: Json, sign: int, *, is_marked: bool) -> Cell:
    values = [found[name] for name in ("difference", "low", "high")]
    less, low, high = [None if value is None else sign * value for value in values]
    ends = (low, high) if sign > 0 else (high, low)
    cell = {"value": less, "low": ends[0], "high": ends[1]}
    is_clear = is_marked and found["p"] is not None and found["p"] < SIGNIFICANT and less
    mark: Mark = ("higher" if less > 0 else "lower") if is_clear and less is not None else ""
    below = f"{spell_interval(cell, signed=True)}\n{spell_p(found['p'])}".strip()
    return Cell(spell(less, signed=True), below, mark)

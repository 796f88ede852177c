"""Figures of the results page, from outcomes.json: how well models tell positives."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxrfuture_data.page.figure import GREY, colour_of, figure, key_line, to_svg
from train.results_cell import GAP, RANKED, Json, groupings_of, number_rows, order_rows, rows_of
from train.results_text import METRICS, name_group, name_grouping, name_outcome, title_of

Points = Sequence[Sequence[float]]
WIDTH = 11.0  # inches: at the page's width a letter of 11 points is some 15 pixels
AXES = {
    "roc": ("ROC", "False positive rate", "True positive rate"),
    "pr": ("Precision and recall", "Recall", "Precision"),
}


def plot_overview(result: Json) -> str:
    """A dot and an interval a row, for each outcome and metric."""
    names = order_rows(result)
    columns = [(outcome, metric) for outcome in result["outcomes"] for metric in RANKED]
    with figure(WIDTH, 1.1 + 0.36 * len(names)) as drawn:
        panels = drawn.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for panel, (outcome, metric) in zip(panels, columns, strict=True):
            rows = rows_of(result, outcome)
            for at, name in enumerate(names):
                cell = rows[name]["cells"].get(metric) if name in rows else None
                _dot(panel, cell, len(names) - 1 - at, at)
            panel.set_title(f"{name_outcome(outcome)}\n{METRICS[metric]}")
            panel.grid(axis="y", visible=False)
        panels[0].set_yticks(range(len(names)), [title_of(name) for name in reversed(names)])
        panels[0].set_ylim(-0.6, len(names) - 0.4)
        return to_svg(drawn, "overview", "A dot with its interval for each model and metric.")


def _dot(panel: Axes, cell: Json | None, y: float, index: int) -> None:
    if cell is None or cell["value"] is None:
        return
    colour = colour_of(index)["color"]
    if cell.get("low") is not None:
        panel.plot([cell["low"], cell["high"]], [y, y], color=colour, linewidth=2.4)
    panel.plot([cell["value"]], [y], "o", color=colour, markersize=7)


def plot_curves(result: Json, outcome: str) -> str | None:
    """ROC and precision-recall of every row, the mean over labels."""
    rows = number_rows(result, outcome)
    if not any(row["curves"] for _, _, row in rows):
        return None
    with figure(WIDTH, 4.9) as drawn:
        panels = drawn.subplots(1, 2)
        for panel, (kind, (title, x, y)) in zip(panels, AXES.items(), strict=True):
            for index, _, row in rows:
                curves = [curve[kind] for curve in row["curves"].values()]
                if curves:
                    draw_line(panel, np.mean(curves, axis=0).tolist(), index)
            _frame_curve(panel, kind, title)
            panel.set(xlabel=x, ylabel=y)
        put_legend(drawn, rows)
        words = "ROC and precision-recall curves of each model; areas are in the overview."
        return to_svg(drawn, f"curves-{outcome}", words)


def plot_label_curves(result: Json, outcome: str, kind: str) -> str | None:
    """A panel a label."""
    rows = number_rows(result, outcome)
    labels = [
        label
        for label in result["outcomes"][outcome]["labels"]
        if any(label in row["curves"] for _, _, row in rows)
    ]
    if len(labels) < 2:
        return None
    across, down = 5, math.ceil(len(labels) / 5)
    with figure(WIDTH, 0.7 + 2.35 * down) as drawn:
        panels = drawn.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, label in zip(panels, labels, strict=False):
            for index, _, row in rows:
                if label in row["curves"]:
                    draw_line(panel, row["curves"][label][kind], index, linewidth=1.1)
            _frame_curve(panel, kind, _fold(label), fontsize=9)
        for panel in panels[len(labels) :]:
            panel.set_axis_off()
        title, *words = AXES[kind]
        drawn.supxlabel(words[0], fontsize=11)
        drawn.supylabel(words[1], fontsize=11)
        lines = [key_line(index, title_of(name)) for index, name, _ in rows]
        drawn.legend(handles=lines, loc="outside upper left", ncols=6, fontsize=10)
        return to_svg(drawn, f"{kind}-{outcome}", f"{title} of each label and model.")


def _fold(label: str) -> str:
    """On two lines, cut where even these do not do."""
    words, lines = label.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 22:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")


def _frame_curve(panel: Axes, kind: str, title: str, **style: Any) -> None:
    if kind == "roc":
        panel.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (2, 3)))
    panel.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    panel.set_title(title, **style)


def draw_line(panel: Axes, points: Points, index: int, **style: Any) -> None:
    """Of a row's number."""
    x, y = np.array(points, np.float64).T
    panel.plot(x, y, **(colour_of(index) | style))


def put_legend(drawn: Figure, rows: Sequence[tuple[int, str, Json]], *more: Any) -> None:
    """To the right: rows as ``number_rows`` gives them, and other lines."""
    lines = [key_line(index, title_of(name)) for index, name, _ in rows]
    drawn.legend(handles=[*lines, *more], loc="outside right upper")


def plot_gap(result: Json, outcome: str) -> str | None:
    """Scores by the hours since the last film, a line a row."""
    groups = list(result["outcomes"][outcome]["groups"].get(GAP, {}))
    rows = number_rows(result, outcome)
    if len(groups) < 2:
        return None
    with figure(WIDTH, 4.2) as drawn:
        panels = drawn.subplots(1, 2)
        for panel, metric in zip(panels, RANKED, strict=True):
            for index, _, row in rows:
                cells = [row["groups"][GAP].get(group, {}).get(metric) for group in groups]
                values = [math.nan if cell is None else _number(cell["value"]) for cell in cells]
                panel.plot(range(len(groups)), values, marker="o", **colour_of(index))
            panel.set_xticks(range(len(groups)), [name_group(group) for group in groups])
            panel.set_xlim(-0.3, len(groups) - 0.7)
            panel.set_title(METRICS[metric])
            panel.set_xlabel("Hours from the last film to the prediction")
        put_legend(drawn, rows)
        words = "AUPRC and AUROC of each model by hours since the last film, as in the table."
        return to_svg(drawn, f"gap-{outcome}", words)


def plot_groups(result: Json, outcome: str, metric: str = "auroc") -> str | None:
    """A panel a grouping: a line of dots a group, a dot a row."""
    groupings, rows = groupings_of(result, outcome), number_rows(result, outcome)
    groups = result["outcomes"][outcome]["groups"]
    if not groupings:
        return None
    across, down = 3, math.ceil(len(groupings) / 3)
    with figure(WIDTH, 0.9 + 2.4 * down) as drawn:
        panels = drawn.subplots(down, across, sharex=True, squeeze=False).ravel()
        for panel, grouping in zip(panels, groupings, strict=False):
            names = list(groups[grouping])[::-1]
            for place, (index, _, row) in enumerate(rows):
                found = [row["groups"][grouping].get(name, {}).get(metric) for name in names]
                shift = 0.5 * (place + 0.5) / len(rows) - 0.25
                points = [
                    (cell["value"], at - shift)
                    for at, cell in enumerate(found)
                    if cell is not None and cell["value"] is not None
                ]
                if points:
                    x, y = zip(*points, strict=True)
                    panel.plot(x, y, "o", color=colour_of(index)["color"], markersize=5)
            panel.set_yticks(range(len(names)), [name_group(name) for name in names])
            panel.set_ylim(-0.6, len(names) - 0.4)
            panel.set_title(name_grouping(grouping))
        for panel in panels[len(groupings) :]:
            panel.set_axis_off()
        drawn.supxlabel(METRICS[metric], fontsize=11)
        words = f"{METRICS[metric]} of each model in each subgroup, as in the tables."
        return to_svg(drawn, f"groups-{outcome}", words)


def _number(value: float | None) -> float:
    return math.nan if value is None else value

"""The figures of the results page, from outcomes.json.

Shapes: Q bins, M modalities.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train.results_figure import FAINT, GREY, INK, ON_SERIES, SERIES, colour_of, figure, key_line, to_svg
from train.results_table import BEFORE, RANKED, groupings_of, order_rows, rows_of
from train.results_text import (
    METRICS,
    name_grouping,
    name_outcome,
    title_of,
)

Json = Mapping[str, Any]
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
    rows = rows_of(result, outcome)
    if not any(row["curves"] for row in rows.values()):
        return None
    with figure(WIDTH, 4.9) as drawn:
        panels = drawn.subplots(1, 2)
        for panel, (kind, words) in zip(panels, AXES.items(), strict=True):
            for index, row in enumerate(rows.values()):
                curves = [curve[kind] for curve in row["curves"].values()]
                if curves:
                    _line(panel, np.mean(curves, axis=0).tolist(), index)
            _frame_curve(panel, kind, words[0])
            panel.set(xlabel=words[1], ylabel=words[2])
        _put_legend(drawn, rows)
        words = "ROC and precision-recall curves of each model; areas are in the overview."
        return to_svg(drawn, f"curves-{outcome}", words)


def plot_label_curves(result: Json, outcome: str, kind: str) -> str | None:
    """A panel a label."""
    rows = rows_of(result, outcome)
    labels = [
        label
        for label in result["outcomes"][outcome]["labels"]
        if any(label in row["curves"] for row in rows.values())
    ]
    if len(labels) < 2:
        return None
    across, down = 5, math.ceil(len(labels) / 5)
    with figure(WIDTH, 0.7 + 2.35 * down) as drawn:
        panels = drawn.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, label in zip(panels, labels, strict=False):
            for index, row in enumerate(rows.values()):
                if label in row["curves"]:
                    _line(panel, row["curves"][label][kind], index, linewidth=1.1)
            _frame_curve(panel, kind, _fold(label))
            panel.title.set_fontsize(9)
        for panel in panels[len(labels) :]:
            panel.set_axis_off()
        title, *words = AXES[kind]
        drawn.supxlabel(words[0], fontsize=11)
        drawn.supylabel(words[1], fontsize=11)
        lines = [key_line(index, title_of(name)) for index, name in enumerate(rows)]
        drawn.legend(handles=lines, loc="outside upper left", ncols=6, fontsize=10)
        return to_svg(drawn, f"{kind}-{outcome}", f"{title} of each label and model.")


def _fold(label: str) -> str:
    """On two lines, cut where even these do not do."""
    words, lines = label.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 25:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")


def _frame_curve(panel: Axes, kind: str, title: str) -> None:
    if kind == "roc":
        panel.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (2, 3)))
    panel.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    panel.set_title(title)


def _line(panel: Axes, points: Points, index: int, **style: Any) -> None:
    x, y = np.array(points, np.float64).T
    panel.plot(x, y, **(colour_of(index) | style))


def _put_legend(drawn: Figure, names: Iterable[str], *more: Any) -> None:
    lines = [key_line(index, title_of(name)) for index, name in enumerate(names)]
    drawn.legend(handles=[*lines, *more], loc="outside right upper")


def plot_gap(result: Json, outcome: str) -> str | None:
    """Scores by the hours since the last film, a line a row."""
    groups = list(result["outcomes"][outcome]["groups"].get("gap", {}))
    rows = rows_of(result, outcome)
    if len(groups) < 2:
        return None
    with figure(WIDTH, 4.2) as drawn:
        panels = drawn.subplots(1, 2)
        for panel, metric in zip(panels, RANKED, strict=True):
            for index, row in enumerate(rows.values()):
                cells = [row["groups"]["gap"].get(group, {}).get(metric) for group in groups]
                values = [math.nan if cell is None else _number(cell["value"]) for cell in cells]
                panel.plot(range(len(groups)), values, marker="o", **colour_of(index))
            panel.set_xticks(range(len(groups)), groups)
            panel.set_xlim(-0.3, len(groups) - 0.7)
            panel.set_title(METRICS[metric])
            panel.set_xlabel("Hours from the last film to the prediction")
        _put_legend(drawn, rows)
        words = "AUPRC and AUROC of each model by hours since the last film, as in the table."
        return to_svg(drawn, f"gap-{outcome}", words)


def plot_groups(result: Json, outcome: str, metric: str = "auroc") -> str | None:
    """A panel a grouping: a line of dots a group, a dot a row."""
    groupings, rows = groupings_of(result, outcome), rows_of(result, outcome)
    groups = result["outcomes"][outcome]["groups"]
    if not groupings:
        return None
    across, down = 3, math.ceil(len(groupings) / 3)
    with figure(WIDTH, 0.9 + 2.4 * down) as drawn:
        panels = drawn.subplots(down, across, sharex=True, squeeze=False).ravel()
        for panel, grouping in zip(panels, groupings, strict=False):
            names = list(groups[grouping])[::-1]
            for index, row in enumerate(rows.values()):
                found = [row["groups"][grouping].get(name, {}).get(metric) for name in names]
                shift = 0.5 * (index + 0.5) / len(rows) - 0.25
                points = [
                    (cell["value"], at - shift)
                    for at, cell in enumerate(found)
                    if cell is not None and cell["value"] is not None
                ]
                if points:
                    x, y = zip(*points, strict=True)
                    panel.plot(x, y, "o", color=colour_of(index)["color"], markersize=5)
            panel.set_yticks(range(len(names)), names)
            panel.set_ylim(-0.6, len(names) - 0.4)
            panel.set_title(name_grouping(grouping))
        for panel in panels[len(groupings) :]:
            panel.set_axis_off()
        drawn.supxlabel(METRICS[metric], fontsize=11)
        words = f"{METRICS[metric]} of each model in each subgroup, as in the tables."
        return to_svg(drawn, f"groups-{outcome}", words)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def plot_reliability(result: Json, outcome: str) -> str | None:
    """A panel a row: predicted and observed, before and after calibration."""
    rows = rows_of(result, outcome)
    if not any(_pool_bins(row["reliability"]) for row in rows.values()):
        return None
    across, down = 4, math.ceil(len(rows) / 4)
    with figure(WIDTH, 0.9 + 2.6 * down) as drawn:
        panels = drawn.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, (name, row) in zip(panels, rows.items(), strict=False):
            panel.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (2, 3)))
            for key, style in (("reliability" + BEFORE, _BEFORE), ("reliability", _AFTER)):
                points = _pool_bins(row[key])
                if points:
                    x, y, stays = np.array(points).T
                    panel.plot(x, y, **style)
                    sizes = 8 + 70 * stays / stays.sum()
                    panel.scatter(x, y, s=sizes, color=style["color"], linewidths=0)
            panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
            panel.set_title(title_of(name))
        for panel in panels[len(rows) :]:
            panel.set_axis_off()
        handles = [key_line(1, "before calibration"), key_line(0, "after calibration")]
        handles[0].set_linestyle(_BEFORE["linestyle"])
        drawn.legend(handles=handles, loc="outside upper left", ncols=2)
        drawn.supxlabel("Predicted probability", fontsize=11)
        drawn.supylabel("Share with the outcome", fontsize=11)
        words = "Reliability of each model before and after calibration; errors are in the table."
        return to_svg(drawn, f"reliability-{outcome}", words)


_BEFORE = {"color": SERIES[1], "linestyle": (0, (4, 2)), "linewidth": 1.4}
_AFTER = {"color": SERIES[0], "linestyle": "-", "linewidth": 2.0}


def _pool_bins(reliability: Mapping[str, Sequence[Json]]) -> list[tuple[float, float, float]]:
    """Predicted, observed and stays of each of the Q bins, over the stays of all labels."""
    points = []
    for bins in zip(*reliability.values(), strict=True):
        weights = [found["stays"] for found in bins if found["stays"]]
        if weights:
            filled = [found for found in bins if found["stays"]]
            predicted, observed = (
                float(np.average([found[name] for found in filled], weights=weights))
                for name in ("predicted", "observed")
            )
            points.append((predicted, observed, float(sum(weights))))
    return points


def plot_decision(result: Json, outcome: str) -> str | None:
    """Net benefit over thresholds, the mean over labels, beside treating all and none."""
    rows = rows_of(result, outcome)
    found = {name: _mean_benefit(row["decision"]) for name, row in rows.items() if row["decision"]}
    if not found:
        return None
    names = list(rows)
    with figure(WIDTH, 4.6) as drawn:
        panel = drawn.subplots()
        for name, points in found.items():
            _line(panel, points[:, :2].tolist(), names.index(name))
        everyone = next(iter(found.values()))
        style = {"color": INK, "linewidth": 1.2}
        panel.plot(everyone[:, 0], everyone[:, 2], linestyle=(0, (1, 2)), **style)
        panel.axhline(0, **style)
        top = max(points[:, 1:].max() for points in found.values())
        useful = max(points[points[:, 1] > 0.04 * top, 0].max(initial=0.3) for points in found.values())
        panel.set(xlim=(0, min(useful + 0.05, 1)), ylim=(-0.12 * top, 1.08 * top))
        panel.set(xlabel="Threshold: act from this probability on", ylabel="Net benefit")
        more = [key_line(0, "treat all"), key_line(0, "treat no one")]
        for line, dashes in zip(more, ((0, (1, 2)), "-"), strict=True):
            line.set(linestyle=dashes, **style)
        _put_legend(drawn, rows, *more)
        words = "Net benefit of each model over thresholds, beside treating all and no one."
        return to_svg(drawn, f"decision-{outcome}", words)


def _mean_benefit(decision: Mapping[str, Sequence[Json]]) -> Any:
    """(T, 3): threshold, the net benefit, and that of treating all."""
    names = ("threshold", "net_benefit", "treat_all")
    return np.mean([[[one[n] for n in names] for one in of] for of in decision.values()], axis=0)


def plot_attention(result: Json, outcome: str) -> str | None:
    """Shares of the modalities, a bar a row."""
    rows = {n: r["attention"] for n, r in rows_of(result, outcome).items() if r["attention"]}
    if not rows:
        return None
    modalities = list(dict.fromkeys(name for found in rows.values() for name in found["names"]))
    with figure(WIDTH, 1.3 + 0.5 * len(rows)) as drawn:
        panel = drawn.subplots()
        for at, found in enumerate(list(rows.values())[::-1]):
            left = 0.0
            for name, share in zip(found["names"], found["mean"], strict=True):
                colour = SERIES[modalities.index(name) % len(SERIES)]
                panel.barh(at, share, left=left, height=0.62, color=colour, edgecolor=FAINT)
                words = {"ha": "center", "va": "center", "color": ON_SERIES}
                panel.text(left + share / 2, at, f"{share:.2f}", **words)
                left += share
        panel.set_yticks(range(len(rows)), [title_of(name) for name in list(rows)[::-1]])
        panel.set(xlim=(0, 1), xlabel="Mean weight")
        panel.grid(visible=False)
        handles = [key_line(i % len(SERIES), name) for i, name in enumerate(modalities)]
        for line in handles:
            line.set(linewidth=8, linestyle="-")
        drawn.legend(handles=handles, loc="outside upper left", ncols=max(len(handles), 1))
        numbers = f"Mean weight of {', '.join(modalities)} in each model, as written in the bars."
        return to_svg(drawn, f"attention-{outcome}", numbers)

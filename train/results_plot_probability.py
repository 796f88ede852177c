"""Figures of what probabilities are worth, and of what a model weighs.

Shapes: Q bins, T thresholds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cxrfuture_data.page.figure import FAINT, GREY, INK, ON_SERIES, SERIES, figure, key_line, to_svg
from train.results_cell import BEFORE, Json, number_rows
from train.results_plot import WIDTH, draw_line, put_legend
from train.results_text import title_of


def plot_reliability(result: Json, outcome: str) -> str | None:
    """A panel a row: predicted and observed, before and after calibration."""
    rows = number_rows(result, outcome)
    if not any(_pool_bins(row["reliability"]) for _, _, row in rows):
        return None
    across, down = 4, math.ceil(len(rows) / 4)
    with figure(WIDTH, 0.9 + 2.6 * down) as drawn:
        panels = drawn.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, (_, name, row) in zip(panels, rows, strict=False):
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


_BEFORE: Any = {"color": SERIES[1], "linestyle": (0, (4, 2)), "linewidth": 1.4}
_AFTER: Any = {"color": SERIES[0], "linestyle": "-", "linewidth": 2.0}


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
    rows = number_rows(result, outcome)
    found = {index: _mean_benefit(row["decision"]) for index, _, row in rows if row["decision"]}
    if not found:
        return None
    with figure(WIDTH, 4.6) as drawn:
        panel = drawn.subplots()
        for index, points in found.items():
            draw_line(panel, points[:, :2].tolist(), index)
        everyone = next(iter(found.values()))
        style: Any = {"color": INK, "linewidth": 1.2}
        panel.plot(everyone[:, 0], everyone[:, 2], linestyle=(0, (1, 2)), **style)
        panel.axhline(0, **style)
        top = max(1e-3, *(points[:, 1:].max() for points in found.values()))
        useful = max(
            points[points[:, 1] > 0.04 * top, 0].max(initial=0.3) for points in found.values()
        )
        panel.set(xlim=(0, min(useful + 0.05, 1)), ylim=(-0.12 * top, 1.08 * top))
        panel.set(xlabel="Threshold: act from this probability on", ylabel="Net benefit")
        more = [key_line(0, "treat all"), key_line(0, "treat no one")]
        for line, dashes in zip(more, ((0, (1, 2)), "-"), strict=True):
            line.set(linestyle=dashes, **style)
        put_legend(drawn, rows, *more)
        words = "Net benefit of each model over thresholds, beside treating all and no one."
        return to_svg(drawn, f"decision-{outcome}", words)


def _mean_benefit(decision: Mapping[str, Sequence[Json]]) -> Any:
    """(T, 3): threshold, the net benefit, and that of treating all."""
    names = ("threshold", "net_benefit", "treat_all")
    return np.mean([[[one[n] for n in names] for one in of] for of in decision.values()], axis=0)


def plot_attention(result: Json, outcome: str) -> str | None:
    """Shares of the modalities, a bar a row."""
    found = {name: row["attention"] for _, name, row in number_rows(result, outcome)}
    rows = {name: said for name, said in found.items() if said}
    if not rows:
        return None
    modalities = list(dict.fromkeys(name for said in rows.values() for name in said["names"]))
    with figure(WIDTH, 1.3 + 0.5 * len(rows)) as drawn:
        panel = drawn.subplots()
        for at, said in enumerate(list(rows.values())[::-1]):
            left = 0.0
            for name, share in zip(said["names"], said["mean"], strict=True):
                colour = SERIES[modalities.index(name) % len(SERIES)]
                panel.barh(at, share, left=left, height=0.62, color=colour, edgecolor=FAINT)
                words: Any = {"ha": "center", "va": "center", "color": ON_SERIES}
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

"""Bars, dots and stacked shares, a line of them a row: as tall as there are rows."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawn

from cxrfuture_data.page.figure import FAINT, GREY, INK, ON_SERIES
from etl.report.figure_grid import (
    HATCH,
    Plot,
    add_legend,
    add_panels,
    color_of,
    color_patch,
    frame_values,
    marker_line,
    marker_of,
    split_panels,
)
from etl.report.shown_table import spell_percent

FEW_CELLS = 60  # so many can carry their number
BAR = 0.155  # inches
APART = 0.62  # of a row: the dots of its columns
ROOM = 0.08  # of a share's axis: what a number inside a bar needs


def _height(plot: Plot, row: float) -> float:
    least = 0.36 if any("\n" in name for name in plot.rows) else 0.24
    return 1.15 + split_panels(plot)[0].stop * max(row, least)


def bars_height(plot: Plot) -> float:
    """In inches."""
    return _height(plot, BAR * len(plot.grid.columns) + 0.13)


def points_height(plot: Plot) -> float:
    """In inches."""
    return _height(plot, 0.22 + 0.03 * min(5, len(plot.grid.columns)))


def shares_height(plot: Plot) -> float:
    """In inches."""
    return _height(plot, 0.34)


def draw_bars(drawn: Drawn, plot: Plot) -> None:
    """A group of bars a row, a bar a column, with their numbers where there are few."""
    columns = len(plot.grid.columns)
    thick = 0.82 / columns
    for panel, part in add_panels(drawn, plot):
        for c in range(columns):
            values, at = plot.values[part, c], np.arange(part.stop - part.start)
            y = at + (c - (columns - 1) / 2) * thick
            known = np.isfinite(values)
            color = color_of(c, plot.grid.columns[c])
            panel.barh(y[known], values[known], height=thick * 0.92, color=color)
            for r in at:
                if plot.is_hidden[part, c][r]:
                    _say_hidden(panel, float(y[r]))
                elif known[r] and plot.values.size <= FEW_CELLS:
                    _say_number(panel, plot, float(values[r]), float(y[r]))
        frame_values(panel, plot)
    if not plot.is_logarithmic:
        top = float(np.nanmax(plot.values))
        drawn.axes[0].set_xlim(min(0.0, float(np.nanmin(plot.values))), (top or 1) * 1.1)
    add_legend(drawn, plot, [color_patch(c, name) for c, name in enumerate(plot.columns)])


def _say_number(panel: Axes, plot: Plot, value: float, y: float) -> None:
    x = max(value, 0) if not plot.is_logarithmic else max(value, panel.get_xlim()[0])
    panel.annotate(
        plot.spell(value),
        (x, y),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=GREY,
    )


def _say_hidden(panel: Axes, y: float) -> None:
    panel.annotate(
        "hidden",
        (0, y),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        fontstyle="italic",
        color=GREY,
    )


def draw_points(drawn: Drawn, plot: Plot) -> None:
    """A dot a cell, on a line a row."""
    for panel, part in add_panels(drawn, plot):
        at = np.arange(part.stop - part.start)
        panel.hlines(at, 0, 1, transform=panel.get_yaxis_transform(), color=FAINT, linewidth=0.8)
        columns = len(plot.grid.columns)
        for c in range(columns):
            values = plot.values[part, c]
            known = np.isfinite(values)
            # Beside one another, as splits that are alike would cover each other.
            y = at[known] + (c - (columns - 1) / 2) * APART / columns
            panel.plot(values[known], y, marker_of(c), color=color_of(c), markersize=5.5)
        for r in at[plot.is_hidden[part].any(axis=1)]:
            hidden = np.flatnonzero(plot.is_hidden[part][r]).tolist()
            names = ", ".join(plot.grid.columns[c] for c in hidden)
            words = "hidden" if len(hidden) == len(plot.grid.columns) else f"hidden: {names}"
            _say_beside(panel, words, int(r))
        frame_values(panel, plot)
    if not plot.is_logarithmic:
        _frame_points(drawn.axes[0], plot)
    handles = [marker_line(c, name) for c, name in enumerate(plot.columns)]
    if len(plot.grid.columns) > 1:
        drawn.legend(handles=handles, loc="outside upper left", ncols=6, fontsize=10)


def _frame_points(panel: Axes, plot: Plot) -> None:
    low, high = float(np.nanmin(plot.values)), float(np.nanmax(plot.values))
    edge = 0.03 * ((high - min(low, 0)) or 1)
    panel.set_xlim(min(low, 0) - edge, high + edge)


def _say_beside(panel: Axes, words: str, row: int) -> None:
    panel.annotate(
        words,
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
        fontsize=8,
        fontstyle="italic",
        color=GREY,
    )


def draw_shares(drawn: Drawn, plot: Plot) -> None:
    """Each row adds up to 100%; how many that are stands at its end."""
    known = np.nan_to_num(plot.values)
    total = known.sum(axis=1, keepdims=True)
    shares = np.divide(known, total, out=np.zeros_like(known), where=total > 0)
    is_hidden = np.any(plot.is_hidden, axis=1)
    for panel, part in add_panels(drawn, plot):
        for r in range(part.start, part.stop):
            y = r - part.start
            if is_hidden[r]:
                panel.barh(
                    y, 100, height=0.72, facecolor="none", edgecolor=FAINT, hatch=HATCH, linewidth=0
                )
                panel.text(50, y, "hidden", va="center", ha="center", fontsize=9, color=INK)
            else:
                _stack(panel, shares[r], plot.grid.columns, y)
                _say_total(panel, plot, float(total[r, 0]), y)
        panel.set_xlim(0, 100)
        panel.set_xlabel(f"% of {plot.grid.unit or 'the row'}")
        panel.grid(visible=False)
    drawn.legend(
        handles=[color_patch(c, name) for c, name in enumerate(plot.columns)],
        loc="outside upper left",
        ncols=6,
        fontsize=10,
    )


def _stack(panel: Axes, shares: np.ndarray, names: Sequence[str], y: int) -> None:
    left = 0.0
    for c, share in enumerate(shares):
        color = color_of(c, names[c])
        panel.barh(y, 100 * share, left=left, height=0.72, color=color)
        if share >= ROOM:
            panel.text(
                left + 50 * share,
                y,
                spell_percent(float(share)),
                va="center",
                ha="center",
                fontsize=9,
                color=ON_SERIES,
            )
        left += 100 * share


def _say_total(panel: Axes, plot: Plot, total: float, y: int) -> None:
    if plot.grid.unit and not plot.is_share:
        panel.annotate(
            plot.spell(total) if total else "none",
            (100, y),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=GREY,
            annotation_clip=False,
        )

"""Heat maps and histograms."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawn
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from cxrfuture_data.page.figure import DASHES, GREY, INK, ON_SERIES, SERIES
from etl.report.figure_grid import (
    HATCH,
    Plot,
    add_legend,
    color_of,
    fold,
    frame_values,
    hidden_patch,
    split_panels,
)

MANY_COLUMNS = 14  # more have no room for a number in each cell
DARK = 0.55  # of a cell's ink: letters on it take the paper's colour
LETTERS = 105  # of columns' names beside one another
GAP = 0.002  # between cells, of the figure's width
LABELS = 24  # names of bins that fit below an axis


def heat_height(plot: Plot) -> float:
    """In inches."""
    folded = sum("\n" in name for name in plot.rows) / len(plot.rows)
    return 0.7 + _names_height(plot) + split_panels(plot)[0].stop * (0.3 + 0.1 * folded)


def _names_height(plot: Plot) -> float:
    """Of the columns' names above the cells."""
    if not _is_turned(plot):
        return 0.25 + 0.15 * max(name.count("\n") for name in _names(plot))
    return 0.2 + 0.075 * min(24, max(len(name) for name in plot.grid.columns))


def _letters(plot: Plot) -> int:
    """That a column has room for."""
    return min(24, LETTERS // (len(plot.grid.columns) * len(split_panels(plot))))


def _names(plot: Plot) -> list[str]:
    return [fold(name, max(1, _letters(plot))) for name in plot.grid.columns]


def _is_turned(plot: Plot) -> bool:
    """Whether words do not fit above their columns."""
    longest = max(len(word) for name in plot.grid.columns for word in name.split() or [""])
    return longest > _letters(plot) or any("…" in name for name in _names(plot))


def draw_heat(drawn: Drawn, plot: Plot) -> None:
    """The fuller a cell, the larger its number."""
    parts = split_panels(plot)
    panels = drawn.subplots(1, len(parts), squeeze=False)[0]
    ink = _ink(plot)
    has_numbers = len(plot.grid.columns) * len(parts) <= MANY_COLUMNS
    for panel, part in zip(panels, parts, strict=True):
        for r in range(part.start, part.stop):
            for c in range(len(plot.grid.columns)):
                _draw_cell(panel, plot, (r, c), r - part.start, float(ink[r, c]), has_numbers)
        _frame_heat(panel, plot, part, parts[0].stop)
    if not has_numbers:
        _add_scale(drawn, plot)
    elif plot.is_hidden.any():
        drawn.legend(handles=[hidden_patch()], loc="outside lower left", fontsize=10)


def _ink(plot: Plot) -> np.ndarray:
    """(R, C) from 0 to 1."""
    values = np.nan_to_num(plot.values)
    low = min(0.0, float(values.min()))
    values = values - low
    if plot.is_logarithmic:
        values = np.log1p(values)
    return values / (values.max() or 1)


def _draw_cell(
    panel: Axes, plot: Plot, cell: tuple[int, int], y: int, ink: float, has_numbers: bool
) -> None:
    x, value = cell[1], plot.values[cell]
    gap = GAP * len(plot.grid.columns) * len(split_panels(plot))
    place = Rectangle((x - 0.5 + gap / 2, y - 0.47), 1 - gap, 0.94, lw=0)
    if plot.is_hidden[cell]:
        place.set(facecolor="none", edgecolor=GREY, hatch=HATCH)
        panel.add_patch(place)
    elif np.isfinite(value):
        place.set(facecolor=SERIES[0], alpha=_alpha(ink))
        panel.add_patch(place)
        if has_numbers:
            color = ON_SERIES if ink > DARK else INK
            panel.text(
                x, y, plot.spell(float(value)), ha="center", va="center", fontsize=9, color=color
            )


def _alpha(ink: float) -> float:
    return round(0.05 + 0.95 * ink, 2)


def _frame_heat(panel: Axes, plot: Plot, part: slice, rows: int) -> None:
    panel.set_xlim(-0.5, len(plot.grid.columns) - 0.5)
    panel.set_ylim(rows - 0.5, -0.5)
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0, labelsize=10)
    panel.set_yticks(range(part.stop - part.start), plot.rows[part])
    panel.xaxis.tick_top()
    if _is_turned(plot):
        names = [name if len(name) <= 24 else f"{name[:23]}…" for name in plot.grid.columns]
        panel.set_xticks(range(len(names)), names, rotation=90)
    else:
        panel.set_xticks(range(len(plot.grid.columns)), _names(plot))


def _add_scale(drawn: Drawn, plot: Plot) -> None:
    """Five cells from nothing to the largest."""
    top = float(np.nanmax(plot.values))
    low = min(0.0, float(np.nanmin(plot.values)))
    steps = np.linspace(0, 1, 5)
    sizes = np.expm1(steps * np.log1p(top - low)) if plot.is_logarithmic else steps * (top - low)
    handles: list[Patch] = [
        Rectangle(
            (0, 0), 1, 1, facecolor=SERIES[0], alpha=_alpha(step), label=plot.spell(low + size)
        )
        for step, size in zip(steps.tolist(), sizes.tolist(), strict=True)
    ]
    if plot.is_hidden.any():
        handles.append(hidden_patch())
    drawn.legend(
        handles=handles, loc="outside lower left", ncols=6, fontsize=10, title=plot.axis or None
    )


def histogram_height(plot: Plot) -> float:
    """In inches."""
    return 4.2 if len(plot.grid.rows) <= LABELS else 4.6


def draw_histogram(drawn: Drawn, plot: Plot) -> None:
    """A step line a column; of several columns in percent of each, so that shapes compare."""
    panel = drawn.subplots()
    is_share = plot.is_share or len(plot.grid.columns) > 1
    handles = []
    for c, name in enumerate(plot.columns):
        values = plot.values[:, c]
        total = np.nansum(values)
        if is_share and not plot.is_share:
            values = 100 * values / total if total else values
        line: dict[str, Any] = {
            "color": color_of(c),
            "linestyle": DASHES[c % len(DASHES)],
            "linewidth": 1.8,
        }
        panel.stairs(values, baseline=None, **line)
        handles.append(Line2D([], [], label=name, **line))
        if len(plot.columns) == 1:
            panel.stairs(values, fill=True, color=SERIES[0], alpha=0.25)
    for r in np.flatnonzero(plot.is_hidden.any(axis=1)).tolist():
        panel.axvspan(r, r + 1, ymax=0.06, facecolor="none", edgecolor=GREY, hatch=HATCH, lw=0)
    share = Plot(plot.grid, plot.values, plot.is_hidden, is_share, plot.is_logarithmic)
    frame_values(panel, share, "y")
    if not plot.is_logarithmic:
        panel.set_ylim(bottom=0)
    _name_bins(panel, plot)
    add_legend(drawn, plot, handles)


def _name_bins(panel: Axes, plot: Plot) -> None:
    """Under their bins, every second or third of many; at a slant where they are long."""
    names = plot.grid.rows
    every = -(-len(names) // LABELS)
    at = range(0, len(names), every)
    is_long = sum(len(names[i]) for i in at) > 110
    panel.set_xticks(
        [i + 0.5 for i in at],
        [name if len(name := names[i]) <= 24 else f"{name[:23]}…" for i in at],
        rotation=35 if is_long else 0,
        ha="right" if is_long else "center",
        rotation_mode="anchor",
        fontsize=10,
    )
    panel.set_xlim(0, len(names))
    panel.set_xlabel(plot.grid.corner)
    panel.grid(axis="x", visible=False)

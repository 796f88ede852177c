"""What figures of the report share: a grid as numbers, legends, panels and labels.

Shapes: R rows, C columns.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawn
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from cxrfuture_data.page.figure import GREY, SERIES
from etl.report.facts import Figure
from etl.report.shown import Grid, Hidden
from etl.report.shown_table import share_of, spell_bytes, spell_count, spell_percent, spell_short

WIDTH = 11.0  # inches: at the page's width a letter of 11 points is some 15 pixels
LABEL = 42, 28  # letters of a row's name on one line, with one panel and two
MANY_ROWS = 26  # more are shown in two panels side by side
MARKERS = "osD^vPX*"
HATCH = "////"
NOT_KNOWN = ("not known", "unknown", "not mentioned")

Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Plot:
    """``values`` (R, C), NaN where not known or hidden: shares in percent if ``is_share``.
    ``is_hidden`` (R, C)."""

    grid: Grid
    values: Numbers
    is_hidden: NDArray[np.bool_]
    is_share: bool
    is_logarithmic: bool

    @property
    def rows(self) -> list[str]:
        letters = LABEL[len(self.grid.rows) > MANY_ROWS]
        return [fold(name, letters) for name in self.grid.rows]

    @property
    def columns(self) -> list[str]:
        return [fold(name, 24) for name in self.grid.columns]

    @property
    def axis(self) -> str:
        if self.is_share:
            return f"% of {self.grid.unit}"
        return self.grid.unit

    def spell(self, value: float) -> str:
        """As in the tables."""
        if self.is_share:
            return spell_percent(value / 100)
        if self.grid.unit == "bytes":
            return spell_bytes(round(value))
        return spell_count(round(value)) if self.grid.unit else spell_short(value)


def read_plot(grid: Grid, shape: Figure) -> Plot | None:
    """None where no cell is a number. Bars are of counts, the other forms of shares where the grid
    has them."""
    if not grid.rows or not grid.columns:
        return None
    is_share = grid.of is not None and shape.form != "bars"
    values = np.full((len(grid.rows), len(grid.columns)), np.nan)
    is_hidden = np.zeros(values.shape, np.bool_)
    for r, row in enumerate(grid.values):
        for c, value in enumerate(row):
            is_hidden[r, c] = isinstance(value, Hidden)
            if is_share:
                share = share_of(grid, r, c)
                values[r, c] = np.nan if share is None else 100 * share
            elif isinstance(value, int | float):
                values[r, c] = value
    if not np.isfinite(values).any():
        return None
    return Plot(grid, values, is_hidden, is_share, shape.logarithmic)


def fold(name: str, letters: int) -> str:
    """On at most two lines, cut where these do not do."""
    lines = textwrap.wrap(name, letters) or [""]
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")


def color_of(column: int, name: str = "") -> str:
    """Grey of what is not known."""
    return GREY if name in NOT_KNOWN else SERIES[column % len(SERIES)]


def split_panels(plot: Plot) -> list[slice]:
    """Rows of each panel: two where there are many."""
    rows = len(plot.grid.rows)
    if rows <= MANY_ROWS:
        return [slice(0, rows)]
    middle = (rows + 1) // 2
    return [slice(0, middle), slice(middle, rows)]


def add_panels(drawn: Drawn, plot: Plot) -> list[tuple[Axes, slice]]:
    """One for each slice of rows, the first row on top."""
    slices = split_panels(plot)
    panels = drawn.subplots(1, len(slices), sharex=True, squeeze=False)[0]
    for panel, part in zip(panels, slices, strict=True):
        rows = plot.rows[part]
        panel.set_yticks(range(len(rows)), rows, fontsize=10)
        panel.set_ylim(slices[0].stop - 0.4, -0.6)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", visible=False)
        if len(rows) < slices[0].stop:
            panel.spines["left"].set_bounds(len(rows) - 0.4, -0.6)
    return list(zip(panels, slices, strict=True))


def frame_values(panel: Axes, plot: Plot, axis: str = "x") -> None:
    """The axis of the numbers: its scale, and how they are spelled."""
    of = getattr(panel, f"{axis}axis")
    if plot.is_logarithmic:
        known = plot.values[np.isfinite(plot.values) & (plot.values > 0)]
        low = float(known.min()) if known.size else 1.0
        getattr(panel, f"set_{axis}scale")("log")
        getattr(panel, f"set_{axis}lim")(left=low / 2) if axis == "x" else panel.set_ylim(low / 2)
    else:
        of.set_major_locator(MaxNLocator(6, integer=bool(plot.grid.unit) and not plot.is_share))
    of.set_major_formatter(FuncFormatter(lambda value, _: _spell_tick(plot, float(value))))
    getattr(panel, f"set_{axis}label")(plot.axis)


def _spell_tick(plot: Plot, value: float) -> str:
    if plot.is_share:
        return f"{value:g}%"
    if plot.grid.unit == "bytes":
        return spell_bytes(round(value))
    return spell_short(value)


def add_legend(drawn: Drawn, plot: Plot, handles: Sequence[Any]) -> None:
    """Above, unless there is one column and nothing is hidden."""
    shown = list(handles) if len(plot.grid.columns) > 1 else []
    if plot.is_hidden.any():
        shown.append(hidden_patch())
    if shown:
        drawn.legend(handles=shown, loc="outside upper left", ncols=6, fontsize=10)


def hidden_patch() -> Patch:
    """For a legend."""
    return Patch(facecolor="none", edgecolor=GREY, hatch=HATCH, linewidth=0, label="hidden")


def color_patch(column: int, title: str) -> Patch:
    """For a legend."""
    return Patch(facecolor=color_of(column, title), label=title)


def marker_line(column: int, title: str) -> Line2D:
    """For a legend."""
    return Line2D(
        [], [], linestyle="", marker=marker_of(column), color=color_of(column), label=title
    )


def marker_of(column: int) -> str:
    return MARKERS[column % len(MARKERS)]

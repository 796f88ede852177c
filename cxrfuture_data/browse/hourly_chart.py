"""The hourly record as one chart, a lane a variable, all over the same hours: what was measured,
and what a model reads where nothing was.

One figure with a lane for each, and not a figure each: 52 figures took a browser many seconds.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, FixedTicker, LinearAxis, Range1d
from bokeh.models.annotations import Span
from bokeh.models.widgets import Div

from cxrfuture_data.browse.chart import (
    COLOURS,
    Colours,
    Theme,
    describe,
    hover,
    new_figure,
    style,
    tools,
)
from cxrfuture_data.browse.window_facts import Clock

NAN = float("nan")
LANE, FRAME = 64, 110  # pixels of a lane; of both axes and the title
EDGE = 0.16  # of a lane, above its highest value and below its lowest
LONGEST_WORD = 16  # characters of a category beside its axis
_BOX = "<b>@variable</b> @words<br>@when h, @how"
Variable = dict[str, Any]


@dataclass(frozen=True)
class Lane:
    """A variable between ``low`` and ``high``, which lie at ``bottom + EDGE`` and near the top."""

    variable: Variable
    bottom: int
    low: float
    high: float

    def y(self, value: float | None) -> float:
        """NaN of no value."""
        if value is None:
            return NAN
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.bottom + EDGE + (1 - 2 * EDGE) * share

    @property
    def name(self) -> str:
        unit = self.variable["unit"]
        return f"{self.variable['variable']} ({unit})" if unit else str(self.variable["variable"])


def draw_hourly(variables: Sequence[Variable], clock: Clock, theme: Theme) -> Any:
    """A lane for each variable that was measured, as the browser's half of bokeh reads it."""
    colours = COLOURS[theme]
    measured = [variable for variable in variables if variable["measured"]]
    if not measured:
        words = f"<p style='color:{colours.grey}'>No hourly value was measured in this window.</p>"
        return json_item(Div(text=words, sizing_mode="stretch_width"))
    lanes = [_lane(found, len(measured) - 1 - row) for row, found in enumerate(measured)]
    hours = [*measured[0]["hours"], 0.0, clock.start, clock.end]
    margin = max((max(hours) - min(hours)) * 0.02, 0.05)
    plot = new_figure(
        title=f"{len(measured)} of {len(variables)} variables measured",
        height=FRAME + LANE * len(lanes),
        x_range=Range1d(min(hours) - margin, max(hours) + margin),
        y_range=Range1d(start=0, end=len(lanes)),
        x_axis_label=f"hours since the {clock.zero}",
        **tools(wheel_zooms=False),
    )
    _name_lanes(plot, lanes)
    style(plot, colours)
    plot.yaxis.major_tick_line_color = None
    plot.yaxis.axis_line_color = None
    describe(plot, f"Hourly values: {', '.join(lane.name for lane in lanes)}")
    for hour in (0.0, clock.end):
        plot.add_layout(
            Span(location=hour, dimension="height", line_color=colours.grey, line_dash=[5, 3])
        )
    plot.add_tools(hover(_draw_values(plot, lanes, colours), _BOX, colours, most=1))
    return json_item(plot)


def _lane(variable: Variable, bottom: int) -> Lane:
    """From the smallest to the largest of all values, filled in or not, and the normal one."""
    if variable["categories"]:
        variable = _rank_categories(variable)
    found = [*variable["values"], *variable["imputed"], variable["normal"]]
    known = [value for value in found if value is not None]
    return Lane(variable, bottom, min(known), max(known))


def _rank_categories(variable: Variable) -> Variable:
    """A variable of categories with a number each that occurs: its place in their order, which is
    that of the numbers in their names."""
    names = variable["categories"]
    found = {int(v) for v in [*variable["values"], *variable["imputed"]] if v is not None}
    found.add(int(variable["normal"]))
    order = sorted(found, key=lambda code: (_number_in(names[code]), names[code]))
    rank = {code: place for place, code in enumerate(order)}
    ranked = {
        name: [None if value is None else rank[int(value)] for value in variable[name]]
        for name in ("values", "imputed")
    }
    categories = [names[code] for code in order]
    return variable | ranked | {"normal": rank[int(variable["normal"])], "categories": categories}


def _number_in(name: str) -> float:
    found = re.search(r"[0-9.]+", name)
    return float(found[0]) if found else math.inf


def _name_lanes(plot: Any, lanes: Sequence[Lane]) -> None:
    """Names on the left, the smallest and largest value on the right, hours above and below."""
    middles = {lane.bottom + 0.5: lane.name for lane in lanes}
    plot.yaxis.ticker = FixedTicker(ticks=[*middles])
    plot.yaxis.major_label_overrides = middles
    ends: Any = {lane.y(end): _short(lane, end) for lane in lanes for end in (lane.low, lane.high)}
    right: Any = LinearAxis()
    right.ticker, right.major_label_overrides = FixedTicker(ticks=[*ends]), ends
    plot.add_layout(right, "right")
    plot.add_layout(LinearAxis(), "above")
    plot.ygrid.ticker = FixedTicker(ticks=[lane.bottom for lane in lanes])


def _short(lane: Lane, value: float) -> str:
    categories = lane.variable["categories"]
    if not categories:
        return f"{value:.4g}"
    name = str(categories[int(value)])
    return name if len(name) <= LONGEST_WORD else name[: LONGEST_WORD - 2] + ".."


def _draw_values(plot: Any, lanes: Sequence[Lane], colours: Colours) -> list[Any]:
    """Measured hours as dots, joined where they are neighbours; what is filled in as hollow ones on
    a broken line; the normal value as a dotted one."""
    ink = colours.series[0]
    plot.hspan(
        y=[lane.y(lane.variable["normal"]) for lane in lanes],
        line_color=colours.series[2],
        line_dash=[2, 3],
        line_width=1.3,
    )
    for name, look in (
        ("imputed", {"line_color": colours.grey, "line_dash": [4, 3], "line_width": 1.3}),
        ("values", {"line_color": ink, "line_width": 2}),
    ):
        lines = [_line(lane, name) for lane in lanes]
        plot.multi_line([line[0] for line in lines], [line[1] for line in lines], **look)
    filled, known = (ColumnDataSource(_points(lanes, kind)) for kind in ("imputed", "values"))
    look = {"size": 5, "line_color": colours.grey, "fill_color": colours.paper}
    hollow = plot.scatter("hours", "at", source=filled, **look)
    return [hollow, plot.scatter("hours", "at", source=known, size=6, color=ink)]


def _line(lane: Lane, name: str) -> tuple[list[float], list[float]]:
    """x and y; NaN where it breaks. Categories change from one hour to the next, and not along a
    slope."""
    hours, heights = lane.variable["hours"], [lane.y(value) for value in lane.variable[name]]
    if not lane.variable["categories"]:
        return hours, heights
    return (
        [hour + half for hour in hours for half in (-0.5, 0.5)],
        [height for height in heights for _ in range(2)],
    )


def _points(lanes: Sequence[Lane], kind: str) -> dict[str, Any]:
    """The measured hours of all lanes (``values``), or the others (``imputed``)."""
    is_measured = kind == "values"
    rows = [
        (lane, hour, value)
        for lane in lanes
        for hour, known, value in zip(
            lane.variable["hours"], lane.variable["values"], lane.variable[kind], strict=True
        )
        if value is not None and (known is not None) == is_measured
    ]
    return {
        "hours": [hour for _, hour, _ in rows],
        "at": [lane.y(value) for lane, _, value in rows],
        "variable": [lane.variable["variable"] for lane, _, _ in rows],
        "words": [_words(lane.variable, value) for lane, _, value in rows],
        "when": [f"{hour:.1f}" for _, hour, _ in rows],
        "how": ["measured" if is_measured else "filled in"] * len(rows),
    }


def _words(variable: Variable, value: float) -> str:
    if variable["categories"]:
        return str(variable["categories"][int(value)])
    return f"{value:g} {variable['unit']}".strip()

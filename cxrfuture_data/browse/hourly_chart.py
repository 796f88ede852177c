"""The hourly record as small charts that share their hours: what was measured, and what a model
reads where nothing was."""

import math
import re
from collections.abc import Sequence
from typing import Any

from bokeh.embed import json_item
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource, Range1d
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
MOST_COLUMNS, HEIGHT = 6, 150
LEFT = 84  # pixels for the words of an axis, alike in all charts so that their hours align
LONGEST_WORD = 12  # characters of a category beside its axis
_BOX = "<b>@words</b><br>@when h, @how"
Variable = dict[str, Any]


def draw_hourly(variables: Sequence[Variable], clock: Clock, theme: Theme, columns: int = 3) -> Any:
    """A chart a variable that was measured, as the browser's half of bokeh reads them."""
    colours = COLOURS[theme]
    measured = [variable for variable in variables if variable["measured"]]
    if not measured:
        words = f"<p style='color:{colours.grey}'>No hourly value was measured in this window.</p>"
        return json_item(Div(text=words, sizing_mode="stretch_width"))
    hours = [*measured[0]["hours"], 0.0, clock.start, clock.end]
    margin = max((max(hours) - min(hours)) * 0.02, 0.05)
    shared = Range1d(min(hours) - margin, max(hours) + margin)
    grid = gridplot(
        [_draw(variable, clock, shared, colours) for variable in measured],
        ncols=min(columns, MOST_COLUMNS),
        sizing_mode="stretch_width",
        merge_tools=True,
        toolbar_options={"logo": None},
    )
    return json_item(grid)


def _draw(variable: Variable, clock: Clock, shared: Range1d, colours: Colours) -> Any:
    if variable["categories"]:
        variable = _rank_categories(variable)
    unit = f" ({variable['unit']})" if variable["unit"] else ""
    plot = new_figure(
        title=f"{variable['variable']}{unit}",
        height=HEIGHT,
        x_range=shared,
        y_range=_range(variable),
        min_border_left=LEFT,
        min_border_right=8,
        **tools(wheel_zooms=False),
    )
    style(plot, colours)
    describe(plot, f"{variable['variable']}{unit}: measured in {variable['measured']} hours")
    plot.xaxis.ticker.desired_num_ticks = 5
    plot.yaxis.ticker.desired_num_ticks = 3
    if variable["categories"]:
        _name_categories(plot, variable["categories"])
    for hour in (0.0, clock.end):
        plot.add_layout(
            Span(location=hour, dimension="height", line_color=colours.grey, line_dash=[5, 3])
        )
    plot.add_layout(
        Span(
            location=variable["normal"],
            dimension="width",
            line_color=colours.series[2],
            line_dash=[2, 3],
            line_width=1.5,
        )
    )
    plot.add_tools(hover(_draw_values(plot, variable, colours), _BOX, colours))
    return plot


def _draw_values(plot: Any, variable: Variable, colours: Colours) -> list[Any]:
    """Measured hours as dots, joined where they are neighbours; between them what is filled in.
    Categories change from one hour to the next, and not along a slope."""
    source, ink = _source(variable), colours.series[0]
    filled = {"source": source, "line_color": colours.grey, "line_dash": [4, 3], "line_width": 1.3}
    values = {"source": source, "line_color": ink, "line_width": 2}
    if variable["categories"]:
        plot.step("hours", "imputed", mode="center", **filled)
        plot.step("hours", "value", mode="center", **values)
    else:
        plot.line("hours", "imputed", **filled)
        plot.line("hours", "value", **values)
    hollow = plot.scatter(
        "hours", "filled", source=source, size=5, line_color=colours.grey, fill_color=colours.paper
    )
    return [hollow, plot.scatter("hours", "value", source=source, size=6, color=ink)]


def _range(variable: Variable) -> Range1d:
    """Of all values, filled in or not, and the normal one."""
    found = [*variable["values"], *variable["imputed"], variable["normal"]]
    known = [value for value in found if value is not None]
    low, high = min(known), max(known)
    margin = (high - low) * 0.12 or max(abs(high) * 0.05, 0.5)
    return Range1d(low - margin, high + margin)


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


def _name_categories(plot: Any, names: Sequence[str]) -> None:
    plot.yaxis.ticker = list(range(len(names)))
    plot.yaxis.major_label_text_font_size = "11px"
    plot.yaxis.major_label_overrides = {
        place: name if len(name) <= LONGEST_WORD else name[: LONGEST_WORD - 2] + ".."
        for place, name in enumerate(names)
    }


def _source(variable: Variable) -> ColumnDataSource:
    """Every hour, with NaN where it has no such value."""
    hours, values, imputed = variable["hours"], variable["values"], variable["imputed"]
    is_measured = [value is not None for value in values]
    found = [v if known else i for known, v, i in zip(is_measured, values, imputed, strict=True)]
    return ColumnDataSource(
        {
            "hours": hours,
            "when": [f"{hour:.1f}" for hour in hours],
            "value": [NAN if value is None else value for value in values],
            "imputed": [NAN if value is None else value for value in imputed],
            "filled": [NAN if known else v for known, v in zip(is_measured, imputed, strict=True)],
            "how": ["measured" if known else "filled in" for known in is_measured],
            "words": [_words(variable, value) for value in found],
        }
    )


def _words(variable: Variable, value: float | None) -> str:
    if value is None:
        return ""
    if variable["categories"]:
        return str(variable["categories"][int(value)])
    return f"{value:g} {variable['unit']}".strip()

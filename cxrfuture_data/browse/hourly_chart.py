"""The hourly record as small charts that share their hours: what was measured, and what a model
reads where nothing was."""

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
    hover,
    new_figure,
    sheet,
    style,
    tools,
)
from cxrfuture_data.browse.window_facts import Clock

COLUMNS, HEIGHT = 3, 150
_BOX = "<b>@words</b><br>@when h, @how"
Variable = dict[str, Any]


def draw_hourly(variables: Sequence[Variable], clock: Clock, theme: Theme) -> Any:
    """A chart a variable that was measured, as the browser's half of bokeh reads them."""
    colours = COLOURS[theme]
    measured = [variable for variable in variables if variable["measured"]]
    if not measured:
        words = f"<p style='color:{colours.grey}'>no hourly value was measured in this window</p>"
        return json_item(Div(text=words, sizing_mode="stretch_width"))
    hours = [*measured[0]["hours"], 0.0, clock.start, clock.end]
    margin = max((max(hours) - min(hours)) * 0.02, 0.05)
    shared = Range1d(min(hours) - margin, max(hours) + margin)
    plots = [_draw(variable, clock, shared, colours) for variable in measured]
    grid = gridplot(
        plots,
        ncols=COLUMNS,
        sizing_mode="stretch_width",
        merge_tools=True,
        toolbar_options={"logo": None},
    )
    return json_item(grid)


def _draw(variable: Variable, clock: Clock, shared: Range1d, colours: Colours) -> Any:
    unit = f" ({variable['unit']})" if variable["unit"] else ""
    plot = new_figure(
        title=f"{variable['variable']}{unit}", height=HEIGHT, x_range=shared, **tools()
    )
    style(plot, colours)
    plot.stylesheets.append(sheet(colours))
    plot.yaxis.ticker.desired_num_ticks = 3
    plot.xaxis.ticker.desired_num_ticks = 5
    ink = colours.series[0]
    for location, colour in ((0.0, colours.grey), (clock.end, colours.grey)):
        plot.add_layout(
            Span(location=location, dimension="height", line_color=colour, line_dash=[5, 3])
        )
    normal = Span(
        location=variable["normal"],
        dimension="width",
        line_color=colours.series[2],
        line_dash=[2, 3],
        line_width=1.5,
    )
    plot.add_layout(normal)
    source, runs = _source(variable)
    plot.line("hours", "imputed", source=source, color=colours.grey, line_dash=[4, 3], width=1.3)
    plot.line("hours", "value", source=runs, color=ink, width=2)
    hollow = plot.scatter(
        "hours", "filled", source=source, size=5, line_color=colours.grey, fill_color=colours.paper
    )
    dots = plot.scatter("hours", "value", source=source, size=6, color=ink)
    plot.add_tools(hover([hollow, dots], _BOX, colours))
    return plot


def _source(variable: Variable) -> tuple[ColumnDataSource, ColumnDataSource]:
    """Every hour with what it holds; and the measured values with a gap where an hour has none."""
    hours, values, imputed = variable["hours"], variable["values"], variable["imputed"]
    is_measured = [value is not None for value in values]
    nan = float("nan")
    source = ColumnDataSource(
        {
            "hours": hours,
            "when": [f"{hour:.1f}" for hour in hours],
            "value": [nan if value is None else value for value in values],
            "imputed": [nan if value is None else value for value in imputed],
            "filled": [
                nan if known or value is None else value
                for known, value in zip(is_measured, imputed, strict=True)
            ],
            "how": ["measured" if known else "filled in" for known in is_measured],
            "words": [
                _words(variable, value if known else filled)
                for known, value, filled in zip(is_measured, values, imputed, strict=True)
            ],
        }
    )
    return source, source


def _words(variable: Variable, value: float | None) -> str:
    if value is None:
        return ""
    if variable["categories"]:
        return str(variable["categories"][int(value)])
    return f"{value:g} {variable['unit']}".strip()

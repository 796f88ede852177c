"""The events of a window as a chart: a lane a table, a dot a moment, a bar what ran for a while."""

from collections.abc import Sequence
from typing import Any

from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, FactorRange, Range1d
from bokeh.models.annotations import Label, Span

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
from cxrfuture_data.schema import EVENT_TABLES

LANE, FRAME = 34, 96  # pixels of a lane, and of axis and title
LONGEST_TEXT = 300  # characters of a text in its hover box
Event = dict[str, Any]
_BOX = "<b>@table</b> @when<br>@text"


def draw_timeline(events: Sequence[Event], clock: Clock, theme: Theme) -> Any:
    """A chart as the browser's half of bokeh reads it."""
    colours = COLOURS[theme]
    tables = sorted({event["table"] for event in events}, key=EVENT_TABLES.index)
    names = {
        name: f"{name} ({sum(event['table'] == name for event in events):,})" for name in tables
    }
    first = min([0.0, clock.start, *(event["hours"] for event in events)])
    margin = max((clock.end - first) * 0.02, 0.05)
    zero = "previous film" if clock.is_of_film else "window's start"
    plot = new_figure(
        title=f"{len(events):,} events" if events else "no events in this window",
        height=FRAME + LANE * max(len(tables), 1),
        x_range=Range1d(first - margin, clock.end + margin),
        y_range=FactorRange(factors=[names[name] for name in reversed(tables)]),
        x_axis_label=f"hours since the {zero}",
        **tools(),
    )
    style(plot, colours)
    plot.stylesheets.append(sheet(colours))
    plot.ygrid.grid_line_color = None
    _mark(plot, 0.0, zero, colours)
    _mark(plot, clock.end, "window's end", colours)
    ink = {name: colours.series[EVENT_TABLES.index(name) % 8] for name in tables}
    bars = [event for event in events if event["end_hours"] is not None]
    dots = [event for event in events if event["end_hours"] is None]
    drawn = [
        plot.hbar(
            y="lane",
            left="hours",
            right="end",
            height=0.5,
            color="colour",
            alpha=0.45,
            line_alpha=0.9,
            source=_source(bars, names, ink),
        ),
        plot.scatter(
            x="hours",
            y="lane",
            size=9,
            color="colour",
            alpha=0.6,
            line_color=None,
            source=_source(dots, names, ink),
        ),
    ]
    plot.add_tools(hover(drawn, _BOX, colours))
    return json_item(plot)


def _source(
    events: Sequence[Event], names: dict[str, str], ink: dict[str, str]
) -> ColumnDataSource:
    return ColumnDataSource(
        {
            "hours": [event["hours"] for event in events],
            "end": [event["end_hours"] for event in events],
            "lane": [names[event["table"]] for event in events],
            "table": [event["table"] for event in events],
            "colour": [ink[event["table"]] for event in events],
            "when": [_when(event) for event in events],
            "text": [_cut(event["text"]) for event in events],
        }
    )


def _when(event: Event) -> str:
    if event["end_hours"] is None:
        return f"{event['hours']:.2f} h"
    to = "still running" if event["is_open"] else f"{event['end_hours']:.2f} h"
    return f"{event['hours']:.2f} h to {to}"


def _cut(text: str | None) -> str:
    if text is None:
        return ""
    return (
        text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"
    )


def _mark(plot: Any, hour: float, words: str, colours: Colours) -> None:
    """A line across the lanes, and what it stands for above it."""
    line = Span(
        location=hour, dimension="height", line_color=colours.grey, line_dash=[5, 3], line_width=1.5
    )
    plot.add_layout(line)
    plot.add_layout(
        Label(
            x=hour,
            y=plot.height - FRAME,
            y_units="screen",
            y_offset=2,
            text=words,
            text_color=colours.grey,
            text_font_size="11px",
            text_align="right" if hour > 0 else "left",
        )
    )

"""The events of a window as a chart: a lane a table, a stroke a moment, a bar what ran for a while.

Bars of a lane that overlap in time lie one above the other.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import Any

from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, FactorRange, Range1d
from bokeh.models.annotations import Label, Span

from cxrfuture_data.browse.chart import (
    COLOURS,
    FONT,
    Colours,
    Theme,
    describe,
    hover,
    new_figure,
    style,
    tools,
)
from cxrfuture_data.browse.window_facts import Clock
from cxrfuture_data.schema import EVENT_TABLES

LANE, FRAME = 40, 84  # pixels of a lane, and of axis and title
MOST_ROWS = 8  # of bars in a lane; more lie over each other
FILLED = 0.8  # of a lane's height
LONGEST_TEXT = 300  # characters of a text in its hover box
Event = dict[str, Any]
_ABOVE = " "  # the lane above all others, for the words of the marks
_BOX = "<b>@table</b> @when<br>@text"


@dataclass(frozen=True)
class Lanes:
    """``names``: table -> its words on the axis; ``inks`` -> its colour."""

    names: dict[str, str]
    inks: dict[str, str]


def draw_timeline(events: Sequence[Event], clock: Clock, theme: Theme) -> Any:
    """A chart as the browser's half of bokeh reads it."""
    colours = COLOURS[theme]
    lanes = _lanes(events, colours)
    first = min([0.0, clock.start, *(event["hours"] for event in events)])
    last = max(clock.end, 0.0)
    margin = max((last - first) * 0.02, 0.05)
    title = f"{len(events):,} events" if events else "no events in this window"
    plot = new_figure(
        title=title,
        height=FRAME + LANE * (len(lanes.names) + 1),
        x_range=Range1d(first - margin, last + margin),
        y_range=FactorRange(factors=[*reversed(lanes.names.values()), _ABOVE]),
        x_axis_label=f"hours since the {clock.zero}",
        **tools(wheel_zooms=True),
    )
    style(plot, colours)
    describe(plot, f"{title} by table, over {clock.end - clock.start:.1f} hours")
    plot.ygrid.grid_line_color = None
    plot.yaxis.major_tick_line_color = None
    _mark(plot, 0.0, clock.zero, colours, above=8, to_the_right=clock.end >= -first)
    if clock.start:
        _mark(plot, clock.start, "window's start", colours, above=-8, to_the_right=True)
    _mark(plot, clock.end, "window's end", colours, above=-8, to_the_right=False)
    plot.add_tools(hover(_draw_events(plot, events, lanes), _BOX, colours))
    return json_item(plot)


def _lanes(events: Sequence[Event], colours: Colours) -> Lanes:
    counts = Counter(event["table"] for event in events)
    tables = sorted(counts, key=EVENT_TABLES.index)
    return Lanes(
        names={name: f"{name} ({counts[name]:,})" for name in tables},
        inks={
            name: colours.series[EVENT_TABLES.index(name) % len(colours.series)] for name in tables
        },
    )


def _draw_events(plot: Any, events: Sequence[Event], lanes: Lanes) -> list[Any]:
    bars = [event for event in events if event["end_hours"] is not None]
    moments = [event for event in events if event["end_hours"] is None]
    drawn = plot.hbar(
        y="at",
        left="hours",
        right="end",
        height="height",
        fill_color="colour",
        line_color="colour",
        fill_alpha=0.55,
        line_width=0.5,
        source=ColumnDataSource(_facts(bars, lanes) | _pack(bars, lanes)),
    )
    strokes = plot.scatter(
        x="hours",
        y="lane",
        marker="dash",
        angle=pi / 2,
        size=LANE * 0.6,
        line_color="colour",
        line_width=2,
        line_alpha=0.8,
        source=ColumnDataSource(_facts(moments, lanes)),
    )
    return [drawn, strokes]


def _facts(events: Sequence[Event], lanes: Lanes) -> dict[str, Any]:
    return {
        "hours": [event["hours"] for event in events],
        "end": [event["end_hours"] for event in events],
        "lane": [lanes.names[event["table"]] for event in events],
        "table": [event["table"] for event in events],
        "colour": [lanes.inks[event["table"]] for event in events],
        "when": [_when(event) for event in events],
        "text": [_cut(event["text"]) for event in events],
    }


def _pack(bars: Sequence[Event], lanes: Lanes) -> dict[str, Any]:
    """Height of each bar, and its place in its lane: the first row that is free when it begins."""
    row_of: list[int] = []
    rows: Counter[str] = Counter()
    running: dict[str, list[tuple[float, int]]] = {}
    free: dict[str, list[int]] = {}
    for bar in bars:  # oldest first
        table = bar["table"]
        ends, gaps = running.setdefault(table, []), free.setdefault(table, [])
        while ends and ends[0][0] <= bar["hours"]:
            heapq.heappush(gaps, heapq.heappop(ends)[1])
        row = heapq.heappop(gaps) if gaps else len(ends)
        heapq.heappush(ends, (bar["end_hours"], row))
        row_of.append(row)
        rows[table] = min(max(rows[table], row + 1), MOST_ROWS)
    places, heights = [], []
    for bar, row in zip(bars, row_of, strict=True):
        count = max(rows[bar["table"]], 2)  # one bar alone is no block
        offset = ((row % count + 0.5) / count - 0.5) * FILLED
        places.append((lanes.names[bar["table"]], -offset))
        heights.append(FILLED / count * 0.85)
    return {"at": places, "height": heights}


def _when(event: Event) -> str:
    if event["end_hours"] is None:
        return f"{event['hours']:.2f} h"
    to = "still running" if event["is_open"] else f"{event['end_hours']:.2f} h"
    return f"{event['hours']:.2f} h to {to}"


def _cut(text: str | None) -> str:
    if text is None or len(text) <= LONGEST_TEXT:
        return text or ""
    return text[: LONGEST_TEXT - 3] + "..."


def _mark(
    plot: Any, hour: float, words: str, colours: Colours, *, above: int, to_the_right: bool
) -> None:
    """A line across the lanes, and what it stands for over them, ``above`` pixels from the middle
    of that lane."""
    line = Span(
        location=hour, dimension="height", line_color=colours.grey, line_dash=[5, 3], line_width=1.5
    )
    plot.add_layout(line)
    plot.add_layout(
        Label(
            x=hour,
            y=len(plot.y_range.factors) - 0.5,
            x_offset=5 if to_the_right else -5,
            y_offset=above,
            text=words,
            text_color=colours.grey,
            text_font=FONT,
            text_font_size="12px",
            text_align="left" if to_the_right else "right",
            text_baseline="middle",
        )
    )

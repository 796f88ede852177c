"""A sample's window as JSON: its events, its hours as measured, and as a model reads them.

Hours on the page count from the previous film; of a stay without one, from the window's start.
Shapes: T hours, V variables.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from cxrfuture_data.browse.texts import Texts
from cxrfuture_data.collate import hourly_rule
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.hourly import COLUMNS, clip, impute
from cxrfuture_data.sample import Array, PairSample, StaySample, Window
from cxrfuture_data.schema import EVENT_TABLES, VARIABLE_SETS
from cxrfuture_data.wide import WideInput, fill_wide

MOST_EVENTS = 20_000  # of one answer
Windowed = PairSample | StaySample


@dataclass(frozen=True)
class Clock:
    """``start``, ``end`` of the window in hours from zero, which is the previous film or not."""

    start: float
    end: float
    is_of_film: bool

    @property
    def zero(self) -> str:
        return "previous film" if self.is_of_film else "window's start"


def read_clock(sample: Windowed) -> Clock:
    window, previous = sample.window, sample.previous
    zero = window.start_at if previous is None else previous.taken_at
    return Clock(
        start=_hours(zero, window.start_at),
        end=_hours(zero, window.end_at),
        is_of_film=previous is not None,
    )


def window_facts(sample: Windowed) -> dict[str, Any]:
    clock = read_clock(sample)
    return {
        "hours": clock.end - clock.start,
        "start": clock.start,
        "end": clock.end,
        "zero": "previous film" if clock.is_of_film else "window start",
    }


def event_tables(window: Window) -> dict[str, int]:
    """Table -> its events."""
    counts = np.bincount(window.event_table, minlength=len(EVENT_TABLES)).tolist()
    return {name: count for name, count in zip(EVENT_TABLES, counts, strict=True) if count}


def events(
    sample: Windowed, texts: Texts | None, *, first: int = 0, limit: int = MOST_EVENTS
) -> list[dict[str, Any]]:
    """``limit`` events from number ``first`` on, oldest first; a moment has no end, and what still
    ran at the window's end has that, and is open."""
    window, clock = sample.window, read_clock(sample)
    chosen = slice(first, first + min(limit, MOST_EVENTS))
    rows = window.event_row[chosen].tolist()
    words: list[str | None] = [None] * len(rows) if texts is None else [*texts.read(rows)]
    begun, ended = window.event_hours[chosen].tolist(), window.event_end_hours[chosen].tolist()
    tables = window.event_table[chosen].tolist()
    return [
        {
            "hours": _round(hours + clock.start),
            "end_hours": _end(end, clock),
            "is_open": math.isinf(end),
            "table": EVENT_TABLES[table],
            "text": text,
        }
        for hours, end, table, text in zip(begun, ended, tables, words, strict=True)
    ]


def hourly(sample: Windowed, dataset: Dataset) -> list[dict[str, Any]]:
    """Each variable: what was measured in the hours of the record, whose middles are ``hours``, and
    as the loader fills it in, in its unit and before it is scaled."""
    window = sample.window
    start = read_clock(sample).start + window.hourly_start_hours
    middles = [_round(start + hour + 0.5) for hour in range(len(window.hourly))]
    filled = fill(window.hourly, dataset, "pair" if isinstance(sample, PairSample) else "stay")
    return [
        {
            "variable": variable.name,
            "unit": "" if variable.unit in ("1", "category") else variable.unit,
            "normal": variable.default,
            "categories": list(variable.categories) or None,
            "measured": int(np.isfinite(window.hourly[:, column]).sum()),
            "hours": middles,
            "values": _numbers(window.hourly[:, column]),
            "imputed": _numbers(filled[:, column]),
        }
        for column, variable in enumerate(VARIABLE_SETS[window.variables])
    ]


def fill(record: Array, dataset: Dataset, kind: str) -> Array:
    """(T, V) as measured -> as the loader reads it: clipped where the recipe clips, every hour
    filled; in the variables' units."""
    rule = hourly_rule(dataset, kind)
    if isinstance(rule, WideInput):
        return fill_wide(record, rule)[0]
    return impute(clip(record) if rule.columns == COLUMNS else record)[0]


def _end(hours: float, clock: Clock) -> float | None:
    if math.isnan(hours):
        return None
    return _round(min(hours + clock.start, clock.end) if math.isinf(hours) else hours + clock.start)


def _hours(zero: datetime, at: datetime) -> float:
    return (at - zero).total_seconds() / 3600


def _round(hours: float) -> float:
    """To a third of a second."""
    return round(hours, 4)


def _numbers(column: Array) -> list[float | None]:
    """Six digits, which is what 32 bits hold."""
    return [float(f"{number:.6g}") if math.isfinite(number) else None for number in column.tolist()]

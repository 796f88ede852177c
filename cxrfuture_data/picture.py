"""One picture of a sample: its films, their labels, the events between and the hourly values.

Drawn with Pillow alone, at twice the size and then reduced, so that lines are smooth. No id and no
date is drawn; time is in hours since the window's start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cxrfuture_data.manifest import Simulated
from cxrfuture_data.sample import (
    Array,
    Film,
    PairSample,
    Sample,
    StaySample,
    Window,
    films_of,
)
from cxrfuture_data.schema import EVENT_TABLES, FINDINGS, VARIABLE_SETS, Variable

INK, GREY, FAINT, PAPER = "#1d2430", "#667085", "#d9dee7", "#ffffff"
BLUE, RED, GREEN, AMBER = "#2f6fde", "#c8322b", "#1d8a5a", "#b54708"
INKS = ("#2f6fde", "#c8322b", "#1d8a5a", "#8a4fd3", "#b54708", "#0b8aa0", "#bf3989")

SCALE = 2
WIDTH, MARGIN = 1240, 32
FILM = 400  # side of a film
TOP = 104  # below the title
LANE = 24
CELLS, CELL_HEIGHT = 5, 92
TICKS = (0.25, 0.5, 1, 2, 4, 6, 12, 24, 48, 96, 168)

Point: TypeAlias = tuple[float, float]


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)


class Pen:
    """Draws in the units of the final picture."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self, at: Point, words: str, *, size: float = 13, ink: str = INK, anchor: str = "la"
    ) -> None:
        self._draw.text(_scaled(at), words, fill=ink, font=_font(size), anchor=anchor)

    def width_of(self, words: str, size: float) -> float:
        return self._draw.textlength(words, font=_font(size)) / SCALE

    def line(self, points: Sequence[Point], ink: str, width: float = 1) -> None:
        self._draw.line(
            [_scaled(point) for point in points],
            fill=ink,
            width=round(width * SCALE),
            joint="curve",
        )

    def dot(self, at: Point, radius: float, ink: str, *, filled: bool = True) -> None:
        x, y = at
        box = (*_scaled((x - radius, y - radius)), *_scaled((x + radius, y + radius)))
        self._draw.ellipse(
            box, fill=ink if filled else PAPER, outline=ink, width=round(1.5 * SCALE)
        )

    def box(
        self, at: Point, size: Point, *, fill: str | None = None, ink: str | None = None
    ) -> None:
        corner = (at[0] + size[0], at[1] + size[1])
        self._draw.rounded_rectangle(
            (*_scaled(at), *_scaled(corner)), radius=6 * SCALE, fill=fill, outline=ink, width=SCALE
        )

    def film(self, at: Point, pixels: Array) -> None:
        side = FILM * SCALE
        picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
        self.image.paste(picture, (round(at[0] * SCALE), round(at[1] * SCALE)))

    def finish(self) -> Image.Image:
        width, height = self.image.size
        return self.image.resize((width // SCALE, height // SCALE), Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class Axis:
    """Hours -> x; what is before or after the axis stands at its end."""

    left: float
    right: float
    hours: float

    def x(self, hour: float) -> float:
        return self.left + (self.right - self.left) * min(max(hour / self.hours, 0.0), 1.0)

    def ticks(self, most: int) -> list[float]:
        step = next((step for step in TICKS if self.hours / step <= most), self.hours)
        return [float(tick) for tick in np.arange(0, self.hours + step / 1000, step)]


def draw(sample: Sample, simulated: Simulated) -> Image.Image:
    """The picture of a sample of any kind."""
    window = sample.window if isinstance(sample, PairSample | StaySample) else None
    tables = sorted(set(window.event_table.tolist())) if window is not None else []
    below = TOP + FILM + 56
    lanes_height = 64 + LANE * max(len(tables), 1) if window is not None else 0
    measured = _measured(window)
    rows = -(-len(measured) // CELLS)
    charts_height = 34 + max(rows * CELL_HEIGHT, 26) if window is not None else 0
    pen = Pen(WIDTH, below + lanes_height + charts_height + 20)
    _draw_title(pen, sample, simulated)
    _draw_films(pen, sample)
    if window is not None:
        hours = max((window.end_at - window.start_at).total_seconds() / 3600, 1e-3)
        _draw_events(pen, below, window, tables, hours)
        _draw_charts(pen, below + lanes_height, window, measured, hours)
    return pen.finish()


def headline(sample: Sample) -> str:
    """What the sample is, in a few words."""
    if isinstance(sample, PairSample):
        if sample.is_null_event:
            return "null event: the previous film is the target"
        return f"{sample.gap_hours:.1f} h from the previous film to the target"
    if isinstance(sample, StaySample):
        if sample.hours_since_previous is None:
            return "ICU stay without a film before the prediction"
        return f"ICU stay; last film {sample.hours_since_previous:.1f} h before the prediction"
    return "one film"


def _draw_title(pen: Pen, sample: Sample, simulated: Simulated) -> None:
    pen.text((MARGIN, 28), headline(sample), size=24)
    sex = {"F": "woman", "M": "man"}[sample.sex]
    facts = f"{sample.age:g}-year-old {sex}   |   {sample.recipe}, {sample.split}, {sample.key}"
    if isinstance(sample, PairSample | StaySample) and sample.died_in_hospital is not None:
        facts += (
            f"   |   {'died in hospital' if sample.died_in_hospital else 'left hospital alive'}"
        )
    pen.text((MARGIN, 64), facts, size=14, ink=GREY)
    which = [name for name in ("tables", "films") if getattr(simulated, name)]
    if which:
        words = "SIMULATED" if len(which) == 2 else f"SIMULATED {which[0].upper()}"
        width = pen.width_of(words, 17) + 28
        pen.box((WIDTH - MARGIN - width, 26), (width, 34), fill="#fff4e5", ink=AMBER)
        pen.text((WIDTH - MARGIN - width / 2, 43), words, size=17, ink=AMBER, anchor="mm")


def _draw_films(pen: Pen, sample: Sample) -> None:
    """Films at the sides, labels between."""
    films = films_of(sample)
    if not films:
        _draw_no_film(pen, (MARGIN, TOP), "no film in this stay")
    for role, film in films.items():
        at = (WIDTH - MARGIN - FILM if role == "target" else MARGIN, TOP)
        if not film.is_kept:
            _draw_no_film(pen, at, "film not kept in this build")
        else:
            pen.film(at, film.pixels())
        pen.text((at[0], TOP + FILM + 8), role, size=15)
        pen.text((at[0] + FILM, TOP + FILM + 9), film.view, size=14, ink=GREY, anchor="ra")
    _draw_labels(pen, MARGIN + FILM + 28, films)


def _draw_no_film(pen: Pen, at: Point, words: str) -> None:
    pen.box(at, (FILM, FILM), fill="#f2f4f7", ink=FAINT)
    pen.text((at[0] + FILM / 2, at[1] + FILM / 2), words, ink=GREY, anchor="mm")


def _draw_labels(pen: Pen, left: float, films: Mapping[str, Film]) -> None:
    columns = [left + 190 + 84 * i for i in range(len(films))]
    for x, role in zip(columns, films, strict=True):
        pen.text((x, TOP + 4), role, size=13, ink=GREY, anchor="ma")
    for row, finding in enumerate(FINDINGS):
        y = TOP + 40 + row * 23
        values = [film.labels[finding] for film in films.values()]
        is_changed = len(values) == 2 and None not in values and values[0] != values[1]
        is_silent = all(value is None for value in values)
        pen.text((left, y), finding, size=13, ink=GREY if is_silent else INK, anchor="lm")
        for x, value in zip(columns, values, strict=True):
            _draw_label(pen, (x, y), value)
        if is_changed:
            pen.line([(columns[0] + 16, y), (columns[1] - 16, y)], BLUE, 1.5)
            tip = columns[1] - 16
            pen.line([(tip - 6, y - 4), (tip, y), (tip - 6, y + 4)], BLUE, 1.5)
    y = TOP + FILM - 12
    x = left
    for value, words in ((1, "present"), (0, "absent"), (-1, "uncertain"), (None, "not said")):
        _draw_label(pen, (x + 6, y), value)
        pen.text((x + 17, y), words, size=12, ink=GREY, anchor="lm")
        x += 28 + pen.width_of(words, 12)


def _draw_label(pen: Pen, at: Point, value: int | None) -> None:
    if value is None:
        pen.line([(at[0] - 4, at[1]), (at[0] + 4, at[1])], FAINT, 2)
    elif value == -1:
        pen.text(at, "?", size=15, ink=AMBER, anchor="mm")
    else:
        pen.dot(at, 5, RED if value else GREEN, filled=bool(value))


def _draw_events(pen: Pen, top: float, window: Window, tables: Sequence[int], hours: float) -> None:
    """A lane a table, a tick an event and a line while it runs, hours below."""
    axis = Axis(MARGIN + 170, WIDTH - MARGIN - 12, hours)
    count = len(window.event_row)
    pen.text((MARGIN, top), f"{count:,} events in the window" if count else "Events", size=16)
    lanes = top + 30
    bottom = lanes + LANE * max(len(tables), 1)
    for hour in axis.ticks(12):
        pen.line([(axis.x(hour), lanes), (axis.x(hour), bottom)], FAINT)
        pen.text((axis.x(hour), bottom + 4), f"{hour:g} h", size=12, ink=GREY, anchor="ma")
    if not tables:
        pen.text((MARGIN, lanes + LANE / 2), "none in this sample", ink=GREY, anchor="lm")
    for lane, table in enumerate(tables):
        y = lanes + lane * LANE
        is_here = window.event_table == table
        found, ends = window.event_hours[is_here], window.event_end_hours[is_here]
        ink = INKS[table % len(INKS)]
        pen.text((MARGIN, y + LANE / 2), EVENT_TABLES[table], size=13, anchor="lm")
        pen.text((axis.left - 12, y + LANE / 2), str(len(found)), size=12, ink=GREY, anchor="rm")
        for hour, end in zip(found.tolist(), ends.tolist(), strict=True):
            x, middle = axis.x(hour), y + LANE / 2
            pen.line([(x, y + 4), (x, y + LANE - 4)], ink, 1.5)
            if not np.isnan(end):
                pen.line([(x, middle), (axis.x(end), middle)], ink, 1.5)
    pen.line([(axis.left, bottom), (axis.right, bottom)], GREY)


def _measured(window: Window | None) -> list[int]:
    """The variables with a value in the window."""
    if window is None:
        return []
    return [int(i) for i in np.flatnonzero((~np.isnan(window.hourly)).any(axis=0))]


def _draw_charts(
    pen: Pen, top: float, window: Window, measured: Sequence[int], hours: float
) -> None:
    known = len(VARIABLE_SETS[window.variables])
    words = f": {len(measured)} of {known} variables measured, each over {hours:.3g} h"
    pen.text((MARGIN, top), "Hourly values" + (words if measured else ""), size=16)
    if not measured:
        pen.text((MARGIN, top + 30), "none in this sample", ink=GREY)
    width = (WIDTH - 2 * MARGIN) / CELLS
    for cell, column in enumerate(measured):
        x = MARGIN + width * (cell % CELLS)
        y = top + 34 + CELL_HEIGHT * (cell // CELLS)
        axis = Axis(x + 4, x + width - 28, hours)
        _draw_chart(pen, y, axis, window, column)


def _draw_chart(pen: Pen, top: float, axis: Axis, window: Window, column: int) -> None:
    """The last value of each measured hour, at the middle of the hour; a category as a colour."""
    variable, values = VARIABLE_SETS[window.variables][column], window.hourly[:, column]
    rows = np.flatnonzero(~np.isnan(values))
    found = values[rows].astype(float)
    hours = rows + 0.5 + window.hourly_start_hours
    floor, height = top + 76, 34
    pen.line([(axis.left - 4, floor + 6), (axis.right + 4, floor + 6)], FAINT)
    pen.text((axis.left - 4, top), variable.name, size=12.5)
    pen.text((axis.left - 4, top + 17), _range(variable, found), size=11.5, ink=GREY)
    if variable.categories:
        for hour, value in zip(hours, found, strict=True):
            x, ink = axis.x(hour), INKS[int(value) % len(INKS)]
            pen.line([(x, floor - height * 0.6), (x, floor)], ink, 3)
        return
    low, spread = found.min(), np.ptp(found)
    points = [
        (axis.x(hour), floor - height * ((value - low) / spread if spread else 0.5))
        for hour, value in zip(hours, found, strict=True)
    ]
    if len(points) > 1:
        pen.line(points, BLUE, 1.5)
    for point in points:
        pen.dot(point, 2.2, BLUE)


def _range(variable: Variable, values: Array) -> str:
    if variable.categories:
        return f"last: {variable.categories[int(values[-1])]}"
    ends = [f"{end:.3g}" if end < 1000 else f"{end:.0f}" for end in (values.min(), values.max())]
    span = ends[0] if ends[0] == ends[1] else " to ".join(ends)
    return span if variable.unit == "1" else f"{span} {variable.unit}"


def _scaled(point: Point) -> Point:
    return point[0] * SCALE, point[1] * SCALE

"""Figures as files of their own, in the page's light colours on white: for slides and DVC plots."""

import io
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cxrfuture_data.page.colour import LIGHT
from cxrfuture_data.page.figure import STYLE, VARIABLES

DPI = 150
_FONTS = "DejaVu Sans, Verdana, sans-serif"
_COLOURS = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor", "hatchcolor")


def to_svg_file(svg: str) -> str:
    """An element of ``to_svg`` as a file of its own."""
    for variable, colour in LIGHT.items():
        svg = svg.replace(f"var({variable})", colour)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" font-family="{_FONTS}" '
    svg = svg.replace("<svg ", head, 1)
    end = svg.index(">") + 1
    paper = '<rect width="100%" height="100%" fill="#ffffff" />'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg[:end]}{paper}{svg[end:]}\n'


def to_png(drawn: Figure) -> bytes:
    """To be made after the figure's SVG, as its colours are changed for good: that one laid it out
    and made its ticks."""
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        canvas: Any = FigureCanvasAgg(drawn)
        drawn.set_layout_engine("none")
        for artist in drawn.findobj():
            _colour(artist)
            # An annotation's arrow is not among its children.
            if (arrow := getattr(artist, "arrow_patch", None)) is not None:
                _colour(arrow)
        drawn.set_facecolor("#ffffff")
        drawn.set_dpi(DPI)
        canvas.print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def _colour(artist: Artist) -> None:
    """From stand-ins to the page's light colours."""
    found: Any = artist
    for name in _COLOURS:
        if hasattr(found, f"get_{name}") and hasattr(found, f"set_{name}"):
            old = getattr(found, f"get_{name}")()
            new = _light(old)
            if new is not None:
                getattr(found, f"set_{name}")(new)


def _light(colour: Any) -> Any:
    """None of what is no stand-in."""
    many = getattr(colour, "ndim", 1) == 2
    if many:
        return None if not len(colour) or (new := _light(colour[0])) is None else new
    try:
        red, green, blue, alpha = matplotlib.colors.to_rgba(colour)
    except (ValueError, TypeError):
        return None
    variable = VARIABLES.get(to_hex((red, green, blue)))
    if variable is None:
        return None
    return (*matplotlib.colors.to_rgb(LIGHT[variable]), alpha)

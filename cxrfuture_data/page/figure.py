"""Figures as SVG inside HTML: text stays text, and colours are the page's, light or dark.

Matplotlib draws with stand-in colours; here they become the page's CSS variables. What would tell
one run from another (dates, ids, versions) is taken out.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

INK, GREY, FAINT, ON_SERIES = "#010101", "#020202", "#030303", "#040404"
SERIES = tuple(f"#0a0a0{i}" for i in range(8))
VARIABLES = {INK: "--ink", GREY: "--grey", FAINT: "--faint", ON_SERIES: "--on-series"} | {
    colour: f"--series-{i}" for i, colour in enumerate(SERIES)
}
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))  # beyond the colours, and beyond those twice

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cxrfuture",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"(?<!opacity: )-?\d+\.\d{2,}")
_REFERENCE = re.compile(r"#([\w-]+)")
_FAMILY = re.compile(r"font-family:[^;]*;?")
_LEFT_OUT = (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style")


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """In inches, in the page's style."""
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height))


def colour_of(index: int) -> dict[str, Any]:
    """Colour and dashes of the line of a row's number."""
    turn = index // len(SERIES) % len(DASHES)
    return {"color": SERIES[index % len(SERIES)], "linestyle": DASHES[turn]}


def key_line(index: int, title: str) -> Line2D:
    """For a legend."""
    return Line2D([], [], label=title, **colour_of(index))


def to_svg(drawn: Figure, name: str, words: str) -> str:
    """The figure as an SVG element; ``name`` begins its ids, ``words`` are its text for those who
    do not see it."""
    stream = io.StringIO()
    with matplotlib.rc_context(STYLE):
        # Not savefig, which draws everything twice.
        canvas: Any = FigureCanvasSVG(drawn)
        canvas.print_svg(stream, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(stream.getvalue())
    _strip(root)
    _rename(root, name)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": words}
    ElementTree.register_namespace("", _SVG)
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text.replace(f' xmlns="{_SVG}"', "")


def _strip(root: ElementTree.Element) -> None:
    """Without metadata, fonts, blanks and a style of the whole page; coordinates to a tenth of a
    point."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in _LEFT_OUT:
                parent.remove(child)
    for element in root.iter():
        element.tail = None
        if element.tag != f"{{{_SVG}}}text" and element.tag != f"{{{_SVG}}}tspan":
            element.text = None
        for name, value in element.attrib.items():
            if name == "style":
                value = _FAMILY.sub("", value)
            if name == "d":
                value = " ".join(value.split())
            if name != "viewBox":
                element.set(name, _NUMBER.sub(_round, value))


def _round(found: re.Match[str]) -> str:
    return f"{float(found.group()):.1f}".removesuffix(".0")


def _rename(root: ElementTree.Element, name: str) -> None:
    """Ids that are referred to are numbered; the others are dropped, as a page has several
    figures."""
    values = [value for element in root.iter() for value in element.attrib.values()]
    used = dict.fromkeys(found for value in values for found in _REFERENCE.findall(value))
    numbers = {old: f"{name}-{i}" for i, old in enumerate(used)}
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in numbers:
            element.set("id", numbers[old])
        if _HREF in element.attrib:
            element.set("href", f"#{numbers[element.attrib.pop(_HREF)[1:]]}")
        for key, value in element.attrib.items():
            if "url(#" in value:
                element.set(key, _REFERENCE.sub(lambda m: f"#{numbers[m.group(1)]}", value))

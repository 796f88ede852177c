"""What the charts share: the page's colours in light and dark, and the tools."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bokeh.models import (
    BoxZoomTool,
    HoverTool,
    PanTool,
    ResetTool,
    WheelZoomTool,
)
from bokeh.plotting import figure

from cxrfuture_data.page.colour import DARK, LIGHT

Theme = Literal["light", "dark"]
MOST_BOXES = 4  # of what lies under the pointer
FONT = 'system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif'


@dataclass(frozen=True)
class Colours:
    """As ``page/templates/page.css`` has them."""

    paper: str
    panel: str
    ink: str
    grey: str
    faint: str
    series: tuple[str, ...]


def _colours(page: Mapping[str, str]) -> Colours:
    plain = {name: page[f"--{name}"] for name in ("paper", "panel", "ink", "grey", "faint")}
    return Colours(**plain, series=tuple(page[name] for name in page if "--series-" in name))


COLOURS: dict[str, Colours] = {"light": _colours(LIGHT), "dark": _colours(DARK)}


def style(plot: Any, colours: Colours) -> None:
    """Text, axes and grid in the page's colours."""
    plot.background_fill_color = colours.paper
    plot.border_fill_color = colours.paper
    plot.outline_line_color = None
    plot.title.text_color = colours.ink
    plot.title.text_font = FONT
    plot.title.text_font_size = "13px"
    plot.title.text_font_style = "bold"
    for axis in plot.axis:
        axis.axis_label_text_color = colours.grey
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
        axis.major_label_text_color = colours.ink
        axis.axis_line_color = axis.major_tick_line_color = colours.grey
        axis.minor_tick_line_color = None
    plot.grid.grid_line_color = colours.faint
    plot.toolbar.logo = None
    plot.toolbar.autohide = False


def tools(*, wheel_zooms: bool) -> dict[str, Any]:
    """Pan by a drag, zoom in time by the wheel or a box, and back. Where the wheel does not zoom
    from the start, it scrolls the page until its button is pressed."""
    pan, wheel = PanTool(dimensions="width"), WheelZoomTool(dimensions="width")
    return {
        "tools": [pan, wheel, BoxZoomTool(dimensions="width"), ResetTool()],
        "active_drag": pan,
        "active_scroll": wheel if wheel_zooms else None,
    }


def hover(renderers: list[Any], html: str, colours: Colours, most: int = MOST_BOXES) -> HoverTool:
    """``html`` in a box of the page's colours, whatever bokeh's own are."""
    box = (
        f"<div style='margin:-5px;padding:6px 10px;max-width:26rem;white-space:normal;"
        f"background:{colours.panel};color:{colours.ink};"
        f"font:13px/1.4 {FONT.replace(chr(34), '')}'>{html}</div>"
    )
    return HoverTool(
        renderers=renderers,
        tooltips=box,
        point_policy="follow_mouse",
        show_arrow=False,
        limit=most,
    )


def describe(plot: Any, words: str) -> None:
    """What those hear who do not see the chart."""
    plot.html_attributes = {"role": "group", "aria-label": words}


def new_figure(**options: Any) -> Any:
    """As wide as the page lets it be."""
    return figure(sizing_mode="stretch_width", output_backend="canvas", **options)

"""Figures of the report, of what its tables show: a hidden number leaves a gap that says so."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from matplotlib.figure import Figure as Drawn

from cxrfuture_data.page.figure import figure
from etl.report import figure_bars as bars
from etl.report import figure_heat as heat
from etl.report.facts import Figure, Form
from etl.report.figure_flow import draw_flow
from etl.report.figure_grid import WIDTH, Plot, read_plot
from etl.report.shown import Chains, Grid

Draw: TypeAlias = Callable[[Drawn, Plot], None]
FORMS: Mapping[Form, tuple[Callable[[Plot], float], Draw]] = {
    "bars": (bars.bars_height, bars.draw_bars),
    "points": (bars.points_height, bars.draw_points),
    "shares": (bars.shares_height, bars.draw_shares),
    "heat": (heat.heat_height, heat.draw_heat),
    "histogram": (heat.histogram_height, heat.draw_histogram),
}
Kind: TypeAlias = Literal["svg", "png"]


def draw_grid(grid: Grid, shape: Figure) -> Drawn | None:
    """The grid in its form; None where it has no number to draw."""
    plot = read_plot(grid, shape)
    if plot is None:
        return None
    height, draw = FORMS[shape.form]
    with figure(WIDTH, height(plot)) as drawn:
        draw(drawn, plot)
        return drawn


def draw_chains(chains: Chains) -> Drawn | None:
    """The flow; None without a filter."""
    return draw_flow(chains) if chains.chains else None


def describe_grid(grid: Grid, shape: Figure) -> str:
    """For those who do not see the figure."""
    forms = {
        "bars": "Bars",
        "points": "Dots",
        "shares": "Stacked bars",
        "heat": "A heat map",
        "histogram": "A histogram",
    }
    lines = f"{len(grid.rows)} rows and {len(grid.columns)} columns"
    return f"{forms[shape.form]} of {grid.caption}: {lines}; the table below has the numbers."


def describe_chains(chains: Chains) -> str:
    """For those who do not see the figure."""
    filters = sum(len(chain.steps) for chain in chains.chains)
    return f"A flow of {chains.unit} through {filters} filters; the table below has the numbers."

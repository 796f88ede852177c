"""Attrition as a flow: what is left goes down, what a filter removed goes to the right.

Lengths are in inches, and the axes as large as the figure.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawn
from matplotlib.patches import FancyBboxPatch, Rectangle

from cxrfuture_data.page.figure import FAINT, GREY, INK, SERIES, figure
from cxrfuture_data.page.shareable import HIDDEN
from etl.report.figure_grid import WIDTH
from etl.report.shown import Chain, Chains, Hidden, Step
from etl.report.shown_table import MINUS, name_many, spell_count, spell_percent

STAGE, KEPT, REMOVED = 0.1, 1.15, 5.0  # left edges
KEPT_WIDTH, KEPT_HEIGHT, FOOT = 3.3, 0.44, 0.06
REMOVED_WIDTH, NUMBER_WIDTH = 5.9, 1.3
PITCH, LINE, MARGIN = 0.82, 0.175, 0.12
LETTERS = 56  # of a reason's line
NOTE_LETTERS = 112


@dataclass(frozen=True)
class Placed:
    """A step that removed something: its reason's lines, and where what it leaves begins."""

    step: Step
    lines: list[str]
    top: float
    height: float


def draw_flow(chains: Chains) -> Drawn:
    """Filters that removed nothing are gathered below."""
    laid = [lay_chain(chain) for chain in chains.chains]
    height = sum(bottom for _, _, bottom in laid) + MARGIN
    with figure(WIDTH, height) as drawn:
        drawn.set_layout_engine("none")
        panel = drawn.add_axes((0, 0, 1, 1))
        panel.set(xlim=(0, WIDTH), ylim=(height, 0))
        panel.set_axis_off()
        top = MARGIN
        for chain, (placed, notes, bottom) in zip(chains.chains, laid, strict=True):
            _draw_chain(panel, chain, chains.unit, top, placed, notes)
            top += bottom
        return drawn


def lay_chain(chain: Chain) -> tuple[list[Placed], list[str], float]:
    """The steps that are drawn, below the chain's top; lines of the note; the chain's height."""
    placed, top = [], 0.0
    idle: list[str] = []
    for step in chain.steps:
        if step.removed == 0:
            idle += step.reasons
            continue
        lines = textwrap.wrap("; ".join(step.reasons), LETTERS)
        height = max(0.42, LINE * len(lines) + 0.14)
        top += max(PITCH, height + 0.14)
        placed.append(Placed(step, lines, top, height))
    notes = textwrap.wrap(_name_idle(idle), NOTE_LETTERS) if idle else []
    below = 0.12 + LINE * len(notes) if notes else 0.0
    return placed, notes, top + KEPT_HEIGHT + below + 0.25


def _name_idle(reasons: list[str]) -> str:
    filters = "1 filter" if len(reasons) == 1 else f"{len(reasons)} filters"
    return f"{filters} removed nothing: {'; '.join(reasons)}"


def _draw_chain(
    panel: Axes, chain: Chain, unit: str, top: float, placed: list[Placed], notes: list[str]
) -> None:
    stage = None
    _draw_kept(panel, chain.before, unit, top, _share(chain.before, chain.before))
    if not placed:
        _name_stage(panel, chain.steps[0].stage, top + KEPT_HEIGHT / 2)
    above = top
    for one, before in zip(placed, _befores(chain, placed), strict=True):
        at = top + one.top
        _draw_arrow(panel, above + KEPT_HEIGHT, at)
        middle = (above + KEPT_HEIGHT + at) / 2
        _draw_removed(panel, one, before, middle)
        _draw_kept(panel, one.step.after, unit, at, _share(one.step.after, chain.before))
        if one.step.stage != stage:
            stage = one.step.stage
            _name_stage(panel, stage, middle)
        above = at
    if notes:
        panel.text(
            KEPT,
            above + KEPT_HEIGHT + 0.1,
            "\n".join(notes),
            va="top",
            fontsize=9.5,
            color=GREY,
            linespacing=1.3,
        )


def _befores(chain: Chain, placed: list[Placed]) -> Iterator[int | Hidden]:
    """What came to each step that is drawn."""
    before = chain.before
    for one in placed:
        yield before
        before = one.step.after


def _share(part: int | Hidden, whole: int | Hidden) -> float | None:
    if isinstance(part, Hidden) or isinstance(whole, Hidden) or not whole:
        return None
    return part / whole


def _draw_kept(
    panel: Axes, count: int | Hidden, unit: str, top: float, share: float | None
) -> None:
    """The bar at its foot: what is left of the first."""
    frame = Rectangle((KEPT, top), KEPT_WIDTH, KEPT_HEIGHT, fc=SERIES[0], alpha=0.1, lw=0)
    panel.add_patch(frame)
    if share:
        foot = (KEPT, top + KEPT_HEIGHT - FOOT)
        panel.add_patch(Rectangle(foot, KEPT_WIDTH * share, FOOT, fc=SERIES[0], lw=0))
    hidden = isinstance(count, Hidden) and count.words == HIDDEN
    words = f"{name_many(unit)}: hidden" if hidden else f"{spell_count(count)} {name_many(unit)}"
    panel.text(
        KEPT + KEPT_WIDTH / 2,
        top + (KEPT_HEIGHT - FOOT) / 2,
        words,
        ha="center",
        va="center_baseline",
        fontsize=11.5 if len(words) < 32 else 9.5,
        fontweight="bold",
    )


def _name_stage(panel: Axes, stage: str, middle: float) -> None:
    panel.text(STAGE, middle, stage, va="center_baseline", fontsize=10, color=GREY)


def _draw_arrow(panel: Axes, top: float, bottom: float) -> None:
    panel.annotate(
        "",
        (KEPT + KEPT_WIDTH / 2, bottom),
        (KEPT + KEPT_WIDTH / 2, top),
        arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.2, "shrinkA": 0, "shrinkB": 0},
    )


def _draw_removed(panel: Axes, one: Placed, before: int | Hidden, middle: float) -> None:
    panel.annotate(
        "",
        (REMOVED, middle),
        (KEPT + KEPT_WIDTH / 2, middle),
        arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.2, "shrinkA": 0, "shrinkB": 0},
    )
    panel.add_patch(
        FancyBboxPatch(
            (REMOVED, middle - one.height / 2),
            REMOVED_WIDTH,
            one.height,
            boxstyle="round,pad=0,rounding_size=0.06",
            fc="none",
            ec=FAINT,
            lw=1.2,
        )
    )
    removed = one.step.removed
    words = str(removed) if isinstance(removed, Hidden) else f"{MINUS}{removed:,}"
    share = _share(removed, before)
    x = REMOVED + NUMBER_WIDTH - 0.15
    panel.text(
        x,
        middle - (0 if share is None else 0.085),
        words,
        ha="right",
        va="center_baseline",
        fontsize=11,
        fontweight="bold",
        color=SERIES[1],
    )
    if share is not None:
        panel.text(
            x,
            middle + 0.1,
            spell_percent(share),
            ha="right",
            va="center_baseline",
            fontsize=8.5,
            color=GREY,
        )
    panel.text(
        REMOVED + NUMBER_WIDTH,
        middle,
        "\n".join(one.lines),
        va="center",
        fontsize=10,
        color=INK,
        linespacing=1.25,
    )

"""What the page shows of a report: numbers as they are, or words where they are hidden.

``show_all`` hides nothing; etl/report/shareable.py hides what is small. Tables and figures are made
of these alone, so that a figure cannot show what its table hides.

Shapes: R rows, C columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from etl.report.facts import (
    Counts,
    Figure,
    Flow,
    Item,
    Numbers,
    Report,
    Section,
    Spread,
    Summary,
    Words,
)

# A number; words of what is hidden or is no number; None: nothing is known.
Value: TypeAlias = float | int | str | None


@dataclass(frozen=True)
class Hidden:
    """A number that is not shown, and how it is spelled."""

    words: str

    def __str__(self) -> str:
        return self.words


Cell: TypeAlias = Value | Hidden


@dataclass(frozen=True)
class Grid:
    """Counts or Numbers: ``values`` (R, C). ``of`` (R, C) if they are shares; ``unit`` empty: no
    counts, which are spelled with so many ``digits``."""

    key: str
    caption: str
    corner: str
    unit: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[Cell]]
    of: Sequence[Sequence[int | Hidden]] | None = None
    digits: int = 0
    marked: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Spreads:
    """A Spread: ``values`` (R, C)."""

    key: str
    caption: str
    corner: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[Summary | Hidden]]


@dataclass(frozen=True)
class Step:
    """What one filter removed, or several of which each alone removed few."""

    stage: str
    reasons: Sequence[str]
    removed: int | Hidden
    after: int | Hidden


@dataclass(frozen=True)
class Chain:
    """Filters that follow one another: each begins with what the one before left."""

    before: int | Hidden
    steps: Sequence[Step]


@dataclass(frozen=True)
class Chains:
    """A Flow."""

    key: str
    unit: str
    chains: Sequence[Chain]


Shown: TypeAlias = Grid | Spreads | Chains | Words


@dataclass(frozen=True)
class ShownSection:
    id: str
    title: str
    says: Sequence[str]
    items: Sequence[Shown]
    figures: Sequence[Figure] = field(default=())
    folded: Sequence[str] = field(default=())


@dataclass(frozen=True)
class ShownReport:
    recipe: str
    origin: str
    is_simulated: bool
    headline: Sequence[tuple[str, int | Hidden]]
    sections: Sequence[ShownSection]


def show_all(report: Report) -> ShownReport:
    """For those who may see the data: nothing is hidden."""
    return ShownReport(
        report.recipe,
        report.origin,
        report.is_simulated,
        report.headline,
        [
            with_items(section, [_show(item) for item in section.items])
            for section in report.sections
        ],
    )


def with_items(section: Section, items: Sequence[Shown]) -> ShownSection:
    """The section with what is shown of its items."""
    return ShownSection(
        section.id, section.title, section.says, items, section.figures, section.folded
    )


def _show(item: Item) -> Shown:
    match item:
        case Counts():
            return show_counts(item, item.values, item.of)
        case Numbers():
            return show_numbers(item, item.values)
        case Spread():
            return Spreads(
                item.key, item.caption, item.corner, item.rows, item.columns, item.values
            )
        case Flow():
            return Chains(item.key, item.unit, [_show_chain(one) for one in split_chains(item)])
        case Words():
            return item


def show_counts(
    item: Counts,
    values: Sequence[Sequence[Cell]],
    of: Sequence[Sequence[int | Hidden]] | None,
) -> Grid:
    """With these values, and shares of these."""
    return Grid(item.key, item.caption, item.corner, item.unit, item.rows, item.columns, values, of)


def show_numbers(item: Numbers, values: Sequence[Sequence[Cell]]) -> Grid:
    """With these values; a mark on what is hidden is not shown either."""
    marked = {(r, c) for r, c in item.marked if not isinstance(values[r][c], Hidden)}
    return Grid(
        item.key,
        item.caption,
        item.corner,
        "",
        item.rows,
        item.columns,
        values,
        digits=item.digits,
        marked=frozenset(marked),
    )


def split_chains(flow: Flow) -> list[Flow]:
    """A flow for each stretch of filters that begin with what the one before left."""
    stretches: list[list[int]] = []
    for i, one in enumerate(flow.filters):
        if i == 0 or flow.filters[i - 1].after != one.before:
            stretches.append([])
        stretches[-1].append(i)
    return [Flow(flow.key, flow.unit, [flow.filters[i] for i in stretch]) for stretch in stretches]


def _show_chain(flow: Flow) -> Chain:
    steps = [Step(one.stage, [one.reason], one.removed, one.after) for one in flow.filters]
    return Chain(flow.filters[0].before, steps)

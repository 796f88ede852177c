"""What a report says, before it is laid out: sections of counts, spreads, numbers and words.

Every number that rests on patients is in Counts, Spread, Numbers or Flow, which say what they rest
on, so that one rule (etl/report/shareable.py) can hide what is small, whatever the section.

Shapes: R rows, C columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from etl.ledger import Drop

# bars: a group of bars a row, a bar a column; histogram: rows are bins, in order, and a step line a
# column; heat: rows x columns; shares: stacked to 100 % a row; points: a dot a cell, for shares.
Form = Literal["bars", "histogram", "heat", "shares", "points"]


@dataclass(frozen=True)
class Counts:
    """How many of ``unit`` ("samples", "patients", "films", "events", "hours", "bytes").

    ``of`` (R, C): what each is a share of; None: a share is not shown. ``rows_add_up``: the rows of
    a column add up to a total that is known; ``columns_add_up``: those of a row. ``is_private``:
    small ones may not be shown to others.
    """

    key: str
    caption: str
    corner: str
    unit: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[int]]
    of: Sequence[Sequence[int]] | None = None
    rows_add_up: bool = True
    columns_add_up: bool = True
    is_private: bool = True


@dataclass(frozen=True)
class Summary:
    """Of a number: None where nothing is known. ``missing`` of ``count`` + ``missing``."""

    count: int
    missing: int
    mean: float | None
    sd: float | None
    median: float | None
    low: float | None  # first quartile
    high: float | None  # third quartile


@dataclass(frozen=True)
class Spread:
    """How numbers are spread, a cell a split: (R, C)."""

    key: str
    caption: str
    corner: str
    rows: Sequence[str]  # "Age, years"
    columns: Sequence[str]
    values: Sequence[Sequence[Summary]]


@dataclass(frozen=True)
class Numbers:
    """Anything else that is computed: (R, C). ``rests_on`` (R,): of how many patients or samples
    each row is, at least; None: of none. ``marked`` (row, column): what a reader should look at."""

    key: str
    caption: str
    corner: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | int | str | None]]
    rests_on: Sequence[int | None]
    digits: int = 2
    marked: Sequence[tuple[int, int]] = field(default=())


@dataclass(frozen=True)
class Flow:
    """The filters that rows of one ``unit`` met, in order, as the ledgers have them."""

    key: str
    unit: str
    filters: Sequence[Drop]


@dataclass(frozen=True)
class Words:
    """Name -> text. ``is_shareable``: no path, no date, nothing of a patient."""

    key: str
    caption: str
    rows: Sequence[tuple[str, str]]
    is_shareable: bool = True


@dataclass(frozen=True)
class Figure:
    """Of the Counts or Numbers of ``key``; ``shows``: what is seen, and what to look for."""

    key: str
    form: Form
    shows: str
    logarithmic: bool = False


Item: TypeAlias = Counts | Spread | Numbers | Flow | Words


@dataclass(frozen=True)
class Section:
    """``says``: paragraphs above. Items are shown in order, each below its figure if it has one;
    ``folded``: keys of those behind a fold."""

    id: str
    title: str
    says: Sequence[str]
    items: Sequence[Item]
    figures: Sequence[Figure] = field(default=())
    folded: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Report:
    """``origin``: whose data, in words that cannot be mistaken; ``headline``: name -> number."""

    recipe: str
    origin: str
    is_simulated: bool
    headline: Sequence[tuple[str, int]]
    sections: Sequence[Section]

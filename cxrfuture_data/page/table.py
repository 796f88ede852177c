"""Tables of a page; templates/parts.html shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

# best: of its column; lower, higher: than what it is held against; apart: intervals that do not
# overlap.
Mark = Literal["", "best", "lower", "higher", "apart"]


@dataclass(frozen=True)
class Cell:
    """``below``: a second line in small letters."""

    text: str
    below: str = ""
    mark: Mark = ""


@dataclass(frozen=True)
class Head:
    text: str
    below: str = ""
    span: int = 1


@dataclass(frozen=True)
class Line:
    title: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """``corner``: what the first column names; ``above``: heads of several columns."""

    caption: str
    corner: str
    heads: Sequence[Head]
    lines: Sequence[Line]
    above: Sequence[Head] = field(default=())

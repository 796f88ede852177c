"""Values of samples, an array a split, to the counts and spreads of a report.

Shapes: N samples of a split; R rows, C columns (a split each) of a table.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cxrfuture_data.sample import Array
from etl.report.facts import Counts, Figure, Form, Item, Section, Spread, Summary

NOT_KNOWN = "not known"

BySplit = Mapping[str, Array]  # (N,) each, in the order of the splits


@dataclass(frozen=True)
class Heading:
    """Of a table: its key, caption, what its rows are, and what is counted."""

    key: str
    caption: str
    corner: str
    unit: str = "samples"


@dataclass(frozen=True)
class Bins:
    """[edge, next edge), and one above the last; ``titles`` name them all."""

    edges: Sequence[float]
    titles: Sequence[str]


@dataclass
class Draft:
    """A section that grows: tables, each with its figure if it has one."""

    id: str
    title: str
    says: Sequence[str]
    items: list[Item] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)

    def add(self, item: Item, *, is_folded: bool = False) -> None:
        self.items.append(item)
        if is_folded:
            self.folded.append(item.key)

    def draw(self, item: Counts, form: Form, shows: str, *, is_folded: bool = False) -> None:
        """Add counts and a figure of them."""
        self.add(item, is_folded=is_folded)
        self.figures.append(Figure(item.key, form, shows))

    def finish(self) -> Section | None:
        """None where nothing was added."""
        if not self.items:
            return None
        return Section(self.id, self.title, self.says, self.items, self.figures, self.folded)


def bins_of(edges: Sequence[float], unit: str, last: str = "or more") -> Bins:
    """Titles such as ``6-12 h``."""
    titles = [f"{low:g}-{high:g} {unit}" for low, high in pairwise(edges)]
    return Bins(edges, [*titles, f"{edges[-1]:g} {unit} {last}"])


def count_words(heading: Heading, words: BySplit, order: Sequence[str] = ()) -> Counts:
    """Samples by a word. Rows: those of ``order`` that occur, then the others, the commonest
    first; no word is not known."""
    found = {
        split: Counter(np.where(column == "", NOT_KNOWN, column).tolist())
        for split, column in words.items()
    }
    totals = sum(found.values(), Counter())
    others = sorted(
        totals.keys() - set(order), key=lambda row: (row == NOT_KNOWN, -totals[row], row)
    )
    rows = [*(row for row in order if row in totals), *others]
    return count_table(heading, rows, found)


def count_bins(heading: Heading, values: BySplit, bins: Bins) -> Counts:
    """Samples by the bin of a number, every bin a row; NaN is not known."""
    found = {}
    for split, column in values.items():
        known = column[~np.isnan(column)]
        at = np.clip(np.digitize(known, bins.edges) - 1, 0, len(bins.titles) - 1)
        counts = np.bincount(at, minlength=len(bins.titles)).tolist()
        found[split] = Counter(dict(zip(bins.titles, counts, strict=True)))
        found[split][NOT_KNOWN] = len(column) - len(known)
    missing = any(counted[NOT_KNOWN] for counted in found.values())
    return count_table(heading, [*bins.titles, *([NOT_KNOWN] if missing else [])], found)


def count_table(
    heading: Heading, rows: Sequence[str], found: Mapping[str, Mapping[str, int]]
) -> Counts:
    """A column a split; every sample of a split is in one row."""
    of = {split: sum(counted.values()) for split, counted in found.items()}
    return Counts(
        key=heading.key,
        caption=heading.caption,
        corner=heading.corner,
        unit=heading.unit,
        rows=rows,
        columns=list(found),
        values=[[int(counted.get(row, 0)) for counted in found.values()] for row in rows],
        of=[list(of.values()) for _ in rows],
        columns_add_up=False,
    )


def count_true(heading: Heading, flags: Mapping[str, BySplit]) -> Counts:
    """Samples of which each row is true; one sample may be in several rows. A share is of all
    samples of the split, so that no table tells of how many a thing is not known."""
    values = [[int(column.sum()) for column in row.values()] for row in flags.values()]
    of = [[len(column) for column in row.values()] for row in flags.values()]
    columns = list(next(iter(flags.values()), {}))
    return count_shares(heading, list(flags), columns, (values, of))


def count_shares(
    heading: Heading,
    rows: Sequence[str],
    columns: Sequence[str],
    values_and_of: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]],
) -> Counts:
    """Counts (R, C) that add up to nothing, each of its own total."""
    values, of = values_and_of
    return Counts(
        key=heading.key,
        caption=heading.caption,
        corner=heading.corner,
        unit=heading.unit,
        rows=rows,
        columns=columns,
        values=values,
        of=of,
        rows_add_up=False,
        columns_add_up=False,
    )


def spread_of(heading: Heading, rows: Mapping[str, BySplit]) -> Spread:
    """A row a number, a column a split. Rows of which nothing is known are left out."""
    kept = {
        row: columns
        for row, columns in rows.items()
        if any(not np.isnan(column).all() for column in columns.values())
    }
    return Spread(
        key=heading.key,
        caption=heading.caption,
        corner=heading.corner,
        rows=list(kept),
        columns=list(next(iter(kept.values()), {})),
        values=[[summarise(column) for column in columns.values()] for columns in kept.values()],
    )


def summarise(values: Array) -> Summary:
    """NaN is missing."""
    known = values[~np.isnan(values)].astype(np.float64)
    missing = len(values) - len(known)
    if not len(known):
        return Summary(0, missing, None, None, None, None, None)
    low, median, high = (float(one) for one in np.quantile(known, (0.25, 0.5, 0.75)))
    sd = float(known.std(ddof=1)) if len(known) > 1 else None
    return Summary(len(known), missing, float(known.mean()), sd, median, low, high)

"""What counts a page may show to others: none that is small, and none that follows from others.

A group is small with fewer than SMALLEST stays, positives or negatives. What is hidden of a
grouping is never one group alone, nor groups that together are small: the next smallest is hidden
too, as a hidden number would be the total less those that are shown.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

SMALLEST = 10
HIDDEN, SMALL = "hidden", "<10"


class Count(NamedTuple):
    """Of a group, a label or a bin. ``positives`` None: of a group, where there are several
    labels; the page tells none."""

    stays: int
    positives: int | None

    @property
    def least(self) -> int:
        if self.positives is None:
            return self.stays
        return min(self.stays, self.positives, self.stays - self.positives)

    @staticmethod
    def of_all(counts: Sequence["Count"]) -> "Count":
        """Their sum."""
        positives = [one.positives for one in counts if one.positives is not None]
        return Count(sum(one.stays for one in counts), sum(positives) if positives else None)


def choose_hidden(counts: Sequence[Mapping[str, Count]], *, is_partition: bool = True) -> set[str]:
    """Names to hide, given the counts of the same names for each outcome.

    ``is_partition``: the counts add up to a total that is known, so the hidden must together be
    large; else only none may be hidden alone.
    """
    names = {name for of in counts for name in of}
    hidden = {name for name in names if any(_least(of, name) < SMALLEST for of in counts)}
    order = sorted(names - hidden, key=lambda name: (min(_least(of, name) for of in counts), name))
    for name in order:
        if not hidden or not _follows(hidden, counts, is_partition=is_partition):
            break
        hidden.add(name)
    return hidden


def _follows(
    hidden: set[str], counts: Sequence[Mapping[str, Count]], *, is_partition: bool
) -> bool:
    """Whether what is hidden could be told from what is shown."""
    if len(hidden) == 1:
        return True
    if not is_partition:
        return False
    for of in counts:
        chosen = [of[name] for name in hidden if name in of]
        if chosen and Count.of_all(chosen).least < SMALLEST:
            return True
    return False


def _least(of: Mapping[str, Count], name: str) -> int:
    return of[name].least if name in of else SMALLEST


def hide_count(count: int) -> int | str:
    """A count, or that it is small."""
    return count if count >= SMALLEST else SMALL


def round_count(count: int) -> str:
    return f"about {round(count, -1):,}" if count >= SMALLEST else SMALL

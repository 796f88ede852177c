"""Which cells of one table of counts are hidden, so that none of its small counts follows.

A count is small from 1 to SMALLEST - 1, or where so many are left to what it is a share of. It is
hidden, and with it as many others as are needed for the sums of rows and columns to leave it open:
to whoever does the sums OPEN numbers or more are possible, the largest small one among them (or,
in a row or column of a small sum, the largest that leaves others there something).

Shapes: R rows, C columns.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrfuture_data.page.shareable import SMALLEST
from etl.report.facts import Counts
from etl.report.network import MUCH, Arc, Network, State

LARGEST_SMALL = SMALLEST - 1
OPEN = 5

# The same number of one thing in two tables: unit, name of its row or column, value.
Fact: TypeAlias = tuple[str, str, int]
Counted: TypeAlias = tuple[str, int]  # unit and value


@dataclass(frozen=True)
class Secrets:
    """What is hidden elsewhere: sums by name, cells by both names, and of flows by unit alone."""

    sums: frozenset[Fact] = frozenset()
    cells: frozenset[tuple[str, str, str, int]] = frozenset()
    flows: frozenset[Counted] = frozenset()

    def has(self, unit: str, value: int) -> bool:
        """Whether a flow hides it."""
        return any(value == hidden and are_alike(unit, of) for of, hidden in self.flows)

    @property
    def counted(self) -> frozenset[Counted]:
        """Whatever its name."""
        return self.flows | {(unit, value) for unit, _, value in self.sums}


@dataclass
class Sheet:
    """``cells`` (R, C): numbers of arcs. ``sums``: arc of a sum, and its name."""

    item: Counts
    network: Network
    cells: NDArray[np.int64]
    sums: Mapping[int, str]

    def hidden(self) -> NDArray[np.bool_]:
        """(R, C)."""
        states = [self.network.arcs[i].state == "hidden" for i in self.cells.ravel()]
        return np.array(states, np.bool_).reshape(self.cells.shape)

    def is_bare(self) -> bool:
        """Whether all that is hidden is small and may be told to be: that leaves it open."""
        arcs = self.network.arcs
        hidden = [int(i) for i in self.cells.ravel() if arcs[i].state == "hidden"]
        if not all(is_small(arcs[i].value) for i in hidden):
            return False
        tops = {i: arcs[i].top for i in hidden}
        most = _find_most(self)
        needed = {i: needs(arcs[i], most.get(i, LARGEST_SMALL)) for i in hidden}
        for i in hidden:
            arcs[i].top = min(tops[i], LARGEST_SMALL)
        is_open = all(self.network.protect(i, *needed[i], may_hide=False) for i in hidden)
        for i in hidden:
            arcs[i].top = tops[i]
        return is_open


def are_alike(unit: str, other: str) -> bool:
    """Whether counts of both may be of one thing: pairs, stays and images are samples too."""
    words = {re.split(" of | with ", one)[0].lower().removesuffix("s") for one in (unit, other)}
    return len(words) == 1 or "sample" in words


def is_small(count: int) -> bool:
    return 0 < count < SMALLEST


def is_secret(arc: Arc) -> bool:
    """Small, or the rest to what it is a share of is."""
    return is_small(arc.value) or _has_small_rest(arc)


def _has_small_rest(arc: Arc) -> bool:
    return arc.top >= SMALLEST and is_small(arc.top - arc.value)


def needs(arc: Arc, most: int = LARGEST_SMALL) -> tuple[int, int]:
    """How much more and how much less a secret count must be able to be; ``most`` it can be."""
    rest = arc.top - arc.value
    up = down = 0
    if is_small(arc.value):
        up, down = _reach(arc.value, most)
    if _has_small_rest(arc):
        less, more = _reach(rest)
        up, down = max(up, more), max(down, less)
    return min(up, rest), down


def _reach(small: int, most: int = LARGEST_SMALL) -> tuple[int, int]:
    """How far up to the most that it can be, and how far down that it has OPEN numbers."""
    up = most - small
    return up, max(0, OPEN - 1 - up)


def _find_most(sheet: Sheet) -> dict[int, int]:
    """Of cells in a row or column of a small sum: no more than is left by the others. Where that
    is too little, the others must be able to be nothing."""
    arcs, found = sheet.network.arcs, dict[int, int]()
    for total in sheet.sums:
        if arcs[total].top != LARGEST_SMALL:
            continue
        line = {arcs[total].tail, arcs[total].head}
        full = [
            i
            for i in sheet.cells.ravel().tolist()
            if arcs[i].value and line & {arcs[i].tail, arcs[i].head}
        ]
        most = LARGEST_SMALL - len(full) + 1
        if most >= OPEN:
            found |= {i: min(most, found.get(i, most)) for i in full}
    return found


def read_sheet(item: Counts) -> Sheet:
    """Nothing is hidden yet. Nodes: rows, columns, the sum of rows, the sum of columns."""
    values = np.array(item.values, np.int64).reshape(len(item.rows), len(item.columns))
    rows, columns = values.shape
    network = Network(rows + columns + 2)
    of_rows, of_columns = rows + columns, rows + columns + 1
    cells = np.zeros(values.shape, np.int64)
    for r, c in np.ndindex(values.shape):
        cells[r, c] = network.add(_read_cell(item, r, c, rows))
    sums: dict[int, str] = {}
    # Of a single row a sum is the count itself, and no other number.
    rows_add_up = rows > 1 and (item.rows_add_up or has_total(values))
    columns_add_up = columns > 1 and (item.columns_add_up or has_total(values.T))
    for r, name in enumerate(item.rows):
        total = int(values[r].sum())
        sums[network.add(_read_sum(of_rows, r, total, is_known=columns_add_up))] = name
    for c, name in enumerate(item.columns):
        total = int(values[:, c].sum())
        sums[network.add(_read_sum(rows + c, of_columns, total, is_known=rows_add_up))] = name
    # The sum of sums is told by sums that are all known; told elsewhere, it is treated there.
    is_known = any(
        add_up and not any(map(is_small, values.sum(axis).tolist()))
        for axis, add_up in enumerate((rows_add_up, columns_add_up))
    )
    network.add(_read_sum(of_columns, of_rows, int(values.sum()), is_known=is_known))
    return Sheet(item, network, cells, sums)


def has_total(values: NDArray[np.int64]) -> bool:
    """Whether a row is the sum of the others: then their sum is known."""
    if len(values) < 3 or not values.any():
        return False
    return bool((2 * values == values.sum(axis=0)).all(axis=1).any())


def _read_cell(item: Counts, row: int, column: int, rows: int) -> Arc:
    value = item.values[row][column]
    top = MUCH if item.of is None else item.of[row][column]
    if top < SMALLEST:
        # It is hidden too: no more is known than that it is small.
        top = LARGEST_SMALL if value else MUCH
    return Arc(row, rows + column, value, "shown", top if top >= value else MUCH)


def _read_sum(tail: int, head: int, value: int, *, is_known: bool) -> Arc:
    """A small sum is not known: wherever it is told, it is hidden."""
    if is_known and is_small(value):
        return Arc(tail, head, value, "hidden", LARGEST_SMALL)
    state: State = "known" if is_known else "free"
    return Arc(tail, head, value, state)


def hide_cells(sheet: Sheet, secrets: Secrets) -> None:
    """Hide what is secret, here or elsewhere, and what it would follow from."""
    network = sheet.network
    cells = [int(i) for i in sheet.cells.ravel()]
    most = _find_most(sheet)
    secret = {
        i: needs(network.arcs[i], most.get(i, LARGEST_SMALL))
        for i in cells
        if is_secret(network.arcs[i])
    }
    for i in _find_shared(sheet, secrets):
        # For a small count beside it, which must be free to be any other small number.
        least = min(LARGEST_SMALL - 1, network.arcs[i].value - 1)
        secret.setdefault(i, (min(least, network.arcs[i].top - network.arcs[i].value), least))
    for i in secret:
        if network.arcs[i].state != "free":
            network.arcs[i].state = "hidden"
    for i in sorted(secret, key=lambda i: (network.arcs[i].value, i)):
        if not network.protect(i, *secret[i]):
            _hide_zeros(sheet, {network.arcs[i].tail, network.arcs[i].head})
            if not network.protect(i, *secret[i]):
                network.hide(cells)
                _hide_zeros(sheet, set(range(network.nodes)))


def _find_shared(sheet: Sheet, secrets: Secrets) -> Iterator[int]:
    """Arcs of what other tables hide."""
    item, arcs = sheet.item, sheet.network.arcs
    for r, c in np.ndindex(sheet.cells.shape):
        value = item.values[r][c]
        names = (item.unit, item.rows[r], item.columns[c], value)
        if value >= SMALLEST and (names in secrets.cells or secrets.has(item.unit, value)):
            yield int(sheet.cells[r, c])
    rows, columns = sheet.cells.shape
    for i, name in sheet.sums.items():
        is_of_row = arcs[i].tail == rows + columns
        if (columns if is_of_row else rows) == 1:
            continue  # its one count, which is a cell
        value = arcs[i].value
        is_told = (item.unit, name, value) in secrets.sums or secrets.has(item.unit, value)
        if value >= SMALLEST and is_told:
            yield i


def _hide_zeros(sheet: Sheet, lines: set[int]) -> None:
    """Those of rows and columns: then what is hidden may be nothing."""
    network = sheet.network
    for i in sheet.cells.ravel().tolist():
        arc = network.arcs[i]
        if arc.value == 0 and lines & {arc.tail, arc.head}:
            arc.state = "hidden"
            network.floor = 0


def tell_secrets(sheet: Sheet) -> Secrets:
    """What a table hides that is more than small, as other tables may tell it."""
    sums: set[Fact] = set()
    cells: set[tuple[str, str, str, int]] = set()
    item = sheet.item
    for r, c in np.argwhere(sheet.hidden()).tolist():
        value = item.values[r][c]
        if value >= SMALLEST:
            sums |= {(item.unit, item.rows[r], value), (item.unit, item.columns[c], value)}
            cells.add((item.unit, item.rows[r], item.columns[c], value))
    return Secrets(frozenset(sums), frozenset(cells))


def join_secrets(found: Sequence[Secrets], flows: frozenset[Counted]) -> Secrets:
    """Of several tables, and of flows."""
    return Secrets(
        frozenset().union(*(one.sums for one in found)),
        frozenset().union(*(one.cells for one in found)),
        flows,
    )


def hide_sheets(sheets: Sequence[Sheet], flows: frozenset[Counted]) -> Secrets:
    """Hide in each table until none tells what another hides, or a flow."""
    told: list[Secrets] | None = None
    while (found := [tell_secrets(sheet) for sheet in sheets]) != told:
        told = found
        for place, sheet in enumerate(sheets):
            others = [*found[:place], *found[place + 1 :]]
            hide_cells(sheet, join_secrets(others, flows))
    return join_secrets(found, flows)

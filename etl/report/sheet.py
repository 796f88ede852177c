"""Which cells of one table of counts are hidden, so that none of its small counts follows.

A count is small from 1 to SMALLEST - 1, or where so many are left to what it is a share of. It is
hidden, and with it as many others as are needed for the sums of rows and columns to leave it open:
to whoever does the sums OPEN numbers or more are possible, the largest small one among them.

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
        needed = {i: needs(arcs[i]) for i in hidden}
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


def needs(arc: Arc) -> tuple[int, int]:
    """How much more and how much less a secret count must be able to be."""
    rest = arc.top - arc.value
    up = down = 0
    if is_small(arc.value):
        up, down = _reach(arc.value)
    if _has_small_rest(arc):
        less, more = _reach(rest)
        up, down = max(up, more), max(down, less)
    return min(up, rest), down


def _reach(small: int) -> tuple[int, int]:
    """How far up to the largest small count, and how far down that it has OPEN numbers."""
    up = LARGEST_SMALL - small
    return up, max(0, OPEN - 1 - up)


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
    rows_add_up = item.rows_add_up or has_total(values)
    columns_add_up = item.columns_add_up or has_total(values.T)
    for r, name in enumerate(item.rows):
        total = int(values[r].sum())
        sums[network.add(_read_sum(of_rows, r, total, is_known=columns_add_up))] = name
    for c, name in enumerate(item.columns):
        total = int(values[:, c].sum())
        sums[network.add(_read_sum(rows + c, of_columns, total, is_known=rows_add_up))] = name
    is_known = rows_add_up or columns_add_up
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
    secret = {i: needs(network.arcs[i]) for i in cells if is_secret(network.arcs[i])}
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
    for i, name in sheet.sums.items():
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


def tell_secrets(sheets: Sequence[Sheet], flows: frozenset[Counted]) -> Secrets:
    """What tables hide that is more than small, as other tables may tell it."""
    sums: set[Fact] = set()
    cells: set[tuple[str, str, str, int]] = set()
    for sheet in sheets:
        item = sheet.item
        for r, c in np.argwhere(sheet.hidden()):
            value = item.values[r][c]
            if value >= SMALLEST:
                sums |= {(item.unit, item.rows[r], value), (item.unit, item.columns[c], value)}
                cells.add((item.unit, item.rows[r], item.columns[c], value))
    return Secrets(frozenset(sums), frozenset(cells), flows)


def hide_sheets(sheets: Sequence[Sheet], flows: frozenset[Counted]) -> Secrets:
    """Hide in each table until none tells what another hides, or a flow."""
    told = None
    while (secrets := tell_secrets(sheets, flows)) != told:
        for sheet in sheets:
            hide_cells(sheet, secrets)
        told = secrets
    return secrets

"""What a shareable report hides: whoever does its sums learns no small count."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from tiny_page import Page
from tiny_report import SPLITS, make_flow, make_report

from cxrfuture_data.page.shareable import SMALLEST
from etl.report.facts import Counts, Flow, Numbers, Report, Section, Spread, Summary, Words
from etl.report.page import render_page, view_sections
from etl.report.shareable import hide_small
from etl.report.sheet import OPEN
from etl.report.shown import Chains, Grid, Hidden, Spreads

LARGEST_SMALL = SMALLEST - 1


def hide(*items, headline=()):
    """What is shown of them, by key."""
    report = Report("future", "all SIMULATED", True, headline, [Section("one", "One", [], items)])
    return {item.key: item for item in hide_small(report).sections[0].items}


def count(values, key="a", rows=None, columns=None, **more):
    rows = rows or [f"row {r}" for r in range(len(values))]
    columns = columns or list(SPLITS[: len(values[0])])
    return Counts(key, key.upper(), "Of", "samples", rows, columns, values, **more)


# --- the attacker: bounds of a hidden count from all that is shown


class Attacker:
    """Knows what is shown, sums that are called known unless they are small, what a share is of,
    and that a hidden count is no less than 0 (1 where every 0 is shown)."""

    def __init__(self, counts, grid):
        self.values = np.array(counts.values)
        self.is_hidden = np.array([[isinstance(v, Hidden) for v in row] for row in grid.values])
        words = {str(v) for row in grid.values for v in row if isinstance(v, Hidden)}
        assert len(words) <= 1
        shows_zeros = (self.values[self.is_hidden] > 0).all()
        top = LARGEST_SMALL if words == {"<10"} else None
        self.bounds = []
        for (r, c), value in np.ndenumerate(self.values):
            of = None if counts.of is None else counts.of[r][c]
            known = [n for n in (top, of if of and of >= SMALLEST else None) if n is not None]
            is_open = self.is_hidden[r, c]
            self.bounds.append(
                (int(shows_zeros), min(known, default=None)) if is_open else (value, value)
            )
        self.equal, self.sums, self.above, self.most = [], [], [], []
        for axis, add_up in enumerate((counts.rows_add_up, counts.columns_add_up)):
            for line in range(self.values.shape[1 - axis]):
                places = np.zeros(self.values.shape)
                places[(slice(None), line) if axis == 0 else line] = 1
                self._add(places, add_up)
        if counts.rows_add_up or counts.columns_add_up:
            self._add(np.ones(self.values.shape), True)

    def _add(self, places, is_known):
        total = (places * self.values).sum()
        if is_known and 0 < total < SMALLEST:
            self.above.append(places.ravel())
            self.most.append(LARGEST_SMALL)
        elif is_known:
            self.equal.append(places.ravel())
            self.sums.append(total)

    def range_of(self, row, column):
        """Least and most that a cell can be."""
        goal = np.zeros(self.values.shape)
        goal[row, column] = 1
        found = []
        for sign in (1, -1):
            solved = linprog(
                sign * goal.ravel(),
                A_ub=self.above or None,
                b_ub=self.most or None,
                A_eq=self.equal or None,
                b_eq=self.sums or None,
                bounds=self.bounds,
            )
            assert solved.status in (0, 3)
            found.append(sign * solved.fun if solved.status == 0 else np.inf)
        return found


sizes = st.integers(1, 5)


@st.composite
def tables(draw):
    rows, columns = draw(sizes), draw(sizes)
    numbers = st.one_of(st.integers(0, 14), st.integers(0, 400))
    values = [[draw(numbers) for _ in range(columns)] for _ in range(rows)]
    rows_add_up, columns_add_up = draw(st.booleans()), draw(st.booleans())
    of = None
    if draw(st.booleans()):
        of = [[value + draw(st.sampled_from([0, 0, 3, 30])) for value in row] for row in values]
        if rows_add_up:
            of = [[sum(row[c] for row in values) for c in range(columns)] for _ in range(rows)]
    return count(
        values,
        columns=[f"column {c}" for c in range(columns)],
        of=of,
        rows_add_up=rows_add_up,
        columns_add_up=columns_add_up,
    )


@settings(max_examples=150, deadline=None)
@given(tables())
def test_sums_leave_every_small_count_open(counts):
    (grid,) = hide(counts).values()
    attacker = Attacker(counts, grid)
    everything = attacker.is_hidden.all()
    for (r, c), value in np.ndenumerate(attacker.values):
        is_rest = counts.of is not None and 0 < counts.of[r][c] - value < SMALLEST
        if not (0 < value < SMALLEST or (is_rest and counts.of[r][c] >= SMALLEST)):
            continue
        assert attacker.is_hidden[r, c]
        low, high = attacker.range_of(r, c)
        if 0 < value < SMALLEST and not everything:
            assert high >= LARGEST_SMALL - 0.5
        assert high - low > OPEN - 1.5 or everything

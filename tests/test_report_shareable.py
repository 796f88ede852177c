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
from etl.report.facts import Counts, Numbers, Report, Section, Spread, Summary, Words
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
    unit = more.pop("unit", "samples")
    return Counts(key, key.upper(), "Of", unit, rows, columns, values, **more)


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
        # Of a single row a sum is the count itself.
        rows, columns = self.values.shape
        are_known = (counts.rows_add_up and rows > 1, counts.columns_add_up and columns > 1)
        for axis, add_up in enumerate(are_known):
            for line in range(self.values.shape[1 - axis]):
                places = np.zeros(self.values.shape)
                places[(slice(None), line) if axis == 0 else line] = 1
                self._add(places, add_up)
        if any(
            is_known and not any(0 < total < SMALLEST for total in self.values.sum(axis))
            for axis, is_known in enumerate(are_known)
        ):
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
            lines = (attacker.values[:, c], attacker.values[r])
            has_small_sum = any(line.sum() < SMALLEST for line in lines)
            assert high >= LARGEST_SMALL - 0.5 or has_small_sum
        assert high - low > OPEN - 1.5 or everything


def test_a_small_count_takes_another_of_its_line_with_it():
    counts = count([[100, 40], [60, 30], [7, 50]], columns_add_up=False)
    assert hide(counts)["a"].values == [[100, 40], [Hidden("hidden"), 30], [Hidden("hidden"), 50]]


def test_both_margins_are_kept():
    grid = hide(count([[100, 40], [60, 30], [7, 50]]))["a"]
    shown = np.array([[not isinstance(value, Hidden) for value in row] for row in grid.values])
    assert shown.sum() == 2
    assert shown[0].all()


def test_what_adds_up_to_nothing_is_told_to_be_small():
    counts = count([[100, 9, 0], [60, 30, 10]], rows_add_up=False, columns_add_up=False)
    assert hide(counts)["a"].values == [[100, Hidden("<10"), 0], [60, 30, 10]]


def test_all_but_few_is_hidden_too():
    of = [[97, 100], [97, 100]]
    counts = count([[90, 50], [97, 91]], of=of, rows_add_up=False, columns_add_up=False)
    assert hide(counts)["a"].values == [[Hidden("hidden"), 50], [97, Hidden("hidden")]]


def test_what_a_share_is_of_is_hidden_where_it_is_small():
    counts = count([[5, 0]], of=[[7, 7]], rows_add_up=False, columns_add_up=False)
    grid = hide(counts)["a"]
    assert grid.values == [[Hidden("<10"), 0]]
    assert grid.of == [[Hidden("hidden")] * 2]


def test_what_is_private_to_nobody_is_shown():
    assert hide(count([[1, 2]], is_private=False))["a"].values == [[1, 2]]


def test_a_total_that_one_table_hides_no_other_tells():
    # Of 119 samples 7 are of test, so those of valid are hidden; sex would tell them.
    samples = count([[100, 12, 7]], "samples", rows=["pairs"], rows_add_up=False)
    sex = count([[50, 12, 3], [50, 0, 4]], "sex", rows=["male", "female"], columns_add_up=False,
                of=[[100, 12, 7]] * 2)  # fmt: skip
    shown = hide(samples, sex, headline=[("pairs", 119), ("patients", 12), ("films", 12)])
    assert shown["samples"].values == [[100, Hidden("hidden"), Hidden("hidden")]]
    assert isinstance(shown["sex"].values[0][1], Hidden)
    assert isinstance(shown["sex"].of[0][1], Hidden)
    assert shown["sex"].values[0][0] == 50


def test_a_headline_that_is_small_or_hidden_elsewhere_is_not_shown():
    samples = count([[100, 12, 7]], rows=["pairs"], rows_add_up=False)
    section = Section("one", "One", [], [samples])
    headline = [("pairs", 119), ("stays", 12), ("patients", 4), ("films", 0)]
    shown = hide_small(Report("future", "all SIMULATED", True, headline, [section])).headline
    assert shown == [
        ("pairs", 119), ("stays", Hidden("hidden")), ("patients", Hidden("<10")), ("films", 0),
    ]  # fmt: skip


# --- flows


def flow_of(removed, before=1000):
    reasons = [(f"reason {i}", count) for i, count in enumerate(removed)]
    return make_flow("flow", "film", reasons, before)


def bounds_of_removed(flow, chain):
    """What each filter may have removed, from the counts that are shown."""
    names = [one.reason for one in flow.filters]
    count = len(names)  # variables: removed by each, and what came to the first
    equal, sums = [], []
    bounds = [(int(one.removed > 0), None if one.removed else 0) for one in flow.filters]
    so_far = np.zeros(count + 1)
    so_far[-1] = 1
    for position, value in enumerate([chain.before, *(step.after for step in chain.steps)]):
        if position:
            step = chain.steps[position - 1]
            removed = np.array([name in step.reasons for name in names] + [False], np.float64)
            so_far = so_far - removed
            if not isinstance(step.removed, Hidden):
                equal.append(removed)
                sums.append(step.removed)
        if not isinstance(value, Hidden):
            equal.append(so_far)
            sums.append(value)
    for i in range(count):
        goal = np.zeros(count + 1)
        goal[i] = 1
        found = [
            linprog(sign * goal, A_eq=equal or None, b_eq=sums or None, bounds=[*bounds, (0, None)])
            for sign in (1, -1)
        ]
        yield found[0].fun, -found[1].fun if found[1].status == 0 else np.inf


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 12), st.integers(0, 300)), min_size=1, max_size=7))
def test_what_a_filter_removed_stays_open_if_it_is_little(removed):
    flow = flow_of(removed, before=sum(removed) + 500)
    (chain,) = hide(flow)["flow"].chains
    shown = [chain.before, *(n for step in chain.steps for n in (step.removed, step.after))]
    assert not any(0 < n < SMALLEST for n in shown if not isinstance(n, Hidden))
    assert sorted(reason for step in chain.steps for reason in step.reasons) == [
        one.reason for one in flow.filters
    ]
    for one, (low, high) in zip(flow.filters, bounds_of_removed(flow, chain), strict=True):
        if 0 < one.removed < SMALLEST:
            assert high >= LARGEST_SMALL - 0.5
            assert high - low > 0.5


def test_filters_that_removed_few_are_told_together():
    (chain,) = hide(flow_of([100, 0, 4, 0, 8, 50]))["flow"].chains
    told = [(step.reasons, step.removed, step.after) for step in chain.steps]
    assert told == [
        (["reason 0"], 100, 900),
        (["reason 1"], 0, 900),
        (["reason 3"], 0, 900),
        (["reason 2", "reason 4"], 12, 888),
        (["reason 5"], 50, 838),
    ]


def test_few_of_all_that_came_hide_what_came_here_and_elsewhere():
    quality = flow_of([0, 3], 486)
    films = count([[400, 86]], unit="films", rows=["all"])
    shown = hide(quality, films, headline=[("films", 486), ("patients", 486)])
    (chain,) = shown["flow"].chains
    assert (chain.before, [s.after for s in chain.steps]) == (
        Hidden("hidden"),
        [Hidden("hidden"), 483],
    )
    assert chain.steps[1].removed == Hidden("<10")
    assert shown["a"].values == [[Hidden("hidden")] * 2]


def test_few_that_are_left_are_not_told():
    (chain,) = hide(flow_of([90, 5], 100))["flow"].chains
    assert [str(step.after) for step in chain.steps] == ["<10"]
    (chain,) = hide(flow_of([80, 15, 5], 100))["flow"].chains
    assert [str(step.after) for step in chain.steps] == ["20", "0"]


# --- the rest


def summary(count, missing=0):
    return Summary(count, missing, 60.0, 10.0, 61.0, 50.0, 70.0)


def test_means_of_few_and_of_the_next_fewest_are_hidden():
    row = [summary(100), summary(30, 4), summary(7)]
    spread = Spread("a", "Age", "Of", ["Age"], SPLITS, [row, [summary(50, 12)] * 3])
    shown = hide(spread)["a"].values
    assert shown[0] == [summary(100), Hidden("hidden"), Hidden("<10")]
    assert shown[1] == [summary(50, 12)] * 3
    few = Spread("b", "Age", "Of", ["Age"], SPLITS, [[summary(30, 4)] * 3])
    assert hide(few)["b"].values == [[summary(30)] * 3]


def test_numbers_are_hidden_by_what_they_rest_on():
    values = [[0.5, 3], [0.5, 30], [0.5, 3]]
    numbers = Numbers("a", "A", "Of", "xyz", "pq", values, [9, 10, None], marked=[(0, 0), (1, 0)])
    grid = hide(numbers)["a"]
    assert grid.values == [[Hidden("hidden"), Hidden("<10")], [0.5, 30], [0.5, 3]]
    assert grid.marked == {(1, 0)}


def test_private_words_and_lines_that_look_private_are_left_out():
    lines = [
        ("commit", "0123abc"), ("version", "MIMIC-IV 3.1"), ("folder", "/data/mimic"),
        ("home", "~/mimic"), ("made", "2026-11-29"), ("patient", "10000032"), ("share", "1/2"),
    ]  # fmt: skip
    shown = hide(Words("a", "A", lines), Words("b", "B", [("x", "y")], is_shareable=False))
    assert list(shown) == ["a"]
    assert [name for name, _ in shown["a"].rows] == ["commit", "version", "share"]


SECRETS = ("10000032", "2180-05-06", "/home/someone")


@pytest.fixture(scope="module")
def shown():
    return hide_small(make_report(SECRETS))


def test_no_small_number_is_on_the_page(shown):
    for section in shown.sections:
        for item in section.items:
            if isinstance(item, Grid) and item.unit not in ("", "bytes"):
                found = [n for row in item.values for n in row if not isinstance(n, Hidden)]
                assert not [n for n in found if 0 < n < SMALLEST]
            if isinstance(item, Chains):
                found = [n for c in item.chains for s in c.steps for n in (s.removed, s.after)]
                assert not [n for n in found if isinstance(n, int) and 0 < n < SMALLEST]
            if isinstance(item, Spreads):
                found = [n for row in item.values for n in row if not isinstance(n, Hidden)]
                assert all(n.count == 0 or n.count >= SMALLEST for n in found)


@pytest.fixture(scope="module")
def text(shown):
    return render_page(shown, view_sections(shown, has_files=False), is_shareable=True)


def test_the_page_holds_no_id_date_path_or_small_count(text):
    for secret in SECRETS:
        assert secret not in text
    words = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    assert not re.search(r"\b\d{8}\b|\d{4}-\d\d-\d\d|[^<\w]/\w+/\w+", words)
    page = Page(text)
    assert "Shareable version" in text
    assert "Not for sharing" not in text
    for caption, rows in page.tables.items():
        if caption.startswith(("Samples", "Sex")) or "what each filter" in caption:
            cells = [cell for row in rows[1:] for cell in row[1:]]
            counts = [re.match(r"[\d,]+", cell) for cell in cells]
            numbers = [int(c.group().replace(",", "")) for c in counts if c]
            assert not [n for n in numbers if 0 < n < SMALLEST]


def test_figures_show_no_more_than_tables(text):
    for key in ("race", "sex", "change"):
        drawn = re.search(rf'<svg[^>]*aria-label="[^"]*Samples by {key}.*?</svg>', text, re.DOTALL)
        words = re.findall(r"<text[^>]*>([^<]*)</text>", drawn.group()) if drawn else []
        assert not [word for word in words if word.isdigit() and 0 < int(word) < SMALLEST]


def test_how_many_are_missing_is_not_told_where_a_table_hides_it():
    gaps = count([[5, 30, 30], [60, 40, 40], [15, 12, 12]], rows=["<6", "6+", "no film"])
    row = [
        Summary(65, 15, 8.0, 1.0, 8.0, 7.0, 9.0),
        *[Summary(70, 12, 8.0, 1.0, 8.0, 7.0, 9.0)] * 2,
    ]
    spread = Spread("b", "Hours", "Of", ["Hours since the last film"], SPLITS, [row])
    shown = hide(gaps, spread)
    assert isinstance(shown["a"].values[2][0], Hidden)
    assert shown["b"].values[0][0].missing == 0

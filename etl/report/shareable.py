"""What of a report may be shown to others: no small count, and none that follows from others.

Counts: etl/report/sheet.py. A filter that removed few is told with its neighbours. Means and
quartiles of a small group are hidden, and of the next smallest beside it; other numbers by what
they rest on. Totals from which a hidden count would follow are hidden where they stand.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cxrfuture_data.page.shareable import HIDDEN, SMALL, SMALLEST, Count, choose_hidden
from etl.report.facts import Counts, Flow, Item, Numbers, Report, Section, Spread, Summary, Words
from etl.report.flow_merge import hide_flows
from etl.report.sheet import Secrets, Sheet, are_alike, hide_sheets, is_small, read_sheet
from etl.report.shown import (
    Chains,
    Hidden,
    Shown,
    ShownReport,
    ShownSection,
    Spreads,
    show_counts,
    show_numbers,
    with_items,
)

# Paths, dates and ids of MIMIC, should words that were called shareable hold any.
_PRIVATE = re.compile(
    r"(?:^|[\s'\"(=])(?:~|[A-Za-z]:\\|/)[\w.~-]*[/\\]?\w|\d{4}-\d\d-\d\d|\b[1-9]\d{7}\b"
)


def hide_small(report: Report) -> ShownReport:
    """The report without what is small, private words and what would tell of either."""
    items = [item for section in report.sections for item in section.items]
    flows = [item for item in items if isinstance(item, Flow)]
    sheets = {
        number: read_sheet(item)
        for number, item in enumerate(items)
        if isinstance(item, Counts) and item.is_private
    }
    _, of_flows = hide_flows(flows, frozenset())
    secrets = hide_sheets(list(sheets.values()), of_flows)
    chains, _ = hide_flows(flows, secrets.counted)
    shown = _show_items(items, sheets, chains, secrets)
    return ShownReport(
        report.recipe,
        report.origin,
        report.is_simulated,
        [(name, _hide_number(name, number, secrets)) for name, number in report.headline],
        list(_show_sections(report.sections, shown)),
    )


def _show_sections(
    sections: Sequence[Section], shown: Iterator[Shown | None]
) -> Iterator[ShownSection]:
    for section in sections:
        found = [next(shown) for _ in section.items]
        kept = [item for item in found if item is not None]
        if kept or not section.items:
            yield with_items(section, kept)


def _show_items(
    items: Sequence[Item],
    sheets: Mapping[int, Sheet],
    chains: Sequence[Chains],
    secrets: Secrets,
) -> Iterator[Shown | None]:
    """In order; None of what is left out."""
    flows = iter(chains)
    for number, item in enumerate(items):
        match item:
            case Counts():
                yield (
                    _show_sheet(sheets[number], secrets)
                    if number in sheets
                    else show_counts(item, item.values, item.of)
                )
            case Flow():
                yield next(flows)
            case Spread():
                yield hide_spread(item, secrets)
            case Numbers():
                yield show_numbers(item, _hide_rows(item))
            case Words():
                yield hide_words(item)


def _show_sheet(sheet: Sheet, secrets: Secrets) -> Shown:
    item = sheet.item
    is_hidden = sheet.hidden()
    words = Hidden(SMALL if sheet.is_bare() else HIDDEN)
    values = [
        [words if is_hidden[r, c] else value for c, value in enumerate(row)]
        for r, row in enumerate(item.values)
    ]
    if item.of is None:
        return show_counts(item, values, None)
    of = [
        [
            Hidden(HIDDEN)
            if is_small(n) or (item.unit, name, n) in secrets.sums or secrets.has(item.unit, n)
            else n
            for name, n in zip(item.columns, row, strict=True)
        ]
        for row in item.of
    ]
    return show_counts(item, values, of)


def _hide_number(name: str, number: int, secrets: Secrets) -> int | Hidden:
    if is_small(number):
        return Hidden(SMALL)
    is_told = any(number == value and are_alike(name, unit) for unit, value in secrets.counted)
    return Hidden(HIDDEN) if is_told else number


def hide_spread(spread: Spread, secrets: Secrets) -> Spreads:
    """Where few numbers are known; and of how many nothing is, where that is few or is a count that
    a table hides."""
    told = {(column, value) for _, _, column, value in secrets.cells}
    values: list[list[Summary | Hidden]] = []
    for row in spread.values:
        counts = {str(c): Count(one.count, None) for c, one in enumerate(row) if one.count}
        hidden = choose_hidden([counts])
        values.append(
            [
                Hidden(SMALL if is_small(one.count) else HIDDEN)
                if str(c) in hidden
                else replace(one, missing=0)
                if is_small(one.missing) or (spread.columns[c], one.missing) in told
                else one
                for c, one in enumerate(row)
            ]
        )
    return Spreads(spread.key, spread.caption, spread.corner, spread.rows, spread.columns, values)


def _hide_rows(item: Numbers) -> list[list[float | int | str | Hidden | None]]:
    """Numbers of a row that rests on few; and whole numbers that are few, if it rests on any."""
    return [
        [
            Hidden(SMALL)
            if isinstance(value, int) and is_small(value) and rests_on is not None
            else Hidden(HIDDEN)
            if value is not None and rests_on is not None and rests_on < SMALLEST
            else value
            for value in row
        ]
        for row, rests_on in zip(item.values, item.rests_on, strict=True)
    ]


def hide_words(words: Words) -> Words | None:
    """None of private ones; lines with a path, a date or an id are left out."""
    if not words.is_shareable:
        return None
    rows = [(name, text) for name, text in words.rows if not _PRIVATE.search(f"{name} {text}")]
    return replace(words, rows=rows)

"""Tables of the report's page, and how it spells numbers."""

import math
import re

from cxrfuture_data.page.table import Cell, Head, Line, Table
from etl.report.facts import Summary
from etl.report.shown import Cell as Value
from etl.report.shown import Chains, Grid, Hidden, Spreads

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_BYTES = ("B", "kB", "MB", "GB", "TB")


def grid_table(grid: Grid) -> Table:
    """A share below its count, unless all of a column are of one number, which is in its head."""
    heads = [
        Head(name, below="" if (n := one_of(grid, c)) is None else f"of {n:,}")
        for c, name in enumerate(grid.columns)
    ]
    lines = [
        Line(
            name,
            [
                Cell(
                    spell(value, grid),
                    below=_spell_share(grid, r, c),
                    mark="apart" if (r, c) in grid.marked else "",
                )
                for c, value in enumerate(grid.values[r])
            ],
        )
        for r, name in enumerate(grid.rows)
    ]
    return Table(caption_of(grid), grid.corner, heads, lines)


def caption_of(grid: Grid) -> str:
    """With the unit, where the caption does not name it."""
    named = not grid.unit or grid.unit in grid.caption.lower()
    return grid.caption if named else f"{grid.caption} ({grid.unit})"


def one_of(grid: Grid, column: int) -> int | None:
    """What all cells of a column are shares of."""
    found = set() if grid.of is None else {row[column] for row in grid.of}
    one = found.pop() if len(found) == 1 else None
    return one if isinstance(one, int) else None


def _spell_share(grid: Grid, row: int, column: int) -> str:
    share = share_of(grid, row, column)
    if share is None or grid.of is None:
        return ""
    if one_of(grid, column) is not None:
        return spell_percent(share)
    return f"{spell_percent(share)} of {grid.of[row][column]:,}"


def share_of(grid: Grid, row: int, column: int) -> float | None:
    """None where it is not known or hidden."""
    if grid.of is None:
        return None
    value, of = grid.values[row][column], grid.of[row][column]
    if not isinstance(value, int) or not isinstance(of, int) or of == 0:
        return None
    return value / of


def spreads_table(spreads: Spreads) -> Table:
    """Median and quartiles; mean, deviation and what is missing below."""
    lines = [
        Line(name, [_spread_cell(value) for value in row])
        for name, row in zip(spreads.rows, spreads.values, strict=True)
    ]
    caption = f"{spreads.caption}: median [quartiles], below it mean ± deviation"
    return Table(caption, spreads.corner, [Head(name) for name in spreads.columns], lines)


def _spread_cell(value: Summary | Hidden) -> Cell:
    if isinstance(value, Hidden):
        return Cell(value.words)
    missing = f"{value.missing:,} missing" if value.missing else ""
    if value.median is None or value.low is None or value.high is None:
        return Cell(NOTHING, below=missing)
    middle = f"{spell_short(value.median)} [{spell_short(value.low)}, {spell_short(value.high)}]"
    mean = "" if value.mean is None else spell_short(value.mean)
    deviation = "" if value.sd is None else f" ± {spell_short(value.sd)}"
    return Cell(middle, below="\n".join(part for part in (f"{mean}{deviation}", missing) if part))


def chains_table(chains: Chains) -> Table:
    """A line a filter."""
    lines = []
    for chain in chains.chains:
        before = chain.before
        for step in chain.steps:
            share = _share_removed(step.removed, before)
            removed = Cell(spell_count(step.removed), below=share)
            cells = [Cell(spell_count(before)), removed, Cell(spell_count(step.after))]
            lines.append(Line(f"{step.stage}: {'; '.join(step.reasons)}", cells))
            before = step.after
    heads = [Head("before"), Head("removed"), Head("after")]
    return Table(name_unit(chains), "Filter", heads, lines)


def name_unit(chains: Chains) -> str:
    """The caption of a flow."""
    many = name_many(chains.unit)
    return f"{many[:1].upper()}{many[1:]}: what each filter removed"


def name_many(unit: str) -> str:
    """``film of a stay`` -> ``films of a stay``."""
    word, *more = re.split(r"(?= of | with )", unit, maxsplit=1)
    return f"{word}{'' if word.endswith('s') else 's'}{''.join(more)}"


def _share_removed(removed: int | Hidden, before: int | Hidden) -> str:
    if isinstance(removed, Hidden) or isinstance(before, Hidden) or not removed:
        return ""
    return spell_percent(removed / before)


def spell(value: Value, grid: Grid) -> str:
    """A cell of a grid."""
    if isinstance(value, float):
        return spell_number(value, grid.digits)
    if grid.unit == "bytes" and isinstance(value, int):
        return spell_bytes(value)
    return NOTHING if value is None else spell_count(value)


def spell_count(value: int | str | Hidden) -> str:
    """With commas; words as they are."""
    return f"{value:,}".replace("-", MINUS) if isinstance(value, int) else str(value)


def spell_number(value: float, digits: int) -> str:
    """With so many digits; a number too small for them is not called 0."""
    if not math.isfinite(value):
        return NOTHING
    if value and abs(value) < 0.5 * 10**-digits:
        return f"{value:.1g}".replace("-", MINUS)
    return f"{value:,.{digits}f}".replace("-", MINUS)


def spell_short(value: float) -> str:
    """With three figures, more only of whole thousands."""
    if not math.isfinite(value):
        return NOTHING
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(digits, 6)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS)


def spell_percent(share: float) -> str:
    """To a tenth; what is neither none nor all is not called so."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}%" if share not in (0, 1) else f"{100 * share:.0f}%"


def spell_bytes(value: int) -> str:
    """In the unit that keeps it short."""
    power = 0 if value < 1000 else min(len(_BYTES) - 1, int(math.log10(value) / 3))
    number = value / 1000**power
    return f"{number:.1f} {_BYTES[power]}" if power else f"{value} B"

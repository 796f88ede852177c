"""The report of a recipe as one HTML file: nothing is fetched, nothing runs, it opens from disk.

A shareable report holds no small count (etl/report/shareable.py). The same facts give the same
bytes, those of the figures' own files included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure as Drawn

from cxrfuture_data.page.figure import to_svg
from cxrfuture_data.page.figure_file import to_png, to_svg_file
from cxrfuture_data.page.shareable import SMALLEST
from cxrfuture_data.page.table import Table
from cxrfuture_data.page.write import render, write_page
from cxrfuture_data.publish import publish
from etl.report.facts import Figure, Report, Words
from etl.report.figure import describe_chains, describe_grid, draw_chains, draw_grid
from etl.report.shareable import hide_small
from etl.report.sheet import OPEN
from etl.report.shown import Chains, Grid, Shown, ShownReport, ShownSection, Spreads, show_all
from etl.report.shown_table import (
    caption_of,
    chains_table,
    grid_table,
    name_unit,
    spell_count,
    spreads_table,
)

TEMPLATES = Path(__file__).parent / "templates"
LONG = 12  # rows or columns: a larger table below a figure is folded
SMALL_TABLE = 4  # columns
FIGURES = "figures"


@dataclass(frozen=True)
class Picture:
    """A figure as an element of the page, and as files; ``png`` None: of a page that has none."""

    key: str
    svg: str
    png: bytes | None
    shows: str


@dataclass(frozen=True)
class ItemView:
    """``words``: instead of a table. ``is_table_folded``: the figure says enough."""

    key: str
    title: str
    picture: Picture | None
    table: Table | None
    words: Words | None
    is_folded: bool
    is_table_folded: bool


@dataclass(frozen=True)
class SectionView:
    id: str
    title: str
    says: Sequence[str]
    groups: Sequence[Sequence[ItemView]]


def write_report(report: Report, folder: Path, *, is_shareable: bool) -> Path:
    """Publish report.html, readable by its owner alone, and its figures' files; or shareable.html.

    Returns the page's path.
    """
    shown = hide_small(report) if is_shareable else show_all(report)
    sections = view_sections(shown, has_files=not is_shareable)
    out = folder / ("shareable.html" if is_shareable else "report.html")
    if not is_shareable:
        _write_figures(sections, folder / FIGURES)
    write_page(
        render_page(shown, sections, is_shareable=is_shareable), out, is_shareable=is_shareable
    )
    return out


def render_page(shown: ShownReport, sections: Sequence[SectionView], *, is_shareable: bool) -> str:
    """The page's text."""
    return render(
        TEMPLATES,
        "report.html",
        report=shown,
        sections=sections,
        facts=[(name, spell_count(number)) for name, number in shown.headline],
        is_shareable=is_shareable,
        smallest=SMALLEST,
        open=OPEN,
        markup=Markup,
    )


def view_sections(shown: ShownReport, *, has_files: bool) -> list[SectionView]:
    """Tables made and figures drawn."""
    return [
        SectionView(
            section.id,
            section.title,
            section.says,
            _join_tables([_view(item, section, has_files=has_files) for item in section.items]),
        )
        for section in shown.sections
    ]


def _join_tables(items: Sequence[ItemView]) -> list[list[ItemView]]:
    """Small tables that follow one another stand side by side, where there is room."""
    groups: list[list[ItemView]] = []
    for item in items:
        if groups and is_small_table(item) and is_small_table(groups[-1][-1]):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def is_small_table(item: ItemView) -> bool:
    """And nothing else."""
    if item.table is None or item.picture is not None or item.is_folded:
        return False
    return len(item.table.heads) <= SMALL_TABLE and len(item.table.lines) <= LONG


def _view(item: Shown, section: ShownSection, *, has_files: bool) -> ItemView:
    shape = next((figure for figure in section.figures if figure.key == item.key), None)
    picture = _draw(item, shape, has_files=has_files)
    table = _table(item)
    is_large = table is not None and (len(table.lines) > LONG or len(table.heads) > LONG)
    return ItemView(
        key=item.key,
        title=_title(item),
        picture=picture,
        table=table,
        words=item if isinstance(item, Words) else None,
        is_folded=item.key in section.folded,
        is_table_folded=picture is not None and (is_large or isinstance(item, Chains)),
    )


def _title(item: Shown) -> str:
    match item:
        case Grid():
            return caption_of(item)
        case Chains():
            return name_unit(item)
        case Spreads() | Words():
            return item.caption


def _table(item: Shown) -> Table | None:
    match item:
        case Grid():
            return grid_table(item)
        case Spreads():
            return spreads_table(item)
        case Chains():
            return chains_table(item)
        case Words():
            return None


def _draw(item: Shown, shape: Figure | None, *, has_files: bool) -> Picture | None:
    drawn: Drawn | None = None
    words = shows = ""
    if isinstance(item, Chains):
        drawn, words = draw_chains(item), describe_chains(item)
        shows = shape.shows if shape else ""
    elif isinstance(item, Grid) and shape is not None:
        drawn, words, shows = draw_grid(item, shape), describe_grid(item, shape), shape.shows
    if drawn is None:
        return None
    svg = to_svg(drawn, f"figure-{item.key}", words)
    return Picture(item.key, svg, to_png(drawn) if has_files else None, shows)


def _write_figures(sections: Sequence[SectionView], folder: Path) -> None:
    """Files of earlier reports go."""
    items = [item for section in sections for group in section.groups for item in group]
    pictures = [item.picture for item in items if item.picture]
    folder.mkdir(parents=True, exist_ok=True)
    kept = {f"{picture.key}.{kind}" for picture in pictures for kind in ("svg", "png")}
    for old in folder.iterdir():
        if old.name not in kept:
            old.unlink()
    for picture in pictures:
        with publish(folder / f"{picture.key}.svg") as part:
            part.write_text(to_svg_file(picture.svg), encoding="utf-8")
        with publish(folder / f"{picture.key}.png") as part:
            part.write_bytes(picture.png or b"")

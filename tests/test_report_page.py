"""The report's page: well formed, its tables and figures those of the facts, same bytes twice."""

import re
import stat
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from tiny_page import Page
from tiny_report import make_counts, make_flow, make_report

from cxrfuture_data.page.colour import DARK, LIGHT
from cxrfuture_data.page.write import SHARED_TEMPLATES
from etl.report.facts import Counts, Figure, Flow, Numbers, Report, Section, Words
from etl.report.page import write_report
from etl.report.shown_table import (
    MINUS,
    NOTHING,
    name_many,
    spell_bytes,
    spell_number,
    spell_percent,
    spell_short,
)

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(make_report(), folder, is_shareable=False)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def write(tmp_path, *sections, **more):
    report = Report("future", "all SIMULATED", True, [("pairs", 1234)], sections)
    return Page(write_report(report, tmp_path, is_shareable=False, **more).read_text())


def section(*items, figures=(), folded=()):
    return Section("one", "One", ["Says."], items, figures, folded)


# --- any page


def require_well_formed(page):
    assert page.wrong == []
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    assert len(page.all("title")) == len(page.all("main")) == len(page.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert np.diff(levels).max(initial=0) <= 1
    assert not page.all("script", "link", "iframe", "object", "img")
    for _, found in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert name not in found or (found[name][0] == "#" and found[name][1:] in ids)


def test_it_is_well_formed_and_needs_nothing_from_elsewhere(text, page):
    require_well_formed(page)
    assert "http" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_tables_and_figures_are_told_to_those_who_do_not_see_them(page):
    assert "" not in page.tables
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("figure")) == len(page.all("svg")) == 11
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert len(svg["aria-label"]) > 20


def test_it_says_whose_data_it_is_and_leads_to_its_sections(text, page):
    assert "Data: all SIMULATED" in text
    assert "These patients are invented" in text
    assert "Not for sharing" in text
    targets = [found["href"] for found in page.all("a")]
    assert targets == ["#attrition", "#patients", "#windows", "#labels", "#leakage", "#origin"]


def test_only_its_owner_reads_it_and_the_same_facts_give_the_same_bytes(folder, tmp_path):
    write_report(make_report(), tmp_path, is_shareable=False)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == 1 + 2 * 11
    assert stat.S_IMODE((folder / "report.html").stat().st_mode) == 0o600
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / file).read_bytes(), file


# --- figures as files


def test_each_figure_is_a_file_in_real_colours(folder):
    for path in (folder / "figures").glob("*.svg"):
        text = path.read_text()
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg"
        assert root[0].attrib["fill"] == "#ffffff"
        assert "var(" not in text
        assert not re.search(r"#0[0-9a]0[0-9a]0[0-9a]", text)
        picture = np.asarray(Image.open(path.with_suffix(".png")).convert("RGB")).reshape(-1, 3)
        assert (picture.min(axis=0) < 100).all()
        assert (picture == 255).all(axis=1).mean() > 0.2
        # No stand-in colour is left: all are near black, and darker than the page's ink.
        assert picture.max(axis=1).min() >= 0x10


def test_colours_of_what_is_drawn_are_those_of_the_page():
    style = (SHARED_TEMPLATES / "page.css").read_text()
    for colours, part in ((LIGHT, style.split("@media")[0]), (DARK, style.split("@media")[1])):
        found = dict(re.findall(r"(--[\w-]+): (#\w+);", part))
        assert {name: found[name] for name in colours} == colours


def test_files_of_earlier_figures_go(tmp_path):
    counts = make_counts("sex", ("female", "male"))
    write(tmp_path, section(counts, figures=[Figure("sex", "bars", "")]))
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["sex.png", "sex.svg"]
    write(tmp_path, section(counts))
    assert not list((tmp_path / "figures").iterdir())


# --- tables


def test_counts_have_commas_and_shares(page):
    assert page.row("Sex (samples)", "Sex") == [
        "Sex",
        "train of 900",
        "valid of 120",
        "test of 130",
    ]
    assert page.row("Sex (samples)", "female") == [
        "female", "444 49.3%", "57 47.5%", "70 53.8%",
    ]  # fmt: skip
    caption = "Chartevents rows: what each filter removed"
    assert page.row(caption, "event: item not used") == [
        "event: item not used", "88,629", "39,059 44.1%", "49,570",
    ]  # fmt: skip


def test_spreads_and_marked_numbers(page):
    caption = "Age and stay: median [quartiles], below it mean ± deviation"
    assert page.row(caption, "Age, years")[1:3] == [
        "64 [52.2, 75.5] 63.2 ± 16.4",
        "64 [52.2, 75.5] 64.2 ± 16.4\n1 missing",
    ]
    assert page.row(caption, "Nothing known")[1] == f"{NOTHING} 120 missing"
    caption = next(name for name in page.tables if name.startswith("Smallest margin"))
    assert page.row(caption, "chartevents") == ["chartevents", f"◆ {MINUS}0.50", "0", "test"]
    assert page.row(caption, "emar")[1] == NOTHING
    marked = [found for found in page.all("td") if found.get("class") == "apart"]
    assert len(marked) == 1


def test_numbers_are_spelled_for_people():
    assert [spell_bytes(n) for n in (0, 999, 1000, 123_456_789)] == [
        "0 B", "999 B", "1.0 kB", "123.5 MB",
    ]  # fmt: skip
    shares = (0, 0.0001, 0.123, 0.9999, 1)
    assert [spell_percent(s) for s in shares] == ["0%", "<0.1%", "12.3%", ">99.9%", "100%"]
    assert [spell_short(n) for n in (0.0, 0.01234, -64.0, 1234.5)] == [
        "0", "0.0123", "\N{MINUS SIGN}64", "1,234",
    ]  # fmt: skip
    assert [spell_number(n, 2) for n in (0.001, 0.0, 1234.5)] == ["0.001", "0.00", "1,234.50"]
    assert name_many("film of a stay") == "films of a stay"
    assert name_many("chartevents row") == "chartevents rows"


# --- figures


def texts_of(tmp_path, key):
    root = ElementTree.parse(tmp_path / "figures" / f"{key}.svg")
    return ["".join(found.itertext()) for found in root.iter(f"{SVG}text")]


def test_a_flow_tells_what_was_removed_and_gathers_what_was_not(folder):
    words = " ".join(texts_of(folder, "flow-film"))
    for told in ("719 films", "585 films", f"{MINUS}134", "18.6%", "not a frontal film", "image"):
        assert told in words
    assert "2 filters removed nothing: repeats a dicom_id; no such date or time" in words


def test_a_number_that_is_not_known_is_not_drawn(tmp_path):
    numbers = Numbers("a", "A", "Of", ("x", "y"), ("p",), [[None], [2.5]], [None, None])
    write(tmp_path, section(numbers, figures=[Figure("a", "bars", "")]))
    assert texts_of(tmp_path, "a").count("2.5") >= 1
    none = Numbers("a", "A", "Of", ("x",), ("p",), [[None]], [None])
    page = write(tmp_path, section(none, figures=[Figure("a", "bars", "")]))
    assert not page.all("svg")
    assert page.row("A", "x") == ["x", NOTHING]


FORMS = ("bars", "points", "shares", "heat", "histogram")
SHAPES = [((), ()), (("one",), ()), ((), ("one",)), (("one",), ("one",))]


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_any_shape_are_drawn(tmp_path, form):
    long = "a very long name of a row of a table, longer than any figure has room for, and more"
    shapes = [
        *SHAPES,
        ((long, f"{long} 2", "unbreakable" * 9), (long, "other")),
        (tuple(f"row {i}" for i in range(30)), tuple(f"{i}" for i in range(16))),
    ]
    items = [
        make_counts(f"t{i}", rows, columns, seed=i, caption=f"Table {i}")
        for i, (rows, columns) in enumerate(shapes)
    ]
    figures = [Figure(item.key, form, "Shows.", logarithmic=form != "shares") for item in items]
    page = write(tmp_path, section(*items, figures=figures))
    require_well_formed(page)
    assert len(page.all("svg")) == 3
    assert "Table 0" not in page.tables


def test_a_table_is_folded_where_its_section_says_so_or_its_figure_says_enough(page):
    assert len(page.all("details")) == 9


def test_a_report_of_nothing_is_a_page(tmp_path):
    require_well_formed(write(tmp_path))
    require_well_formed(write(tmp_path, section()))
    flows = [Flow("flow", "film", []), make_flow("none", "film", [("no time", 0)], before=0)]
    page = write(tmp_path, section(*flows, Words("words", "Words", [])))
    require_well_formed(page)
    assert len(page.all("svg")) == 1


def test_what_is_said_is_escaped(tmp_path):
    counts = Counts("a", "<b>&", "<i>", "samples", ["<u>"], ["<s>"], [[10]])
    page = write(tmp_path, section(counts, figures=[Figure("a", "bars", "<em>")]))
    require_well_formed(page)
    assert not page.all("b", "i", "u", "s", "em")

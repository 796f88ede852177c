"""The page of results: well formed, the numbers of outcomes.json, nothing small when shared."""

import json
import re
import stat

import numpy as np
import pytest
from tiny_outcomes import LABELS, SECRETS, make_outcomes, make_short
from tiny_page import Page

from cxrfuture_data.page.shareable import SMALLEST, Count, choose_hidden
from cxrfuture_data.schema import ContractError
from etl.guard_file import find_in_file
from etl.guard_table import Content
from train.results_film import Source
from train.results_page import render_page, write_results
from train.results_shareable import hide_small
from train.results_table import compared_table, group_table
from train.results_text import MINUS, NOTHING


@pytest.fixture(scope="module")
def texts():
    """The page, and the one to be shared."""
    return [render_page(make_outcomes(), is_shareable=shared) for shared in (False, True)]


@pytest.fixture(scope="module")
def pages(texts):
    return [Page(text) for text in texts]


# --- what any page is


def test_it_is_well_formed(pages):
    for page in pages:
        assert page.wrong == []
        ids = [found["id"] for _, found in page.elements if "id" in found]
        assert len(ids) == len(set(ids))
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("title")) == len(page.all("main")) == len(page.all("h1")) == 1


def test_headings_come_in_order(pages):
    for page in pages:
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
        steps = np.diff(levels)
        assert levels[0] == 1
        assert steps.max() == 1


def test_tables_and_figures_are_told_to_those_who_do_not_see_them(pages):
    for page in pages:
        assert "" not in page.tables
        assert len(page.all("caption")) == len(page.all("table"))
        assert all(found.get("scope") in ("col", "row", "colgroup") for found in page.all("th"))
        assert len(page.all("figcaption")) == len(page.all("figure")) > 8
        for svg in page.all("svg"):
            assert svg["role"] == "img"
            assert len(svg["aria-label"]) > 20
        assert all(found["alt"] for found in page.all("img"))


def test_it_needs_nothing_from_elsewhere(texts, pages):
    for text, page in zip(texts, pages, strict=True):
        ids = {found["id"] for _, found in page.elements if "id" in found}
        assert not page.all("script", "link", "iframe", "object")
        assert "http" not in text
        assert "@import" not in text
        assert set(re.findall(r"url\((.)", text)) <= {"#"}
        for _, found in page.elements:
            for name in ("src", "href", "xlink:href"):
                if name in found:
                    assert found[name][:1] == "#" or found[name].startswith("data:image/png;")
                    assert found[name][0] != "#" or found[name][1:] in ids


def test_it_says_whose_data_it_is(texts):
    assert "Data: all SIMULATED" in texts[0]
    assert "These patients are invented" in texts[0]
    assert "Not for sharing" in texts[0]


# --- its numbers


def test_numbers_are_those_of_the_outcomes(pages):
    page = pages[0]
    caption = next(name for name in page.tables if name.startswith("AUPRC and AUROC"))
    assert page.row(caption, "DDL-CXR")[1:] == [
        "0.400 ± 0.011 [0.350, 0.450]",
        "0.800 ± 0.011 [0.750, 0.850]",
    ] * len(LABELS)
    assert [row[0] for row in page.tables[caption][2:]] == ["DDL-CXR", "MMTM", "Age and sex"]
    few = "4 to 60 1 of 3 with fewer\nthan 10: says little"
    assert page.row("What was predicted", "Phenotypes") == ["Phenotypes", "3", "200", few]
    assert page.row("Phenotypes: AUROC of each label", "Shock") == [
        "Shock", "200", "60", "0.800 ± 0.011 [0.750, 0.850]", "0.750 ± 0.011 [0.700, 0.800]",
        "0.600 ± 0.011 [0.550, 0.650]",
    ]  # fmt: skip
    assert page.row("Average rank over labels; 1 is the best", "MMTM") == ["MMTM"] + ["2.25"] * 4
    caption = "In-hospital death: ECE and Brier score before and after calibration"
    assert page.row(caption, "MMTM")[1:3] == [
        "0.093 ± 0.011 [0.083, 0.103]",
        "0.031 ± 0.011 [0.021, 0.041]",
    ]


def test_scores_of_few_positives_are_not_marked():
    result = make_outcomes()
    (label,) = result["outcomes"]["mortality"]["labels"]
    marks = [count_marks(result)]
    for row in result["rows"].values():
        row["mortality"]["labels"][label]["positives"] = 9
    for groups in result["outcomes"]["mortality"]["groups"].values():
        for of in groups.values():
            of["positives"] = 9
    marks.append(count_marks(result))
    assert marks[0] > 0
    assert marks[1] == 0


def count_marks(result):
    """Of the tables of deaths."""
    tables = [compared_table(result, "mortality", "auroc")]
    for grouping in result["outcomes"]["mortality"]["groups"]:
        tables.append(group_table(result, "mortality", grouping, "auroc"))
    cells = [cell for table in tables for line in table.lines for cell in line.cells]
    return sum(cell.mark in ("higher", "lower", "apart") for cell in cells)


def test_differences_are_mirrored_and_marked(pages):
    caption = "In-hospital death: difference in AUROC, row less column"
    table = pages[0].tables[caption]
    assert table[0] == ["Model", "DDL-CXR", "MMTM", "Age and sex"]
    assert table[1][1:] == [
        "", f"+0.050 [{MINUS}0.020, +0.110]\np 0.215", "▲ +0.200 [+0.123, +0.287]\np 0.002",
    ]  # fmt: skip
    assert table[3][1:] == [
        f"▼ {MINUS}0.200 [{MINUS}0.287, {MINUS}0.123]\np 0.002",
        f"{MINUS}0.150 [{MINUS}0.300, +0.010]\np 0.061", "",
    ]  # fmt: skip


def test_gaps_between_groups_are_marked():
    result = make_outcomes()
    found = group_table(result, "mortality", "view", "auroc")
    assert [head.text for head in found.heads] == ["All stays", "Gap", "AP", "PA"]
    assert found.heads[2].below == "150 stays\n25 positive"
    cells = found.lines[0].cells
    assert [(cell.text[:5], cell.mark) for cell in cells] == [
        ("0.800", ""), ("0.200", "apart"), ("0.700", "lower"), ("0.900", "higher"),
    ]  # fmt: skip
    assert cells[1].below == "PA\nover AP"
    even = group_table(result, "mortality", "sex", "auroc").lines[0].cells
    assert {cell.mark for cell in even} == {""}
    # AUPRC follows the share of positives: no mark. Of many labels no one counts any positive.
    assert {
        cell.mark for cell in group_table(result, "mortality", "view", "auprc").lines[0].cells
    } == {""}
    assert group_table(result, "phenotypes", "view", "auroc").heads[2].below == "150 stays"


# --- what may be shared


def test_a_shared_page_shows_no_small_cell(pages):
    page = pages[1]
    # Race: two are small, so both are hidden; devices: one is, so the next smallest is too.
    for outcome in ("in-hospital death", "phenotypes"):
        for grouping, shown in (
            ("Race", {"White"}),
            ("Support devices on the last film", {"present"}),
            ("Sex", {"female", "male"}),
        ):
            table = page.tables[f"{grouping}: AUROC of {outcome}"]
            told = {head.split()[0] for head in table[0][3:] if re.search(r"\d\d stays", head)}
            assert told == shown
            for line in table[1:]:
                assert {
                    h.split()[0]
                    for h, c in zip(table[0][3:], line[3:], strict=True)
                    if c != NOTHING
                } == shown
    heads = page.tables["Support devices on the last film: AUROC of in-hospital death"][0][3:]
    assert heads == [
        "absent hidden stays\nhidden positive",
        "present 121 stays\n21 positive",
        "uncertain hidden stays\n<10 positive",
    ]
    # Of labels one is small, and the next smallest goes with it: the mean over labels is known.
    assert page.row("Phenotypes: AUROC of each label", "Rare")[1:3] == ["hidden", "<10"]
    assert page.row("Phenotypes: AUROC of each label", "Other liver diseases")[2:] == [
        "hidden",
        *[NOTHING] * 3,
    ]
    assert page.row("Phenotypes: AUROC of each label", "Shock")[2] == "60"


def test_no_count_on_a_shared_page_is_small(texts):
    counts = re.findall(r"(\d[\d,]*) (?:stays|positive)", texts[1])
    counts += re.findall(r"<dd>([\d,]+)</dd></div>", texts[1].partition("models")[0])
    assert min(int(count.replace(",", "")) for count in counts) >= SMALLEST


def test_a_shared_page_holds_no_id_date_path_or_film(texts, pages):
    for secret in SECRETS:
        assert secret not in texts[1]
    words = re.sub(r"<svg.*?</svg>", "", texts[1], flags=re.DOTALL)
    assert not re.search(r"\d{8}|\d{4}-\d\d-\d\d|[0-9a-f]{12}|/\w+/\w+/", words)
    assert not pages[1].all("img")
    assert not list(find_in_file("results.html", Content.of(texts[1].encode()), frozenset()))


def test_small_bins_and_labels_have_no_curve():
    shown = hide_small(make_outcomes())["rows"]["mmtm"]
    assert set(shown["phenotypes"]["curves"]) == {"Shock"}
    bins = shown["phenotypes"]["reliability"]["Shock"]
    # The last is small, and the first, of fewer positives than the third, goes with it.
    assert [one["stays"] for one in bins if one["stays"]] == [95]
    assert [one["observed"] for one in bins].count(None) == 9


def test_stays_left_out_cannot_be_counted():
    result = make_outcomes()
    result["data"]["stays"] = 203
    result["outcomes"]["mortality"]["left_out"] = 3
    # Of three of the stays nobody knows whether they died, of four whether there was shock.
    for row in result["rows"].values():
        row["mortality"]["labels"]["In-hospital death"]["stays"] = 197
        row["phenotypes"]["labels"]["Shock"]["stays"] = 199
    shown = hide_small(result)
    assert shown["data"]["stays"] == "about 200"
    labels = {name: found["labels"] for name, found in shown["rows"]["mmtm"].items()}
    assert labels["mortality"]["In-hospital death"]["stays"] == "about 200"
    assert labels["phenotypes"]["Shock"]["stays"] == "about 200"


def test_what_is_hidden_never_follows_from_the_total():
    random = np.random.default_rng(0)
    for _ in range(500):
        size = random.integers(2, 7)
        stays = random.integers(1, 80, size)
        counts = {
            str(i): Count(int(n), int(random.integers(0, n + 1))) for i, n in enumerate(stays)
        }
        hidden = choose_hidden([counts])
        assert all(name in hidden or of.least >= SMALLEST for name, of in counts.items())
        assert len(hidden) != 1
        if hidden and len(hidden) < size:
            assert Count.of_all([counts[name] for name in hidden]).least >= SMALLEST
    assert choose_hidden([{"a": Count(50, 20), "b": Count(60, 20)}]) == set()


# --- its file


def write(tmp_path, result, **more):
    (tmp_path / "outcomes.json").write_text(json.dumps(result))
    write_results(tmp_path / "outcomes.json", tmp_path / "results.html", **more)
    return tmp_path / "results.html"


def test_only_its_owner_reads_it_and_its_bytes_are_the_outcomes(tmp_path):
    result = make_short()
    result["data"]["origin"] = "real tables, real films"
    page = write(tmp_path, result)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    first = page.read_bytes()
    assert b"These patients are invented" not in first
    page.chmod(0o644)
    assert write(tmp_path, result).read_bytes() == first
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_an_outcome_of_small_labels_alone_is_hidden(tmp_path):
    result = make_short()
    for row in result["rows"].values():
        row["mortality"]["labels"]["In-hospital death"]["positives"] = 9
    path = write(tmp_path, result, is_shareable=True)
    assert stat.S_IMODE(path.stat().st_mode) & 0o044
    page = Page(path.read_text())
    caption = next(name for name in page.tables if name.startswith("AUPRC and AUROC"))
    assert page.row(caption, "MMTM")[1:] == [NOTHING] * 2
    assert "In-hospital death: difference in AUROC, row less column" not in page.tables
    assert page.row("What was predicted", "In-hospital death")[3] == "<10"


def test_what_is_no_outcomes_json_is_refused(tmp_path):
    path = tmp_path / "outcomes.json"
    with pytest.raises(ContractError, match=r"outcomes\.json: cannot be read"):
        write_results(path, tmp_path / "a.html")
    path.write_text("{}")
    with pytest.raises(ContractError, match="no data in it"):
        write_results(path, tmp_path / "a.html")
    source = Source(tmp_path, tmp_path, tmp_path)
    with pytest.raises(ContractError, match="a shareable page shows no stay"):
        write_results(path, tmp_path / "a.html", is_shareable=True, source=source)


def test_every_model_is_in_every_legend(texts):
    svgs = re.findall(r'<svg[^>]*aria-label="ROC and precision.*?</svg>', texts[0], re.DOTALL)
    assert len(svgs) == len(LABELS)
    for svg in svgs:
        assert svg.count("DDL-CXR") == svg.count("MMTM") == svg.count("Age and sex") == 1

"""The report in a real browser, from disk: seen, walked through, printed, and read out."""

from dataclasses import replace
from pathlib import Path

import pytest
from browser import LAPTOP, PROJECTOR, SCREENSHOTS, needs_browser, new_page, take_picture
from simulated_build import run_stages
from tiny_report import make_report

from etl import check, report
from etl.report.page import write_report

pytestmark = needs_browser
LARGEST_PICTURE = 300_000  # bytes
SECTIONS = 6


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """The report, and the one to be shared."""
    folder = tmp_path_factory.mktemp("report")
    facts = make_report()
    return [write_report(facts, folder, is_shareable=s).as_uri() for s in (False, True)]


def test_it_opens_from_disk(browser, addresses):
    for address in addresses:
        with new_page(browser) as watched:
            watched.page.goto(address)
            assert watched.page.locator("section").count() == SECTIONS
            watched.require_clean()


@pytest.fixture(scope="module")
def short_addresses(tmp_path_factory):
    """Without the large figures, which axe takes minutes for."""
    folder = tmp_path_factory.mktemp("short")
    facts = make_report()
    kept = [one for one in facts.sections if one.id not in ("windows", "labels")]
    facts = replace(facts, sections=kept)
    return [write_report(facts, folder, is_shareable=s).as_uri() for s in (False, True)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser, short_addresses, scheme):
    for address in short_addresses:
        with new_page(browser, LAPTOP, scheme) as watched:
            watched.page.goto(address)
            for fold in watched.page.locator("details").all():
                fold.evaluate("fold => fold.open = true")
            watched.require_clean()
            watched.require_accessible()


@pytest.mark.parametrize("size", [LAPTOP, PROJECTOR, (480, 800)])
def test_nothing_is_wider_than_the_page(browser, addresses, size):
    for address in addresses:
        with new_page(browser, size) as watched:
            watched.page.goto(address)
            over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert watched.page.evaluate(over) <= 0
            if size[0] > 1000:
                # A clipped letter of a figure would lie outside of it.
                assert watched.page.evaluate(CLIPPED) == []


CLIPPED = """() => [...document.querySelectorAll('figure > svg')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const own = text.getBoundingClientRect();
    return own.width && (own.left < box.left - 2 || own.right > box.right + 2
      || own.top < box.top - 2 || own.bottom > box.bottom + 2);
  }).map(text => text.textContent);
})"""


def test_its_navigation_stays_in_sight_and_leads_to_sections(browser, addresses):
    with new_page(browser) as watched:
        page = watched.page
        page.goto(addresses[0])
        page.locator("nav a", has_text="Leakage").click()
        assert page.url.endswith("#leakage")
        title = page.locator("#leakage h2").bounding_box()
        bar = page.locator("nav").bounding_box()
        assert bar["y"] == 0
        assert title["y"] >= bar["y"] + bar["height"]
        # By keyboard alone: the first stop is the first section.
        page.goto(addresses[0])
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.url.endswith("#attrition")
        watched.require_clean()


def test_folds_open_by_keyboard(browser, addresses):
    with new_page(browser) as watched:
        watched.page.goto(addresses[0])
        fold = watched.page.locator("details").first
        assert not fold.locator("table").is_visible()
        fold.locator("summary").focus()
        watched.page.keyboard.press("Enter")
        assert fold.locator("table").is_visible()


def test_all_of_it_is_printed(browser, addresses):
    with new_page(browser, scheme="dark") as watched:
        page = watched.page
        page.goto(addresses[0])
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert page.locator("details table").first.is_visible()
        paper = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(paper) == "rgb(255, 255, 255)"
        assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("scheme", "size", "name"), [("light", LAPTOP, "laptop"), ("dark", PROJECTOR, "projector")]
)
def test_pictures_are_taken(browser, addresses, tmp_path, scheme, size, name):
    with new_page(browser, size, scheme) as watched:
        watched.page.goto(addresses[0])
        for place in ("top", "attrition", "patients", "windows", "labels"):
            watched.page.evaluate(
                "id => (document.getElementById(id) ?? document.body)"
                ".scrollIntoView({behavior: 'instant'})",
                place,
            )
            path = tmp_path / f"report-{place}-{name}-{scheme}.png"
            assert 10_000 < take_picture(watched, path).stat().st_size < LARGEST_PICTURE


def test_what_is_hidden_is_explained(browser, addresses):
    with new_page(browser) as watched:
        watched.page.goto(addresses[1])
        assert watched.page.get_by_text("Shareable version.").is_visible()
        watched.page.get_by_text("What is hidden").click()
        assert watched.page.get_by_text("left with at least").is_visible()


def test_the_report_of_a_simulated_hospital(browser, tmp_path):
    patients, size = (24, 128) if SCREENSHOTS else (3, 128)
    params, recipe = run_stages(tmp_path, patients, size)
    check.run(params, recipe)
    report.run(params, recipe)
    report.run_shareable(params, recipe)
    folder = params.build(recipe.name, "report")
    place = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path
    for scheme, name in (("light", "report"), ("dark", "shareable")):
        with new_page(browser, scheme=scheme) as watched:
            watched.page.goto((folder / f"{name}.html").as_uri())
            assert "Simulated: of no patient" in watched.page.inner_text(".origin")
            for section in ("attrition", "leakage"):
                watched.page.evaluate(
                    "id => document.getElementById(id).scrollIntoView({behavior: 'instant'})",
                    section,
                )
                path = place / f"{name}-{section}.png"
                assert 10_000 < take_picture(watched, path).stat().st_size < LARGEST_PICTURE
            watched.require_clean()

"""The site of the docs: builds without a warning, asks nobody for anything, and can be read."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import LAPTOP, PROJECTOR, needs_browser, new_page

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("index", "quick-start", "contract", "cli")
# What a reader may click on; nothing of it is fetched by the page.
OUTER_LINKS = re.compile(
    r"https?://(github\.com/(pradyunsg/furo|MIT-LCP/.*)|pre-commit\.com.*|mlcommons\.org/.*)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-b", "html", "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_link_out_is_a_known_one(site):
    found = set()
    for path in site.rglob("*.html"):
        found |= set(re.findall(r'(?:src|href)="(https?://[^"]+)"', path.read_text()))
    assert found
    assert [url for url in found if not OUTER_LINKS.fullmatch(url)] == []


def test_a_page_named_in_the_text_is_a_link(site):
    page = (site / "train.html").read_text()
    assert 'href="evaluate.html"' in page.partition('<article role="main"')[2]


@needs_browser
@pytest.mark.parametrize(
    ("name", "scheme", "size"),
    [
        *[(name, "light", LAPTOP) for name in SHOWN],
        ("quick-start", "dark", LAPTOP),
        ("contract", "dark", PROJECTOR),
    ],
)
def test_a_page_opens_from_disk_and_asks_for_nothing_else(site, browser, name, scheme, size):
    with new_page(browser, size, scheme) as watched:
        watched.page.goto((site / f"{name}.html").as_uri())
        watched.page.wait_for_load_state("networkidle")
        assert watched.page.locator("article h1").count() == 1
        watched.require_clean()
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert watched.page.evaluate(overflow) <= 0


@needs_browser
def test_the_search_works_without_a_server(site, browser):
    with new_page(browser) as watched:
        watched.page.goto((site / "search.html").as_uri() + "?q=attrition")
        watched.page.locator("#search-results li a").first.wait_for(timeout=20_000)
        watched.require_clean()

"""The page of `cxrfuture browse`, driven in a real browser on a small simulated hospital.

Those for the docs (tests/browser.py) are of a larger hospital.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browse_server import Served, copy_with_columns, serve_page
from browser import (
    LAPTOP,
    PROJECTOR,
    SCREENSHOTS,
    Watched,
    needs_browser,
    new_page,
    take_picture,
)
from simulated_build import build_simulated

from cxrfuture_data import open_dataset
from cxrfuture_data.columns import Columns

pytestmark = needs_browser
EXPECT = 20_000  # ms; of a machine that does other things too
MANY = 100_000
MINUS = "\N{MINUS SIGN}"
MOST_BYTES = 400_000
BROKEN = "the server responded with a status of 500"
NOWHERE = "the server responded with a status of 404"
SHUT = "the server responded with a status of 403"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return build_simulated(tmp_path_factory.mktemp("hospital"), patients=3, film_size=128)


@pytest.fixture(scope="module")
def served(folder) -> Iterator[Served]:
    with serve_page(folder) as found:
        yield found


@pytest.fixture(scope="module")
def pairs(folder) -> Columns:
    return open_dataset(folder).columns("train", "pair")


@contextmanager
def opened(
    browser: Any, served: Served, fragment: str = "", **options: Any
) -> Iterator[tuple[Watched, Any]]:
    """The page at a fragment, in a browser that has the session; clean in the end."""
    with new_page(browser, **options) as watched:
        page = watched.page
        page.set_default_timeout(EXPECT)
        page.context.add_cookies([served.cookie])
        page.goto(served.address + fragment)
        yield watched, page
        watched.require_clean()


@pytest.fixture(scope="module")
def kept(browser, served) -> Iterator[tuple[Watched, Any]]:
    with opened(browser, served) as found:
        yield found


@pytest.fixture
def page(kept, served, pairs) -> Iterator[Any]:
    """One page for all tests that break nothing, at the first sample and at rest."""
    watched, page = kept
    page.goto(f"{served.address}#train/pair/{keys_of(pairs)[0]}")
    page.evaluate("document.activeElement.blur(); document.getElementById('main').scrollTo(0, 0)")
    page.keyboard.press("0")
    wait_for_sample(page, f"1 of {pairs.samples}")
    yield page
    watched.require_clean()


def wait_for_sample(page: Any, place: str) -> None:
    """As in "sample 2 of 12"; and its films are there."""
    page.wait_for_selector(f"#position:text-is('sample {place}')")
    wait_for_films(page)


def wait_for_films(page: Any) -> None:
    page.wait_for_selector("#main:not([aria-busy])")
    page.wait_for_selector("#panes:not([aria-busy]) canvas")


def key_of(page: Any) -> str:
    return str(page.inner_text("#key"))


def keys_of(columns: Columns) -> list[str]:
    return [str(key) for key in columns["key"]]


def pixels_of(page: Any, pane: str) -> dict[str, int]:
    """Of what is drawn on a pane's canvas: a hash, and how much is white."""
    found: dict[str, int] = page.evaluate(
        """async (pane) => {
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            const canvas = document.querySelector(`[data-pane="${pane}"] canvas`);
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            let [hash, white] = [0, 0];
            for (let i = 0; i < data.length; i += 4) {
                hash = (Math.imul(hash, 31) + data[i] + 256 * data[i + 2]) | 0;
                white += data[i] === 255;
            }
            return { hash, white };
        }""",
        pane,
    )
    return found


def films_of(folder: Path, position: int = 0) -> tuple[Any, Any]:
    """Previous and target, (H, W) int."""
    pair = open_dataset(folder).split("train", "pair")[position]
    return pair.previous.pixels().astype(int), pair.target.pixels().astype(int)


# --- a sample


def test_it_opens_on_the_first_sample(page, pairs):
    assert key_of(page) == keys_of(pairs)[0]
    assert page.inner_text("h1") == "future"
    assert "SIMULATED" in page.inner_text("#origin")
    assert page.inner_text("#licence").startswith("Licence: ")
    assert page.inner_text("#count") == f"{pairs.samples} pairs in train"
    assert page.locator("#list [role=option]").count() == pairs.samples
    panes = page.locator("[data-pane]").evaluate_all("all => all.map(one => one.dataset.pane)")
    assert panes == ["previous", "target"]
    assert page.locator(".findings tbody tr").count() == 14
    assert page.inner_text("#status") == f"sample 1 of {pairs.samples}"
    page.wait_for_selector("#timeline canvas")


def test_labels_have_words_and_not_colour_alone(page, folder):
    pair = open_dataset(folder).split("train", "pair")[0]
    words = {1: "present", 0: "absent", -1: "uncertain", None: "not said"}
    for role, column in (("previous", 1), ("target", 2)):
        cells = page.locator(f".findings tbody td:nth-child({column + 1}) .unseen")
        labels = getattr(pair, role).labels.values()
        assert cells.all_text_contents() == [words[label] for label in labels]
    words_of_change = {"new", "worse", "unchanged", "better", "resolved", "known"}
    changes = page.locator(".findings .change").all_text_contents()
    assert {text.split()[-1] for text in changes} <= words_of_change


def test_ids_are_shown_only_when_asked_for(page, folder, pairs):
    pair = open_dataset(folder).split("train", "pair")[0]
    secrets = [str(pair.subject_id), pair.target.dicom_id, pair.target.taken_at.isoformat(sep=" ")]
    page.evaluate("document.getElementById('provenance-box').open = true")
    assert "sha256 of the shard" in page.inner_text("body")
    assert not any(secret in page.inner_text("body") for secret in secrets)
    page.click("#show-ids")
    assert all(secret in page.inner_text("#ids") for secret in secrets)
    page.keyboard.press("j")
    wait_for_sample(page, f"2 of {pairs.samples}")
    assert page.is_hidden("#ids")


# --- from sample to sample


def test_next_and_previous_by_key_button_and_list(page, pairs):
    samples = pairs.samples
    wait_for_sample(page, f"1 of {samples}")
    assert page.is_disabled("#previous-sample")
    steps = ("j", "ArrowRight", "k", "ArrowLeft")
    for step, place in zip(steps, (2, 3, 2, 1), strict=True):
        page.keyboard.press(step)
        wait_for_sample(page, f"{place} of {samples}")
    page.click("#next-sample")
    wait_for_sample(page, f"2 of {samples}")
    page.focus("#list")
    page.keyboard.press("ArrowDown")
    wait_for_sample(page, f"3 of {samples}")
    chosen = page.locator("#list [aria-selected=true]")
    assert chosen.get_attribute("aria-posinset") == "3"
    assert page.get_attribute("#list", "aria-activedescendant") == chosen.get_attribute("id")
    page.click("#list [role=option]:last-child")
    wait_for_sample(page, f"{samples} of {samples}")
    assert page.is_disabled("#next-sample")


def test_a_filter_and_an_order(page, pairs):
    hours = pairs["gap_hours"]
    least = float(np.sort(hours)[len(hours) // 2])
    is_long = hours >= least
    page.click("#filter-box summary")
    page.select_option("#filter-column", "gap_hours")
    page.select_option("#filter-is", ">=")
    page.fill("#filter-input", repr(least))
    page.click("#filter button")
    wait_for_sample(page, f"1 of {is_long.sum()}")
    assert page.inner_text("#count") == f"{is_long.sum()} of {len(hours)} pairs in train"
    page.select_option("#sort", "gap_hours")
    page.click("#descending")
    longest = keys_of(pairs)[int(np.argmax(hours))]
    page.wait_for_selector(f"#key:text-is('{longest}')")
    assert page.inner_text("#descending") == "Descending"
    page.click("#chips button")
    wait_for_sample(page, f"1 of {len(hours)}")
    assert page.is_hidden("#chips")


def test_a_filter_that_nothing_meets_says_so(page, pairs):
    page.keyboard.press("/")
    page.keyboard.type("nokey")
    page.wait_for_selector("#headline:text-is('No sample matches these filters')")
    assert page.is_hidden("#panels")
    page.click("#chips button")
    wait_for_sample(page, f"1 of {pairs.samples}")


def test_a_link_leads_to_its_sample_and_back_leads_back(page, served, pairs):
    key = keys_of(pairs)[4]
    where = (
        "?where=%5B%7B%22column%22%3A%22age%22%2C%22is%22%3A%22%3E%3D%22%2C%22value%22%3A1%7D%5D"
    )
    page.goto(served.address + f"#train/pair/{key}{where}&sort=-key")
    wait_for_sample(page, f"{pairs.samples - 4} of {pairs.samples}")
    assert key_of(page) == key
    assert page.inner_text("#chips").startswith("age at least 1 years")
    page.keyboard.press("j")
    wait_for_sample(page, f"{pairs.samples - 3} of {pairs.samples}")
    assert key_of(page) == keys_of(pairs)[3]
    page.go_back()
    page.wait_for_selector(f"#key:text-is('{key}')")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    page.wait_for_selector("#copy:text-is('Copied')")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert key in link
    assert "token" not in link


# --- films


def test_the_window_changes_what_is_drawn(page):
    whole = pixels_of(page, "target")
    page.select_option(".tools select", "dark")
    narrow = pixels_of(page, "target")
    page.evaluate("document.activeElement.blur()")
    assert narrow["white"] > whole["white"]
    page.keyboard.press("i")
    assert pixels_of(page, "target") != narrow
    page.keyboard.press("0")
    assert pixels_of(page, "target") == whole
    canvas = page.locator("[data-pane=previous] canvas").bounding_box()
    x, y = canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 100, y - 40)
    page.mouse.up()
    width, level = page.input_value("#view-width"), page.input_value("#view-centre")
    assert 180 < float(width) < 200
    assert 95 < float(level) < 110
    assert pixels_of(page, "target") != whole  # one window for both


def test_the_window_is_as_numpy_has_it(page):
    found = page.evaluate(
        """async () => {
            const { windowTable, FULL } = await import("/static/pixels.js");
            return [windowTable(FULL), windowTable({ centre: 80, width: 60 })].map((t) => [...t]);
        }"""
    )
    levels = np.arange(256)
    narrow = np.clip((levels - 80) / 60 + 0.5, 0, 1) * 255
    assert found[0] == levels.tolist()
    assert np.abs(np.array(found[1]) - narrow).max() <= 0.5


def test_the_difference_is_that_of_the_two_films(page, folder, pairs):
    previous, target = films_of(folder)
    page.keyboard.press("d")
    page.wait_for_selector("[data-pane=difference] canvas[role]")
    found = page.evaluate(
        """async (start) => {
            const { readFilm, subtract, windowTable, FULL } = await import("/static/pixels.js");
            const read = async (role) =>
                readFilm(await (await fetch(`${start}/${role}.png`)).blob());
            const [previous, target] = [await read("previous"), await read("target")];
            return [...subtract(target.levels, previous.levels, windowTable(FULL))];
        }""",
        f"/film/train/pair/{keys_of(pairs)[0]}",
    )
    assert found == (target - previous).ravel().tolist()
    canvas = page.locator("[data-pane=difference] canvas[role]").bounding_box()
    for share in (0.25, 0.5, 0.7):
        page.mouse.move(
            canvas["x"] + share * canvas["width"], canvas["y"] + share * canvas["height"]
        )
        said = page.inner_text(".readout")
        column, row = map(int, re.findall(r"column (\d+), row (\d+)", said)[0])
        change = int(said.split("previous")[-1].replace(MINUS, "-"))
        assert change == target[row, column] - previous[row, column]
    assert "darker" in page.inner_text("[data-pane=difference] .legend")


def test_brighter_is_orange_and_darker_is_blue(page):
    colours = page.evaluate(
        """async () => {
            const { colourOfDifference } = await import("/static/pixels.js");
            return [-255, -40, 0, 40, 255].map((value) => colourOfDifference(value, 96));
        }"""
    )
    darkest, darker, same, brighter, brightest = colours
    assert same == [0, 0, 0]
    assert all(blue > red for red, _, blue in (darkest, darker))
    assert all(red > blue for red, _, blue in (brighter, brightest))
    assert sum(brightest) > sum(brighter) > 0


def test_flicker_waits_to_be_asked_where_motion_is_not_wanted(page):
    page.keyboard.press("f")
    page.wait_for_selector("[data-pane=both][data-seen=previous]")
    before = pixels_of(page, "both")
    assert page.inner_text("[data-act=play]") == "Play"
    page.keyboard.press("s")
    page.wait_for_selector("[data-pane=both][data-seen=target]")
    assert pixels_of(page, "both") != before
    page.click("[data-act=play]")
    page.wait_for_selector("[data-pane=both][data-seen=previous]")
    page.wait_for_selector("[data-pane=both][data-seen=target]")
    page.keyboard.press("f")
    page.wait_for_selector("[data-pane=previous] canvas")


def test_flicker_plays_at_once_elsewhere(browser, served, pairs):
    with new_page(browser) as watched:
        page = watched.page
        page.set_default_timeout(EXPECT)
        page.emulate_media(reduced_motion="no-preference")
        page.context.add_cookies([served.cookie])
        page.goto(served.address)
        wait_for_sample(page, f"1 of {pairs.samples}")
        page.keyboard.press("f")
        for seen in ("previous", "target", "previous"):
            page.wait_for_selector(f"[data-pane=both][data-seen={seen}]")


def test_zoom_moves_all_films_alike(page):
    whole = {pane: pixels_of(page, pane) for pane in ("previous", "target")}
    page.keyboard.press("+")
    for pane, pixels in whole.items():
        assert pixels_of(page, pane) != pixels
    page.keyboard.press("-")
    for pane, pixels in whole.items():
        assert pixels_of(page, pane) == pixels


# --- events and charts


def x_range(page: Any) -> list[float]:
    return page.evaluate(
        """() => {
            const roots = Bokeh.documents.flatMap((one) => one.roots());
            const { start, end } = roots.find((one) => one.x_range).x_range;
            return [start, end];
        }"""
    )


def test_the_timeline_zooms(page):
    page.wait_for_selector("#timeline canvas")
    page.locator("#timeline").scroll_into_view_if_needed()
    chart = page.locator("#timeline canvas").first.bounding_box()
    before = x_range(page)
    page.mouse.move(chart["x"] + chart["width"] / 2, chart["y"] + chart["height"] / 2)
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        """([start, end]) => {
            const roots = Bokeh.documents.flatMap((one) => one.roots());
            const now = roots.find((one) => one.x_range).x_range;
            return now.end - now.start < 0.95 * (end - start);
        }""",
        arg=before,
    )


def test_events_are_found_by_table_and_by_words(page, served, folder, pairs):
    dataset = open_dataset(folder)
    at = int(np.argmax(pairs["events"]))
    window = dataset.split("train", "pair")[at].window
    texts = dataset.texts(window.event_row)
    page.goto(served.address + f"#train/pair/{keys_of(pairs)[at]}")
    wait_for_sample(page, f"{at + 1} of {pairs.samples}")
    count = page.locator("#events [role=status]")
    assert count.inner_text() == f"{len(texts):,} events"
    word = texts[0].split()[-1].lower()
    page.keyboard.press("e")
    page.keyboard.type(word)
    matching = sum(word in text.lower() for text in texts)
    assert count.inner_text().startswith(f"{matching:,} ")
    page.fill("#event-text", "")
    page.locator("#events .tick input").first.uncheck()
    assert int(count.inner_text().split()[0].replace(",", "")) < len(texts)
    page.locator("#events .tick input").first.check()
    page.wait_for_selector("#timeline canvas")
    page.click("#events tbody tr:nth-child(2) button")
    assert page.locator("#events tr.marked").count() == 1
    shown = page.inner_text("#events tr.marked td:first-child").replace(MINUS, "-")
    at_hours = page.evaluate(
        """() => {
            const roots = Bokeh.documents.flatMap((one) => one.roots());
            const spans = roots.find((one) => one.x_range).center;
            return spans.filter((one) => one.type === "Span" && one.level === "overlay")
                .map((one) => one.location);
        }"""
    )
    assert [f"{hours:.2f}" for hours in at_hours] == [shown]


def test_hourly_values_are_charted_when_they_come_into_sight(page, folder, pairs):
    window = open_dataset(folder).split("train", "pair")[1].window
    page.keyboard.press("j")
    wait_for_sample(page, f"2 of {pairs.samples}")
    page.wait_for_selector("#timeline canvas")
    measured = int(np.isfinite(window.hourly).any(axis=0).sum())
    assert page.locator("#hourly canvas").count() == 0
    assert page.inner_text("#hourly-note").startswith(f"{measured} of ")
    page.evaluate("document.getElementById('hourly-box').scrollIntoView()")
    page.wait_for_selector("#hourly canvas", timeout=3 * EXPECT)
    assert "filled in" in page.inner_text("#hourly-key")


# --- what goes wrong


def test_a_broken_sample_says_so_and_the_next_one_works(browser, served, pairs, tmp_path):
    copy = tmp_path / "dataset"
    shutil.copytree(served.folder, copy)
    place = pairs.places
    tar = copy / "train" / pairs.shards[place.shard[1]]
    data = bytearray(tar.read_bytes())
    member = list(pairs.members).index("tensors.safetensors")
    data[int(pairs.stored["offset"][1][member]) + 40] ^= 0xFF
    tar.write_bytes(bytes(data))
    with serve_page(copy) as broken, new_page(browser) as watched:
        page = watched.page
        page.set_default_timeout(EXPECT)
        page.context.add_cookies([broken.cookie])
        page.goto(f"{broken.address}#train/pair/{keys_of(pairs)[1]}")
        page.wait_for_selector("#sample-failure:not([hidden])")
        assert keys_of(pairs)[1] in page.inner_text("#sample-failure")
        assert page.is_hidden("#panels")
        page.wait_for_selector(f"#position:text-is('sample 2 of {pairs.samples}')")
        page.keyboard.press("j")
        wait_for_sample(page, f"3 of {pairs.samples}")
        assert page.is_hidden("#sample-failure")
        page.goto(f"{broken.address}#train/pair/nosuchkey")
        page.wait_for_selector("#sample-failure:has-text('nosuchkey')")
        page.click("#next-sample")
        wait_for_sample(page, f"1 of {pairs.samples}")
        assert watched.foreign == []
        assert all(BROKEN in error or NOWHERE in error for error in watched.errors)


def test_an_empty_split_says_so(browser, served, tmp_path):
    def empty(columns: Columns) -> Columns:
        return columns.take(np.array([], dtype=np.int64))

    copy = copy_with_columns(served.folder, tmp_path / "dataset", "test", "pair", empty)
    with serve_page(copy) as without, opened(browser, without, "#test/pair/") as (_, page):
        page.wait_for_selector("#headline:text-is('This split is empty: test has no pair samples')")
        assert page.inner_text("#count") == "0 pairs in test"
        page.select_option("#split", "train")
        page.wait_for_selector("#panes:not([aria-busy]) canvas")


def test_a_wrong_token_opens_nothing_and_says_what_to_do(browser, served):
    with new_page(browser) as watched:
        watched.page.goto(f"{served.address}?token=wrong")
        assert "Start cxrfuture browse again" in watched.page.inner_text("body")
        assert watched.page.locator("#list").count() == 0
        assert watched.foreign == []
        assert all(SHUT in error for error in watched.errors)


def test_a_session_that_ended_says_what_to_do(browser, served, pairs):
    with new_page(browser) as watched:
        page = watched.page
        page.set_default_timeout(EXPECT)
        page.context.add_cookies([served.cookie])
        page.goto(served.address)
        wait_for_sample(page, f"1 of {pairs.samples}")
        page.context.clear_cookies()
        page.keyboard.press("j")
        page.wait_for_selector("#stopped:not([hidden])")
        assert "start cxrfuture browse again" in page.inner_text("#stopped")
        assert all(SHUT in error for error in watched.errors)


def test_a_hundred_thousand_samples(browser, served, pairs, tmp_path):
    """The rows of the list are those in sight, and any of them is reached."""

    def repeat(columns: Columns) -> Columns:
        many = columns.take(np.arange(MANY) % columns.samples)
        keys = np.array([f"{number:016x}".encode() for number in range(MANY)], dtype="S16")
        texts = keys.view(np.uint8).reshape(MANY, 16)
        return replace(many, stored={**many.stored, "text:key": texts})

    copy = copy_with_columns(served.folder, tmp_path / "dataset", "train", "pair", repeat)
    with serve_page(copy) as large, new_page(browser) as watched:
        page = watched.page
        page.set_default_timeout(EXPECT)
        page.context.add_cookies([large.cookie])
        page.goto(large.address)
        page.wait_for_selector(f"#position:text-is('sample 1 of {MANY:,}')")
        assert page.inner_text("#count") == f"{MANY:,} pairs in train"
        assert page.locator("#list [role=option]").count() < 60
        page.evaluate("document.getElementById('list').scrollTop = 1e9")
        page.wait_for_selector(f"#list [aria-posinset='{MANY}'][data-key]")
        page.click(f"#list [aria-posinset='{MANY}']")
        page.wait_for_selector(f"#position:text-is('sample {MANY:,} of {MANY:,}')")
        page.keyboard.press("/")
        page.keyboard.type(f"{4242:016x}")
        page.wait_for_selector(f"#count:text-is('1 of {MANY:,} pairs in train')")
        assert watched.foreign == []


# --- for everyone


def test_every_control_is_reached_by_tab_and_shows_it(page):
    page.focus("#skip")
    reached = {"skip"}
    for _ in range(90):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
                const host = document.activeElement;
                let one = host;
                while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
                const { outlineStyle, outlineWidth } = getComputedStyle(one);
                const { act, mode } = host.dataset;
                const name = host.id || act || mode || host.tagName;
                return [name, outlineStyle === "none" ? "0px" : outlineWidth];
            }"""
        )
        reached.add(name)
        assert name == "BODY" or outline != "0px", name
    assert {
        *("skip", "copy", "theme", "help-open", "split", "kind", "find-text", "sort", "list"),
        *("descending", "next-sample", "side", "flicker", "blend", "wipe", "difference"),
        *("invert", "view-width", "view-centre", "zoomIn", "zoomOut", "reset", "event-text"),
    } <= reached


def test_keys_can_be_turned_off_and_type_into_fields(page, pairs):
    page.focus("#event-text")
    page.keyboard.type("jjff")
    assert page.input_value("#event-text") == "jjff"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("f")
    assert page.inner_text("#position") == f"sample 1 of {pairs.samples}"
    assert page.locator("[data-pane=both]").count() == 0
    page.click("#help-open")
    page.check("#keys-on")
    page.keyboard.press("Escape")


def test_colours_are_light_dark_or_the_system_s(browser, served, pairs):
    with opened(browser, served, scheme="dark") as (_, page):
        wait_for_sample(page, f"1 of {pairs.samples}")
        seen = []
        for _ in range(3):
            seen.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            page.click("#theme")
        dark, light, dark_again = seen
        assert dark == dark_again == "rgb(20, 23, 27)"
        assert light == "rgb(255, 255, 255)"


# --- pictures


@pytest.fixture(scope="module")
def pictured(served, tmp_path_factory) -> Iterator[Served]:
    """What pictures are taken of."""
    if not SCREENSHOTS:
        yield served
        return
    hospital = build_simulated(tmp_path_factory.mktemp("pictured"), patients=8, film_size=512)
    with serve_page(hospital) as found:
        yield found


@pytest.mark.parametrize(("scheme", "size"), [("light", LAPTOP), ("dark", PROJECTOR)])
def test_axe_finds_nothing_and_a_picture_is_taken(browser, pictured, tmp_path, scheme, size):
    with opened(browser, pictured, scheme=scheme, size=size) as (watched, page):
        wait_for_films(page)
        if scheme == "dark":
            page.keyboard.press("d")
        page.wait_for_selector("#timeline canvas")
        page.wait_for_selector("#timeline[aria-busy]", state="detached")
        place = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path
        picture = take_picture(watched, place / f"browse-{scheme}.png")
        assert 20_000 < picture.stat().st_size < MOST_BYTES
        page.click("#filter-box summary")
        page.click("#provenance-box summary")
        page.click("#show-ids")
        watched.require_accessible()
        page.keyboard.press("?")
        page.wait_for_selector("#help[open]")
        watched.require_accessible()
        page.keyboard.press("Escape")
        page.wait_for_selector("#help", state="hidden")

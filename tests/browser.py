"""Headless Chromium for tests of pages: what it asks for and complains of is kept.

.ci/run installs Chromium from the system's packages; without one these tests skip.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium")
# As root it wants no sandbox; in background it would ask its maker for updates.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Where the pictures of the docs go: CXRFUTURE_SCREENSHOTS=docs/screenshots makes them anew.
SCREENSHOTS = os.environ.get("CXRFUTURE_SCREENSHOTS")
LAPTOP, PROJECTOR = (1366, 768), (1920, 1080)


@dataclass
class Watched:
    """A page of the browser. ``foreign``: requests to anything but loopback and the disk."""

    page: Any
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def require_clean(self) -> None:
        """No error on the console, no request to elsewhere."""
        assert self.errors == []
        assert self.foreign == []

    def require_accessible(self) -> None:
        """axe finds nothing: labels, roles, focus, contrast."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        assert [(one["id"], [n["html"][:200] for n in one["nodes"][:3]]) for one in found] == []


@contextmanager
def run_browser() -> Iterator[Any]:
    """A browser for a file of tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def new_page(
    browser: Any, size: tuple[int, int] = LAPTOP, scheme: str = "light"
) -> Iterator[Watched]:
    """An empty page of a fresh profile; ``scheme``: light or dark."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    watched = Watched(context.new_page())
    watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))

    def keep_console(message: Any) -> None:
        if message.type == "error":
            watched.errors.append(message.text)

    def keep_request(request: Any) -> None:
        url = urlsplit(request.url)
        if url.scheme in {"http", "https", "ws", "wss"} and url.hostname != "127.0.0.1":
            watched.foreign.append(request.url)

    watched.page.on("console", keep_console)
    watched.page.on("request", keep_request)
    yield watched
    context.close()


def take_picture(watched: Watched, path: Path) -> Path:
    """A screenshot of what is seen, for a person to look at; ``path`` ends in .png. It says that it
    is simulated, as `cxrfuture guard` asks of a picture with a film."""
    path.parent.mkdir(parents=True, exist_ok=True)
    said = PngInfo()
    said.add_text("Comment", "SIMULATED by CXRFuture")
    with Image.open(io.BytesIO(watched.page.screenshot())) as image:
        reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        reduced.save(path, pnginfo=said, optimize=True)
    return path

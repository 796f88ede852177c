"""Ranges of S3 objects as plain web requests, which s3fs signs: the bytes themselves cost a fifth
of the processor time then, and a loader reads many."""

import threading
import time
from typing import Any

from cxrfuture_data.web_files import WebFiles

SECONDS_SIGNED = 3600
SECONDS_USED = 1800  # of these, so that none ends within a request


class SignedFiles:
    """``files``: s3fs. Any thread may ask."""

    async_impl = False

    def __init__(self, files: Any, connections: int) -> None:
        self._files = files
        self._web = WebFiles(connections)
        self._urls: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def cat_file(self, path: str, start: int, end: int, seconds: float | None = None) -> bytes:
        """The bytes from start to end, as ``WebFiles`` gives them."""
        return self._web.cat_file(self._url(path), start, end, seconds)

    def _url(self, path: str) -> str:
        now = time.monotonic()
        with self._lock:
            signed_at, url = self._urls.get(path, (-float("inf"), ""))
            if now - signed_at > SECONDS_USED:
                url = self._files.url(path, expires=SECONDS_SIGNED)
                self._urls[path] = (now, url)
        return url

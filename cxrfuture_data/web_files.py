"""Files of web servers by ranges, over connections that are kept: what ``object_store`` asks of a
driver. fsspec's own takes five times the processor time a byte, and a loader reads many."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECONDS_OF_SILENCE = 30.0  # of a server, where no other limit is given
REDIRECTS = 5
CHUNK = 1024 * 1024


class WebError(OSError):
    """An answer that is no file. ``status``: HTTP's code."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class WebFiles:
    """Any thread may ask; each waits for its own answer. ``connections``: kept to a server."""

    async_impl = False

    def __init__(self, connections: int) -> None:
        import urllib3

        self._silence = urllib3.Timeout(SECONDS_OF_SILENCE)
        retries = urllib3.Retry(
            total=None, connect=0, read=0, status=0, other=0, redirect=REDIRECTS
        )
        self._pools = urllib3.PoolManager(maxsize=connections, retries=retries)

    def cat_file(
        self,
        url: str,
        start: int | None = None,
        end: int | None = None,
        seconds: float | None = None,
    ) -> bytes:
        """The bytes from start to end, fewer where the file ends before, one more from a server
        that does not know ranges. TimeoutError after ``seconds``."""
        deadline = None if seconds is None else time.monotonic() + seconds
        headers = {"Accept-Encoding": "identity"}
        most: int | None = None
        if start is not None and end is not None:
            headers["Range"] = f"bytes={start}-{end - 1}"
            most = end - start + 1
        response = self._ask("GET", url, headers, seconds)
        parts: list[bytes] = []
        left = most
        try:
            while left is None or left > 0:
                with _without_wrapping():
                    part = response.read(CHUNK if left is None else min(CHUNK, left))
                if not part:
                    break
                parts.append(part)
                left = None if left is None else left - len(part)
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeoutError
        except BaseException:
            response.close()  # the rest of the answer must not be taken for the next one's
            raise
        if left == 0:  # a whole file was sent for a part of it
            response.close()
        else:
            response.release_conn()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def info(self, url: str) -> dict[str, Any]:
        """Size and, where the server tells, what it knows of the version."""
        response = self._ask("HEAD", url, {"Accept-Encoding": "identity"}, None)
        response.release_conn()
        known = {name: value for name, value in response.headers.items() if name == "ETag"}
        size = int(response.headers.get("Content-Length") or 0)
        return {"name": url, "type": "file", "size": size, **known}

    def _ask(self, method: str, url: str, headers: dict[str, str], seconds: float | None) -> Any:
        import urllib3

        silence = self._silence if seconds is None else urllib3.Timeout(seconds)
        with _without_wrapping():
            response = self._pools.request(
                method, url, headers=headers, preload_content=False, timeout=silence
            )
        if response.status not in (200, 206):
            response.drain_conn()
            response.release_conn()
            if response.status == 404:
                raise FileNotFoundError(url)
            raise WebError(response.status)
        return response

    def invalidate_cache(self, _: str) -> None:
        """Nothing is remembered."""

    def _strip_protocol(self, url: str) -> str:
        return url


@contextmanager
def _without_wrapping() -> Iterator[None]:
    """What has happened, in place of what urllib3 makes of it when it may not try again."""
    from urllib3 import exceptions

    try:
        yield
    except exceptions.HTTPError as error:
        cause = error.reason if isinstance(error, exceptions.MaxRetryError) else error
        if isinstance(cause, exceptions.TimeoutError):
            raise TimeoutError from None
        raise cause or error from None

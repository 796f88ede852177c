"""A web server on 127.0.0.1 over a folder: ranges, kept connections, and faults when told so.

As a program it serves in a process of its own, so that a measured reader does not share its
interpreter: ``python tests/range_server.py FOLDER [SECONDS]`` prints the URL, answers after so many
seconds, and ends with its standard input.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from object_server import Fault, Server

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@contextmanager
def run_range_server(folder: Path) -> Iterator[Server]:
    """``requests`` are as "GET /train/pair-000000.tar 0-1023", without a query."""
    server = Server()
    web = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server, folder))
    web.daemon_threads = True
    Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    server.url = f"http://127.0.0.1:{web.server_address[1]}"
    try:
        yield server
    finally:
        web.shutdown()
        web.server_close()


def wait_until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Look again and again whether it is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)


def _handler(server: Server, folder: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            path = self.path.partition("?")[0]
            asked = _RANGE.fullmatch(self.headers.get("Range") or "")
            spelt = self.headers["Range"].removeprefix("bytes=") if asked else ""
            fault = server.take(f"{self.command} {path} {spelt}".rstrip())
            if fault is not None:
                time.sleep(fault.seconds)
            if fault is not None and fault.status:
                self.head(fault.status, 0)
                return
            file = folder / path.lstrip("/")
            if not file.is_file() or folder.resolve() not in file.resolve().parents:
                self.head(404, 0)
                return
            size = file.stat().st_size
            start, end = int(asked[1]) if asked else 0, size
            if asked and asked[2]:
                end = min(size, int(asked[2]) + 1)
            if asked and start >= size:
                self.head(416, 0)
                return
            self.head(206 if asked else 200, end - start, f"bytes {start}-{end - 1}/{size}")
            if self.command == "GET":
                self.send(file, start, end, fault)

        def head(self, status: int, length: int, span: str = "") -> None:
            self.send_response_only(status)
            self.send_header("Content-Length", str(length))
            self.send_header("Accept-Ranges", "bytes")
            if status == 206:
                self.send_header("Content-Range", span)
            self.end_headers()

        def send(self, file: Path, start: int, end: int, fault: Fault | None) -> None:
            self.close_connection = fault is not None and fault.is_cut
            end = (start + end) // 2 if self.close_connection else end
            with file.open("rb") as handle, suppress(ConnectionError):  # the reader gave up
                while start < end:
                    count = min(end - start, 1 << 20)
                    sent = os.sendfile(self.connection.fileno(), handle.fileno(), start, count)
                    if not sent:
                        break
                    start += sent

        do_GET = do_HEAD = answer

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    return Handler


if __name__ == "__main__":
    with run_range_server(Path(sys.argv[1])) as served:
        if len(sys.argv) > 2:
            served.fail(".", seconds=float(sys.argv[2]))
        print(served.url, flush=True)
        sys.stdin.read()

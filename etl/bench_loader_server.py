"""A folder served by the S3 protocol on 127.0.0.1, as fast as a process of Python can.

It reads only: GET with Range, HEAD and ListObjectsV2 of one bucket, whose objects are the files of
the folder. Signatures are not looked at. Run as ``python -m etl.bench_loader_server FOLDER``, it
prints its URL and serves until its standard input ends.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bench"
KEYS_AT_ONCE = 1000
RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


class Server(ThreadingHTTPServer):
    """``root``: the folder whose files are the objects."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root.resolve()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serve_folder(root: Path) -> Iterator[str]:
    """The URL of a server in a process of its own."""
    child = subprocess.Popen(
        [sys.executable, "-m", "etl.bench_loader_server", str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
    finally:
        child.communicate()  # closes its standard input


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _answer(self, *, has_body: bool) -> None:
        asked = urlsplit(self.path)
        bucket, _, key = unquote(asked.path).lstrip("/").partition("/")
        path = (self.server.root / key).resolve()
        if bucket != BUCKET:
            self._reply(404, _error("NoSuchBucket"))
        elif not key:
            query = {name: values[0] for name, values in parse_qs(asked.query).items()}
            self._reply(200, list_keys(self.server.root, query))
        elif not path.is_relative_to(self.server.root) or not path.is_file():
            self._reply(404, _error("NoSuchKey") if has_body else b"")
        else:
            self._send_file(path, has_body=has_body)

    def _send_file(self, path: Path, *, has_body: bool) -> None:
        with path.open("rb") as handle:
            facts = os.fstat(handle.fileno())
            found = read_range(self.headers.get("Range"), facts.st_size)
            if found is None:
                self._reply(416, _error("InvalidRange"))
                return
            start, stop = found
            self.send_response_only(206 if self.headers.get("Range") else 200)
            if self.headers.get("Range"):
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{facts.st_size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(stop - start))
            self.send_header("ETag", _tag(path, facts))
            self.send_header("Last-Modified", formatdate(facts.st_mtime, usegmt=True))
            self.end_headers()
            while has_body and start < stop:
                sent = os.sendfile(self.connection.fileno(), handle.fileno(), start, stop - start)
                if not sent:
                    break
                start += sent

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, stop) of a Range header, all of the file without one; None: it is beyond the end."""
    if header is None:
        return 0, size
    found = RANGE.match(header.strip())
    if found is None or found.groups() == ("", ""):
        return 0, size
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    stop = min(int(last) + 1, size) if last else size
    return (int(first), stop) if int(first) < stop else None


def list_keys(root: Path, query: dict[str, str]) -> bytes:
    """ListObjectsV2's answer to its query: prefix, delimiter, max-keys, continuation-token."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = query.get("continuation-token", query.get("start-after", ""))
    limit = min(int(query.get("max-keys", KEYS_AT_ONCE)), KEYS_AT_ONCE)
    found: dict[str, Path | None] = {}  # of a common prefix None
    for path in sorted(root.rglob("*")):
        key = path.relative_to(root).as_posix()
        if not path.is_file() or not key.startswith(prefix):
            continue
        inner, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        found.setdefault(prefix + inner + cut if cut else key, None if cut else path)
    names = [name for name in sorted(found) if name > after]
    page = names[:limit]
    parts = [_describe(name, found[name]) for name in page]
    is_cut = len(names) > len(page)
    more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if is_cut else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
        f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(is_cut).lower()}</IsTruncated>{more}"
        f"{''.join(parts)}</ListBucketResult>"
    ).encode()


def _describe(name: str, path: Path | None) -> str:
    if path is None:
        return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
    facts = path.stat()
    return (
        f"<Contents><Key>{escape(name)}</Key><Size>{facts.st_size}</Size>"
        f"<LastModified>2150-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>{escape(_tag(path, facts))}</ETag><StorageClass>STANDARD</StorageClass></Contents>"
    )


def _tag(path: Path, facts: os.stat_result) -> str:
    return f'"{sha256(f"{path}{facts.st_size}{facts.st_mtime_ns}".encode()).hexdigest()[:32]}"'


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


def _serve(root: Path) -> None:
    server = Server(root)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))

"""An S3 server on 127.0.0.1 (moto's), behind a proxy that fails when it is told to."""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import pytest

KEY, SECRET = "unlikely-key-id", "unlikely/secret+of+this+test"
BUCKET = "films-and-more"
NOT_PASSED_ON = {"connection", "expect", "host", "transfer-encoding", "content-length"}


@dataclass
class Fault:
    """What happens to the next ``times`` requests ("GET /bucket/key") that ``pattern`` matches."""

    pattern: str
    times: int
    status: int = 0  # an answer of the proxy's own, with this code
    code: str = "SlowDown"
    is_cut: bool = False  # half of the body, then the connection ends
    seconds: float = 0.0  # before the answer


@dataclass
class Server:
    """Requests that came, and the faults to come."""

    url: str = ""
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def fail(self, pattern: str, times: int = 10**9, **fault: Any) -> None:
        self.faults.append(Fault(pattern, times, **fault))

    def take(self, request: str) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return None

    def client(self) -> Any:
        """Another library than the one under test."""
        import boto3

        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def put(self, key: str, data: bytes) -> None:
        self.client().put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def names(self, prefix: str = "") -> list[str]:
        pages = self.client().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for page in found for one in page.get("Contents", ())]


@contextmanager
def run_server() -> Iterator[Server]:
    """The server, or a skip where moto or s3fs is not installed."""
    for name in ("s3fs", "moto", "flask"):
        pytest.importorskip(name, reason=f"{name} is not installed: no S3 server to test against")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # or it lists every request
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    server = Server()
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server, host, port))
    proxy.daemon_threads = True
    Thread(target=proxy.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{proxy.server_address[1]}"
    try:
        yield server
    finally:
        proxy.shutdown()
        proxy.server_close()
        moto.stop()


def use_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """An empty bucket, no faults, and the environment of a user who has both keys."""
    from cxrfuture_data import object_store

    for name, value in {
        "AWS_ENDPOINT_URL_S3": server.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    forget_connections()
    server.faults.clear()
    client = server.client()
    client.create_bucket(Bucket=BUCKET)
    for key in server.names():
        client.delete_object(Bucket=BUCKET, Key=key)
    server.requests.clear()
    assert object_store._open.cache_info().currsize == 0
    return server


def forget_connections() -> None:
    """So that the next one reads the environment."""
    import s3fs

    from cxrfuture_data import object_store

    object_store._open.cache_clear()
    object_store._open_signed.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


def _handler(server: Server, host: str, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = server.take(f"{self.command} {self.path}")
            if fault is not None:
                time.sleep(fault.seconds)
            if fault is not None and fault.status:
                text = f"<Error><Code>{fault.code}</Code><Message>{KEY} {SECRET}</Message></Error>"
                self.reply(fault.status, {"Content-Type": "application/xml"}, text.encode())
                return
            connection = HTTPConnection(host, port, timeout=30)
            passed = {k: v for k, v in self.headers.items() if k.lower() not in NOT_PASSED_ON}
            connection.request(self.command, self.path, body, passed)
            response = connection.getresponse()
            data = response.read()
            kept = {k: v for k, v in response.getheaders() if k.lower() not in NOT_PASSED_ON}
            length = response.getheader("Content-Length")
            connection.close()
            is_cut = fault is not None and fault.is_cut
            self.reply(
                response.status, kept, data, length if self.command == "HEAD" else None, is_cut
            )

        def reply(
            self,
            status: int,
            headers: dict[str, str],
            data: bytes,
            length: str | None = None,
            is_cut: bool = False,
        ) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if is_cut else data)
            self.close_connection = is_cut

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    return Handler

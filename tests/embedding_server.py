"""An embeddings server on this machine that can be told to misbehave."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

KEY_NAME = "CXRFUTURE_TEST_KEY"
KEY = "the-key-of-the-server"


def vector_of(text, dim=6):
    """A text's vector: whole numbers from its hash, exact in fp16."""
    return [float(byte) - 128 for byte in hashlib.sha256(text.encode()).digest()[:dim]]


class Server(ThreadingHTTPServer):
    """``script`` is called with each body and its number, from 0; None: answer as one should.

    It may give (status, headers, payload), or a function that gets the handler.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies = []
        self.paths = []
        self.times = []
        self.headers = []
        self.under_way = 0
        self.most_under_way = 0
        self.lock = threading.Lock()
        self.script = lambda body, number: None
        self.vector = vector_of
        self.reverse = False
        self.usage = lambda texts: sum(len(text.split()) for text in texts)

    def handle_error(self, *_):
        """A client that hangs up is part of the tests."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def payload(self, body, vectors=None):
        texts = body["input"]
        vectors = vectors or [self.vector(text) for text in texts]
        data = [
            {"object": "embedding", "index": index, "embedding": encode(vector, body)}
            for index, vector in enumerate(vectors)
        ]
        answer = {"object": "list", "data": data[::-1] if self.reverse else data, "model": "m"}
        if self.usage is not None:
            tokens = self.usage(texts)
            answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json.dumps(answer)


def encode(vector, body):
    if body.get("encoding_format") != "base64":
        return vector
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            number = len(server.bodies)
            server.bodies.append(body)
            server.paths.append(self.path)
            server.times.append(time.monotonic())
            server.headers.append(self.headers)
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
        try:
            what = server.script(body, number)
            if callable(what):
                what(self)
            else:
                self.answer(*(what or (200, {}, server.payload(body))))
        finally:
            with server.lock:
                server.under_way -= 1

    def answer(self, status, headers, payload, length=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        sent = payload.encode()
        self.send_header("Content-Length", str(len(sent) if length is None else length))
        self.end_headers()
        self.wfile.write(sent)


@contextmanager
def running_server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()

"""Messages between the loader and a worker: JSON behind its length, and file descriptors. Nothing
that crosses is ever run."""

import json
import socket
from collections.abc import Sequence
from typing import Any

LENGTH = 4  # bytes that say how long a message is
MOST_FILES = 1  # a message carries


def send(to: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message, with a duplicate of each open file."""
    text = json.dumps(message).encode()
    head = len(text).to_bytes(LENGTH, "little")
    if files:
        socket.send_fds(to, [head], list(files))
        to.sendall(text)
    else:
        to.sendall(head + text)


def receive(source: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and the files it brought; None if the other side is gone."""
    try:
        head, files, _, _ = socket.recv_fds(source, LENGTH, MOST_FILES)
        if not head:
            return None
        head += _read(source, LENGTH - len(head))
        return json.loads(_read(source, int.from_bytes(head, "little"))), files
    except (EOFError, ConnectionError):
        return None


def _read(source: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        data = source.recv(count - len(found))
        if not data:
            raise EOFError
        found += data
    return bytes(found)

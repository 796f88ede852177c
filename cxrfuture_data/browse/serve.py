"""Run the page on this machine's own address, until a signal ends it."""

import os
import secrets
import signal
import socket
import sys
import webbrowser
from types import FrameType

import uvicorn

from cxrfuture_data.browse.app import make_app
from cxrfuture_data.browse.catalogue import Catalogue
from cxrfuture_data.browse.door import Door
from cxrfuture_data.schema import ContractError

LOOPBACK = "127.0.0.1"
SECONDS_TO_END = 1  # that answers under way have


def serve(catalogue: Catalogue, fragment: str, *, port: int, opens_browser: bool) -> None:
    """Print the address, open it in a browser if asked to, and answer. Logs no request: their
    addresses name samples."""
    listener = bind(port)
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(32)
    door = Door(make_app(catalogue), port, token)
    config = uvicorn.Config(
        door,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    address = f"http://{LOOPBACK}:{port}/?token={token}{fragment}"
    print(address, "Ctrl-C ends it", sep="\n", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_quietly)  # uvicorn raises it again when it has ended
    if opens_browser and has_display():
        webbrowser.open(address)
    uvicorn.Server(config).run(sockets=[listener])


def bind(port: int) -> socket.socket:
    """0: any free port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()  # who comes before the server runs waits
    except (OSError, OverflowError) as error:
        listener.close()
        raise ContractError(f"port {port}: {error}; give another, or 0 for any") from None
    return listener


def has_display() -> bool:
    """Whether a browser could be seen: not over ssh without a display, nor in a container."""
    return sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _end_quietly(number: int, frame: FrameType | None) -> None:
    """The server has ended; so does the command, and that is no error."""

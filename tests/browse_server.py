"""The page of `cxrfuture browse`, served from a thread; and datasets changed to be hard to show."""

import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn

from cxrfuture_data import open_dataset
from cxrfuture_data.browse.app import make_app
from cxrfuture_data.browse.catalogue import Catalogue
from cxrfuture_data.browse.door import Door
from cxrfuture_data.browse.drawn import Drawn
from cxrfuture_data.browse.serve import bind
from cxrfuture_data.columns import Columns, encode_columns
from cxrfuture_data.manifest import columns_name
from cxrfuture_data.publish import file_sha256

TOKEN = "a-token-of-this-test"


@dataclass(frozen=True)
class Served:
    """``cookie``: of the one session that the token opened."""

    folder: Path
    address: str
    cookie: dict[str, Any]


class _KeepCookie(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@contextmanager
def serve_page(folder: Path) -> Iterator[Served]:
    dataset = open_dataset(folder)
    listener = bind(0)
    port = listener.getsockname()[1]
    door = Door(make_app(Catalogue(dataset, Drawn(dataset))), port, TOKEN)
    config = uvicorn.Config(door, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    address = f"http://127.0.0.1:{port}/"
    try:
        name, value = _open_session(address).split(";")[0].split("=", 1)
        yield Served(folder, address, {"name": name, "value": value, "url": address})
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def _open_session(address: str) -> str:
    """The cookie that the token gives."""
    opener = urllib.request.build_opener(_KeepCookie())
    try:
        opener.open(f"{address}?token={TOKEN}")
    except urllib.error.HTTPError as answer:
        return str(answer.headers["set-cookie"])
    raise AssertionError("the token opened no session")


def copy_with_columns(
    folder: Path, out: Path, split: str, kind: str, change: Callable[[Columns], Columns]
) -> Path:
    """A copy of a dataset whose samples of a split and kind are those of changed columns."""
    shutil.copytree(folder, out)
    columns = change(open_dataset(folder).columns(split, kind))
    if not columns.samples:
        columns = replace(columns, shards=())
    path = out / split / columns_name(kind)
    path.write_bytes(encode_columns(columns))
    manifest = json.loads((out / "dataset.json").read_text())
    entry = manifest["splits"][split][kind]
    shards = [{**entry["shards"][0], "samples": columns.samples}] if columns.samples else []
    entry |= {"samples": columns.samples, "shards": shards, "columns_sha256": file_sha256(path)}
    (out / "dataset.json").write_text(json.dumps(manifest))
    return out

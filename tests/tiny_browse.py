"""A client that has come in to the page of a dataset, and a dataset of many samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from cxrfuture_data import open_dataset
from cxrfuture_data.browse.app import make_app
from cxrfuture_data.browse.catalogue import Catalogue
from cxrfuture_data.browse.door import Door
from cxrfuture_data.browse.drawn import Drawn
from cxrfuture_data.columns import Columns, encode_columns, open_columns
from cxrfuture_data.manifest import columns_name
from cxrfuture_data.publish import file_sha256

PORT, TOKEN = 8000, "a-token"
HOST = f"http://127.0.0.1:{PORT}"


def make_client(folder: Path, **drawn: Path) -> TestClient:
    """Outside the door still."""
    dataset = open_dataset(folder)
    app = make_app(Catalogue(dataset, Drawn(dataset, **drawn)))
    return TestClient(Door(app, PORT, TOKEN), base_url=HOST, raise_server_exceptions=False)


def enter(folder: Path, **drawn: Path) -> TestClient:
    """Let in by the token."""
    client = make_client(folder, **drawn)
    client.get("/", params={"token": TOKEN}).raise_for_status()
    return client


def ask(client: TestClient, address: str, **query: Any) -> Any:
    """What a right answer says; ``where`` is given as a list."""
    if "where" in query:
        query["where"] = json.dumps(query["where"])
    answer = client.get(address, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(client: TestClient, address: str, **query: Any) -> tuple[int, str]:
    """The status and the line of an error."""
    if "where" in query:
        query["where"] = json.dumps(query["where"])
    answer = client.get(address, params=query or None)
    (line,) = answer.json().values()
    assert "\n" not in line
    return answer.status_code, line


def tile_columns(columns: Columns, samples: int, seed: int = 0) -> Columns:
    """So many samples: those of ``columns`` first, then copies of them in random order, of other
    ages and gaps, whose keys come after all others."""
    generator = np.random.default_rng(seed)
    own = columns.samples
    chosen = np.concatenate([np.arange(own), generator.integers(0, own, samples - own)])
    stored = dict(columns.take(chosen).stored)
    keys = [b"g%015d" % number for number in range(samples - own)]
    copies = np.array(keys, "S16").view(np.uint8).reshape(-1, 16)
    stored["text:key"] = np.concatenate([columns.stored["text:key"], copies])
    for name, low, high in (("age", 18, 90), ("gap_hours", 1, 48)):
        if name in stored:
            stored[name][own:] = generator.uniform(low, high, samples - own).round(1)
    return Columns(columns.shards, columns.members, stored)


def tile_dataset(folder: Path, split: str, kind: str, samples: int) -> None:
    """Have a dataset say that it holds so many samples. Only its own can be read; the keys of the
    others begin with g."""
    path = folder / split / columns_name(kind)
    encoded = encode_columns(tile_columns(open_columns(path), samples))
    path.unlink()
    path.write_bytes(encoded)
    manifest = json.loads((folder / "dataset.json").read_text())
    entry = manifest["splits"][split][kind]
    entry["columns_sha256"] = file_sha256(path)
    entry["shards"][-1]["samples"] += samples - entry["samples"]
    entry["samples"] = samples
    (folder / "dataset.json").write_text(json.dumps(manifest))

"""The cache on an object store: shards are written locally, then uploaded, rows before index.

A killed upload leaves rows that no index names; the shard is still here, and the next run uploads
it under the same name, which is its content's. So no two writers, on whatever machine, can put
different rows under one name, and nothing on the store is ever changed.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from cxrfuture_data.cache_remote import is_object_name, object_name
from cxrfuture_data.cache_rows import (
    ENTRY,
    INDEX_SUFFIX,
    REMOTE_FILE,
    ROWS_SUFFIX,
    SPACE_FILE,
    Space,
)
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.publish import put_file
from cxrfuture_data.schema import ContractError

UPLOAD_BYTES = 64_000_000  # of rows in a shard; what is lost with the machine that wrote them


def require_attestation(url: str, attestation: str, setting: str) -> None:
    """Refuse a place of others' until the user has said why rows made from MIMIC may go there."""
    if not attestation.strip():
        raise ContractError(
            f"{setting} is {url}, and {setting.partition('.')[0]}.attestation is empty; MIMIC's"
            " data use agreement forbids handing data, or anything derived from it, to third"
            " parties, and who keeps a bucket is one: say there who allowed it and under what"
            " terms, or name a folder"
        )


def point_to(store: ObjectStore, folder: Path) -> None:
    """Say in a space's folder where its rows lie."""
    put_file(folder / REMOTE_FILE, json.dumps({"url": str(store)}).encode())


def upload_shard(store: ObjectStore, folder: Path, stem: str, row_bytes: int) -> None:
    """Move a shard that nobody writes any more to the store, less what was left half."""
    rows, index = folder / f"{stem}{ROWS_SUFFIX}", folder / f"{stem}{INDEX_SUFFIX}"
    try:
        _move_shard(store, rows, index, row_bytes)
    except (FileNotFoundError, ContractError):
        if rows.exists():  # else another process has moved it meanwhile
            raise


def _move_shard(store: ObjectStore, rows: Path, index: Path, row_bytes: int) -> None:
    data = index.read_bytes() if index.exists() else b""
    size = rows.stat().st_size if rows.exists() else 0
    count = min(len(data) // ENTRY.itemsize, size // row_bytes)
    if count:
        data = data[: count * ENTRY.itemsize]
        if size > count * row_bytes:
            os.truncate(rows, count * row_bytes)
        name = object_name(data)
        if store.look(SPACE_FILE) is None:
            store.write(SPACE_FILE, index.with_name(SPACE_FILE).read_bytes())
        if store.look(f"{name}{INDEX_SUFFIX}") is None:
            store.upload(f"{name}{ROWS_SUFFIX}", rows)
            there = store.look(f"{name}{ROWS_SUFFIX}")
            if there is None or there.bytes != count * row_bytes:
                raise ContractError(
                    f"{store}/{name}{ROWS_SUFFIX}: not as long as what was sent; run it again"
                )
            store.write(f"{name}{INDEX_SUFFIX}", data)
        put_file(index.with_name(f"{name}{INDEX_SUFFIX}"), data)
    index.unlink(missing_ok=True)
    rows.unlink(missing_ok=True)


def mirror_spaces(store: ObjectStore, folder: Path) -> None:
    """Describe every space of the store below a folder, without its indexes."""
    for name, listed in store.list_all().items():
        space, _, file = name.rpartition("/")
        if file == SPACE_FILE:
            here = folder / space
            here.mkdir(parents=True, exist_ok=True)
            point_to(store.below(space), here)
            put_file(here / SPACE_FILE, store.read(name, listed.bytes))


@contextmanager
def fetched_rows(store: ObjectStore, folder: Path, stem: str) -> Iterator[Path]:
    """The file of a shard's rows, fetched for a while if it is not here; absent if nowhere."""
    rows = folder / f"{stem}{ROWS_SUFFIX}"
    if rows.exists() or not is_object_name(stem):
        yield rows
        return
    with TemporaryDirectory(dir=folder) as aside:
        path = Path(aside) / rows.name
        with suppress(FileNotFoundError):
            path.write_bytes(store.read(rows.name))
        yield path


def remove_shard(store: ObjectStore, folder: Path, stem: str) -> None:
    """Take a shard off the store, its index first."""
    store.remove([f"{stem}{INDEX_SUFFIX}", f"{stem}{ROWS_SUFFIX}"])
    (folder / f"{stem}{INDEX_SUFFIX}").unlink(missing_ok=True)


def remove_objects(store: ObjectStore, space: Space) -> None:
    """Take a space off the store: what finds its rows first, its description last."""
    below = store.below(space.name)
    order = (INDEX_SUFFIX, ROWS_SUFFIX)
    names = [name for suffix in order for name in below.list_all() if name.endswith(suffix)]
    below.remove([*names, SPACE_FILE])

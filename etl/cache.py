"""The cache of images, latents and embeddings: each made once, shared by recipes and builds.

Rows are keyed by the hash of what they were made from, in a space named after how
(cxrfuture_data/cache_rows.py). Every writer appends to a shard of its own, so any number of
processes, on machines that share the folder, may write at once; a killed one loses what it had not
added. The folder may stand for a place on an object store, to which shards go when they are closed
(cache_remote.py).
"""

import json
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from cxrfuture_data.cache_rows import (
    INDEX_SUFFIX,
    KEY_DIGITS,
    ROWS_SUFFIX,
    SPACE_FILE,
    CacheRows,
    Space,
    read_space,
)
from cxrfuture_data.object_store import ObjectStore, is_url
from cxrfuture_data.publish import digest, put_file
from cxrfuture_data.schema import ContractError
from etl import cache_remote
from etl.cache_ledger import Ledger, sqlite_url
from etl.params import Params

SPOOL = "spool"  # below the build: indexes, and what was not yet uploaded
SECONDS_BETWEEN_SYNCS = 1.0  # what a power cut may cost; a killed process loses less


@dataclass(frozen=True)
class Cache:
    """A folder of spaces and the ledger's address. Goes to workers as it is. With a ``store`` the
    rows lie there, with the user's word that they may."""

    folder: Path
    ledger: Ledger
    store: ObjectStore | None = None
    attestation: str = ""

    def __str__(self) -> str:
        return str(self.store or self.folder)

    def space_folder(self, space: Space) -> Path:
        """The folder of a space, made and described if it is not there."""
        folder = self.folder / space.name
        if not (folder / SPACE_FILE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            if self.store is not None:
                cache_remote.point_to(self.store.below(space.name), folder)
            described = json.dumps(asdict(space), indent=1, sort_keys=True) + "\n"
            put_file(folder / SPACE_FILE, described.encode())
        return folder

    def rows(self, space: Space) -> CacheRows:
        """What the space holds now."""
        folder = self.space_folder(space)
        self.upload_left(space)
        return CacheRows(folder)

    def upload_left(self, space: Space) -> None:
        """Upload the shards of writers that were killed, or whose upload failed."""
        if self.store is None:
            return
        stems = sorted(path.stem for path in self.space_folder(space).glob(f"*{ROWS_SUFFIX}"))
        writers = self.ledger.open_shards() if stems else {}  # after the look: none is newer
        for stem in stems:
            writer = writers.get(int(stem))
            if writer is None or not is_alive(writer):
                self.upload(space, stem)

    def upload(self, space: Space, stem: str) -> None:
        """Move a closed shard to the store, where there is one."""
        if self.store is not None:
            folder, store = self.space_folder(space), self.store.below(space.name)
            cache_remote.upload_shard(store, folder, stem, space.row_bytes)

    def spaces(self) -> list[Space]:
        """Every space there is now, by name."""
        if self.store is not None:
            cache_remote.mirror_spaces(self.store, self.folder)
        return [read_space(path.parent) for path in sorted(self.folder.glob(f"*/*/{SPACE_FILE}"))]

    def write(self, space: Space) -> "ShardWriter":
        """A shard of the space to append to; claimed with the first row."""
        return ShardWriter(self, space)


def open_cache(params: Params) -> Cache:
    """The cache that the params name, made if it is not there."""
    given, store, attestation = params.cache.folder, None, ""
    folder = Path(given) if given else params.build("cache")
    if is_url(given):
        store, attestation = ObjectStore(given.rstrip("/")), params.cache.attestation.strip()
        cache_remote.require_attestation(str(store), attestation, "cache.folder")
        folder = params.build(SPOOL, digest(str(store))[:8])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = folder.resolve()
    ledger = Ledger(params.cache.ledger or sqlite_url(folder))
    return Cache(folder, ledger, store, attestation)


def stage_rows(cache: Cache, space: Space, stage: Path) -> dict[str, Any]:
    """What a stage's record says of its rows: the space, and its folder seen from the stage's."""
    folder = os.path.relpath(cache.space_folder(space), stage.resolve())
    facts = {"space": space.digest, "rows": folder}
    if cache.store is not None:
        facts["cache_attestation"] = f"{cache.store}: {cache.attestation}"
    return facts


class ShardWriter:
    """Appends rows and their index entries. Nothing is claimed or made without a row."""

    def __init__(self, cache: Cache, space: Space) -> None:
        self._cache = cache
        self._space = space
        self._shard: OpenShard | None = None
        self._synced_at = 0.0
        self._held = 0  # rows of the open shard

    def add(self, hashes: Sequence[str], rows: NDArray[Any]) -> None:
        """Append (N, *shape) rows made from what has these sha256 sums; readers see them now."""
        if rows.shape != (len(hashes), *self._space.shape) or rows.dtype != self._space.dtype:
            raise ContractError(
                f"cache: rows of {rows.dtype} {rows.shape[1:]} for {len(hashes)} keys; the space"
                f" {self._space.name} takes {self._space.dtype} {self._space.shape}"
            )
        if not len(hashes):
            return
        if self._shard is None:
            self._shard = claim_shard(self._cache, self._space)
        data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
        _write_all(self._shard.rows, data)
        is_due = time.monotonic() - self._synced_at >= SECONDS_BETWEEN_SYNCS
        if is_due:
            os.fsync(self._shard.rows.fileno())  # rows before the entries that promise them
        _write_all(self._shard.index, memoryview(make_entries(hashes, data)))
        self._held += len(hashes)
        if is_due:
            os.fsync(self._shard.index.fileno())
            self._synced_at = time.monotonic()
        is_remote = self._cache.store is not None
        if is_remote and self._held * self._space.row_bytes >= cache_remote.UPLOAD_BYTES:
            self._close(is_uploaded=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._close(is_uploaded=kind is None)  # after an error the next run uploads

    def _close(self, is_uploaded: bool) -> None:
        if self._shard is None:
            return
        shard, self._shard = self._shard, None
        for file in (shard.rows, shard.index):
            with file:
                os.fsync(file.fileno())
        self._held = 0
        try:
            if is_uploaded:
                self._cache.upload(self._space, f"{shard.number:08d}")
        finally:  # until then no other process uploads it
            self._cache.ledger.close_shard(shard.number)


@dataclass(frozen=True)
class OpenShard:
    """The two files of a shard, unbuffered: what is written survives the process."""

    number: int
    rows: FileIO
    index: FileIO


def claim_shard(cache: Cache, space: Space) -> OpenShard:
    """New files under a number of their own; those of a lost ledger are passed over."""
    folder = cache.space_folder(space)
    while True:
        number = cache.ledger.claim_shard(space, _writer())
        try:
            rows = FileIO(folder / f"{number:08d}{ROWS_SUFFIX}", "x")
        except FileExistsError:
            cache.ledger.close_shard(number)
            continue
        return OpenShard(number, rows, FileIO(folder / f"{number:08d}{INDEX_SUFFIX}", "x"))


def make_entries(hashes: Sequence[str], data: memoryview) -> bytes:
    """The index entries (ENTRY) of rows that lie one after the other in ``data``."""
    size = len(data) // len(hashes)
    return b"".join(
        bytes.fromhex(sha256[:KEY_DIGITS])
        + xxh3_64_intdigest(data[number * size : (number + 1) * size]).to_bytes(8, "little")
        for number, sha256 in enumerate(hashes)
    )


def is_alive(writer: str) -> bool:
    """Whether a writer, ``host:process``, may still write. Of other hosts nothing is known."""
    host, _, process = writer.rpartition(":")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _writer() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _write_all(file: FileIO, data: memoryview) -> None:
    while len(data):
        data = data[file.write(data) :]

"""Rows of the cache, read by the hash of what each was made from. Needs numpy only, but for rows
on an object store (cache_remote.py).

A space holds rows of one shape that were made in one way: images by one preprocessing, latents by
one autoencoder, embeddings by one model. Its folder holds ``space.json`` and any number of shards,
each with rows one after the other (``NAME.rows``) and, in the same order, what finds and proves
them (``NAME.index``). Writers only append, rows first, so a row that is in an index is whole; what
a killed writer left behind the last index entry is never read. etl/cache.py writes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from cxrfuture_data.publish import digest
from cxrfuture_data.schema import ContractError

SPACE_FILE = "space.json"
REMOTE_FILE = "remote.json"  # beside it where the rows lie on an object store
ROWS_SUFFIX = ".rows"
INDEX_SUFFIX = ".index"
STAGE_RECORD = "done.json"
# A key is the first half of a sha256: no two of 700 million texts share one (odds 1 to 10^21).
KEY_DIGITS = 32
MAPS_KEPT = 64  # shards mapped at once: each takes a file descriptor
# A checksum is XXH3 of the row: as good as any against damage, and as fast as memory.
ENTRY = np.dtype([("high", ">u8"), ("low", ">u8"), ("checksum", "<u8")])
MEND = "run `cxrfuture cache verify --repair`, then the stage again"


@dataclass(frozen=True)
class Space:
    """Where rows of one kind go: ``kind`` is image, latent or embedding, ``facts`` all that decides
    a row besides what it is made from, ``shape`` and ``dtype`` those of a row."""

    kind: str
    facts: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: str

    @property
    def digest(self) -> str:
        """Of all of it."""
        return digest(self.kind, dict(self.facts), list(self.shape), self.dtype)

    @property
    def name(self) -> str:
        """The folder of the space below the cache's."""
        return f"{self.kind}/{self.digest[:16]}"

    @property
    def row_bytes(self) -> int:
        """Of one row."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def read_space(folder: Path) -> Space:
    """The space of a folder of the cache."""
    path = folder / SPACE_FILE
    try:
        value = json.loads(path.read_text())
        return Space(value["kind"], value["facts"], tuple(value["shape"]), value["dtype"])
    except FileNotFoundError:
        raise ContractError(
            f"{path}: no such file; the cache was moved or removed, run the stage again"
        ) from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ContractError(f"{path}: does not describe rows of the cache; {MEND}") from None


def parse_keys(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """Hexadecimal sha256 sums -> (N, 2): the high and low 64 bits of their keys."""
    data = bytes.fromhex("".join(sha256[:KEY_DIGITS] for sha256 in hashes))
    return np.frombuffer(data, ">u8").reshape(-1, 2).astype(np.uint64)


def read_index(path: Path) -> NDArray[Any]:
    """The whole entries of an index file; one that a killed writer left half is not there."""
    data = path.read_bytes()
    return np.frombuffer(data, ENTRY, count=len(data) // ENTRY.itemsize)


class Shards(Protocol):
    """Where the rows of a space lie."""

    def indexes(self) -> list[tuple[str, NDArray[Any]]]:
        """Name and entries of each shard that is there now, in the order of their names."""

    def read(self, wanted: Sequence[tuple[str, NDArray[np.int64]]]) -> Iterator[NDArray[np.uint8]]:
        """(N, row_bytes) for each name and the numbers of its rows, in their order."""


class LocalShards:
    """Shards in a folder."""

    def __init__(self, folder: Path, row_bytes: int) -> None:
        self.folder = folder
        self._row_bytes = row_bytes
        self._map = lru_cache(MAPS_KEPT)(self._open)

    def indexes(self) -> list[tuple[str, NDArray[Any]]]:
        paths = sorted(self.folder.glob(f"*{INDEX_SUFFIX}"))
        return [(path.stem, read_index(path)) for path in paths]

    def read(self, wanted: Sequence[tuple[str, NDArray[np.int64]]]) -> Iterator[NDArray[np.uint8]]:
        for name, rows in wanted:
            data = self._map(name)
            if int(rows.max()) >= len(data):
                path = self.folder / f"{name}{ROWS_SUFFIX}"
                raise ContractError(f"{path}: ends before row {rows.max()}; {MEND}")
            yield data[rows]

    def _open(self, name: str) -> NDArray[np.uint8]:
        return map_rows(self.folder / f"{name}{ROWS_SUFFIX}", self._row_bytes)


def open_shards(folder: Path, row_bytes: int) -> Shards:
    """The shards of a space's folder, or of the object store that it stands for."""
    if not (folder / REMOTE_FILE).exists():
        return LocalShards(folder, row_bytes)
    from cxrfuture_data.cache_remote import open_remote_shards

    return open_remote_shards(folder, row_bytes)


class CacheRows:
    """The rows that a space held when it was opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.space = read_space(folder)
        self._shards = open_shards(folder, self.space.row_bytes)
        found = self._shards.indexes()
        self._names = [name for name, _ in found]
        indexes = [index for _, index in found]
        entries = np.concatenate([np.zeros(0, ENTRY), *indexes])
        lengths = [len(index) for index in indexes]
        shard = np.repeat(np.arange(len(indexes), dtype=np.int32), lengths)
        row = np.concatenate([np.zeros(0, np.int64), *map(np.arange, lengths)])
        high, low = entries["high"].astype(np.uint64), entries["low"].astype(np.uint64)
        # Stable: of rows that two writers made alike, the first shard's comes first.
        order = np.lexsort((low, high))
        self._high, self._low = high[order], low[order]
        self._shard, self._row = shard[order], row[order]
        self._checksum = entries["checksum"][order]

    def __len__(self) -> int:
        return len(self._high)

    def find(self, hashes: Sequence[str]) -> NDArray[np.int64]:
        """Positions of the rows made from what has these sha256 sums; -1 where there is none."""
        keys = parse_keys(hashes)
        high, low = keys[:, 0], keys[:, 1]
        at = np.searchsorted(self._high, high)
        found = np.full(len(keys), -1, np.int64)
        left = np.flatnonzero(at < len(self))
        while len(left):  # once, but where keys share their high half
            left = left[self._high[at[left]] == high[left]]
            is_same = self._low[at[left]] == low[left]
            found[left[is_same]] = at[left[is_same]]
            left = left[~is_same]
            at[left] += 1
            left = left[at[left] < len(self)]
        return found

    def missing(self, hashes: Sequence[str]) -> list[str]:
        """Those of these sha256 sums that have no row, in their order."""
        found = self.find(hashes).tolist()
        return [sha256 for sha256, at in zip(hashes, found, strict=True) if at < 0]

    def read(self, hashes: Sequence[str]) -> NDArray[Any]:
        """(N, *shape): the rows made from what has these sha256 sums, in this order."""
        found = self.find(hashes)
        if len(found) and found.min() < 0:
            missing = hashes[int(np.argmin(found))]
            raise ContractError(
                f"{self.folder}: no row for {missing[:12]}, {(found < 0).sum():,} of {len(found):,}"
                " are missing; the cache has lost rows since the stage ran, run the stage again"
            )
        out = np.empty((len(found), self.space.row_bytes), np.uint8)
        shards = np.unique(self._shard[found]).tolist()
        places = [np.flatnonzero(self._shard[found] == shard) for shard in shards]
        names = [self._names[shard] for shard in shards]
        numbers = [self._row[found[place]] for place in places]
        data = self._shards.read(list(zip(names, numbers, strict=True)))
        for place, rows in zip(places, data, strict=True):
            out[place] = rows
        for number, checksum in enumerate(self._checksum[found].tolist()):
            if xxh3_64_intdigest(out[number]) != checksum:
                raise ContractError(
                    f"{self.folder}: the row for {hashes[number][:12]} is damaged; {MEND}"
                )
        return out.reshape(-1).view(self.space.dtype).reshape(len(found), *self.space.shape)


def map_rows(path: Path, row_bytes: int) -> NDArray[np.uint8]:
    """(rows, row_bytes), on disk until it is looked at; without what is left of half a row."""
    size = path.stat().st_size if path.exists() else 0
    shape = (size // row_bytes, row_bytes)
    return np.memmap(path, np.uint8, "r", shape=shape) if shape[0] else np.zeros(shape, np.uint8)


def open_stage_rows(stage: Path, name: str | None = None) -> CacheRows:
    """The rows that a stage's ``done.json`` points to, or those that it calls ``name``."""
    record = stage / STAGE_RECORD
    if not record.exists():
        raise ContractError(f"{record}: no such file; run `cxrfuture {stage.name}` first")
    facts = json.loads(record.read_text())
    rows = (facts if name is None else facts.get(name, {})).get("rows")
    if not isinstance(rows, str):
        raise ContractError(f"{record}: says no rows; run `cxrfuture {stage.name}` again")
    return CacheRows(stage / rows)

"""Shards of the cache that lie on an object store, seen through a local folder.

The folder holds the index of every shard, fetched once: an object is named after its content
(``<first half of the sha256 of the index>.index`` and ``.rows``) and never changes. It also holds
the shards that were not yet uploaded, under their numbers. Rows are read by ranges of bytes, near
ones in one request. etl/cache_remote.py uploads, rows first, so an index that is there is of whole
rows.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrfuture_data.cache_rows import (
    INDEX_SUFFIX,
    MEND,
    REMOTE_FILE,
    ROWS_SUFFIX,
    map_rows,
    read_index,
)
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.publish import put_file
from cxrfuture_data.schema import ContractError

NAME_DIGITS = 32
GAP_BYTES = 256 * 1024  # read along rather than asked for apart: a request costs as much
RANGE_BYTES = 8 * 1024 * 1024  # larger ones are cut, to be fetched side by side
_OBJECT = re.compile(f"[0-9a-f]{{{NAME_DIGITS}}}")


def open_remote_shards(folder: Path, row_bytes: int) -> "RemoteShards":
    """The shards that a folder stands for."""
    url = json.loads((folder / REMOTE_FILE).read_text())["url"]
    return RemoteShards(folder, ObjectStore(url), row_bytes)


class RemoteShards:
    """Shards below a URL and, not yet uploaded, in a folder."""

    def __init__(self, folder: Path, store: ObjectStore, row_bytes: int) -> None:
        self.folder = folder
        self.store = store
        self._row_bytes = row_bytes
        self._objects: dict[str, str] = {}

    def indexes(self) -> list[tuple[str, NDArray[Any]]]:
        """As Shards; those that are new on the store are fetched first."""
        fetch_indexes(self.store, self.folder)
        found = []
        for path in sorted(self.folder.glob(f"*{INDEX_SUFFIX}")):
            try:
                entries = read_index(path)
            except FileNotFoundError:  # uploaded meanwhile, and there under its new name
                return self.indexes()
            is_object = is_object_name(path.stem)
            self._objects[path.stem] = path.stem if is_object else object_name(entries.tobytes())
            found.append((path.stem, entries))
        return found

    def read(self, wanted: Sequence[tuple[str, NDArray[np.int64]]]) -> Iterator[NDArray[np.uint8]]:
        """As Shards; the ranges of all shards are fetched together."""
        row_bytes = self._row_bytes
        local: dict[int, NDArray[np.uint8]] = {}
        ranges: list[tuple[int, int, int]] = []  # number in wanted, first row, row after the last
        for number, (name, rows) in enumerate(wanted):
            data = map_rows(self.folder / f"{name}{ROWS_SUFFIX}", row_bytes)
            if int(rows.max()) < len(data):
                local[number] = data[rows]
            else:
                ranges += [(number, *one) for one in join_rows(rows, row_bytes)]
        parts = self._fetch(wanted, ranges)
        for number, (_, rows) in enumerate(wanted):
            yield local[number] if number in local else _pick(rows, parts[number], row_bytes)

    def _fetch(
        self,
        wanted: Sequence[tuple[str, NDArray[np.int64]]],
        ranges: Sequence[tuple[int, int, int]],
    ) -> dict[int, list[tuple[int, bytes]]]:
        """By number in wanted: first row and bytes of each range."""
        row_bytes = self._row_bytes
        names = {
            number: f"{self._objects[wanted[number][0]]}{ROWS_SUFFIX}" for number, *_ in ranges
        }
        asked = [(names[n], first * row_bytes, end * row_bytes) for n, first, end in ranges]
        try:
            fetched = self.store.read_ranges(asked)
        except FileNotFoundError as error:
            raise ContractError(f"{error}: no such object; {MEND}") from None
        parts: dict[int, list[tuple[int, bytes]]] = {}
        for (number, first, end), part in zip(ranges, fetched, strict=True):
            if len(part) != (end - first) * row_bytes:
                raise ContractError(
                    f"{self.store}/{names[number]}: ends before row {end - 1}; {MEND}"
                )
            parts.setdefault(number, []).append((first, part))
        return parts


def join_rows(rows: NDArray[np.int64], row_bytes: int) -> list[tuple[int, int]]:
    """Ranges, first and after the last, that hold all of some rows, in order and apart."""
    gap, longest = GAP_BYTES // row_bytes, max(1, RANGE_BYTES // row_bytes)
    ranges: list[tuple[int, int]] = []
    for row in np.unique(rows).tolist():
        if ranges and row - ranges[-1][1] <= gap and row - ranges[-1][0] < longest:
            ranges[-1] = (ranges[-1][0], row + 1)
        else:
            ranges.append((row, row + 1))
    return ranges


def _pick(
    rows: NDArray[np.int64], parts: Sequence[tuple[int, bytes]], row_bytes: int
) -> NDArray[np.uint8]:
    out = np.empty((len(rows), row_bytes), np.uint8)
    firsts = np.array([first for first, _ in parts])
    part_of = np.searchsorted(firsts, rows, side="right") - 1
    for number, (first, data) in enumerate(parts):
        places = np.flatnonzero(part_of == number)
        block = np.frombuffer(data, np.uint8).reshape(-1, row_bytes)
        out[places] = block[rows[places] - first]
    return out


def fetch_indexes(store: ObjectStore, folder: Path) -> None:
    """Fetch the indexes that are new on the store, and forget those that were removed there."""
    listed = store.list_all().items()
    there = {name: one.bytes for name, one in listed if name.endswith(INDEX_SUFFIX)}
    here = {path.name for path in folder.glob(f"*{INDEX_SUFFIX}")}
    for name in here - there.keys():
        if is_object_name(name.removesuffix(INDEX_SUFFIX)):
            (folder / name).unlink(missing_ok=True)
    try:
        for name, data in store.read_all(
            {name: there[name] for name in sorted(there.keys() - here)}
        ):
            if object_name(data) != name.removesuffix(INDEX_SUFFIX):
                raise ContractError(f"{store}/{name}: damaged; {MEND}")
            put_file(folder / name, data)
    except FileNotFoundError:  # removed since it was listed
        fetch_indexes(store, folder)


def object_name(entries: bytes) -> str:
    """What a shard is called on the store: after its index, which holds every row's checksum."""
    return hashlib.sha256(entries).hexdigest()[:NAME_DIGITS]


def is_object_name(stem: str) -> bool:
    """Whether a shard has the name of an uploaded one."""
    return _OBJECT.fullmatch(stem) is not None

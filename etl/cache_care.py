"""Care of the cache: what it holds, whether it is whole, and what nobody needs any more."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from cxrfuture_data.cache_remote import fetch_indexes, is_object_name
from cxrfuture_data.cache_rows import (
    ENTRY,
    INDEX_SUFFIX,
    ROWS_SUFFIX,
    SPACE_FILE,
    STAGE_RECORD,
    Space,
    map_rows,
    read_index,
)
from cxrfuture_data.publish import publish
from etl import cache_remote
from etl.cache import Cache, is_alive

CACHED_STAGES = ("image", "latent", "embed")
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class SpaceSize:
    """What a space holds. ``waste`` are bytes that no index entry names, ``repeated`` rows that
    two writers made alike; ``used_at`` is in seconds since 1970, None without a ledger's word."""

    space: Space
    shards: int
    rows: int
    repeated: int
    bytes: int
    waste: int
    used_at: float | None


@dataclass(frozen=True)
class Damage:
    """A shard some of whose entries have no whole row: the numbers of those rows."""

    space: Space
    index: Path
    rows: tuple[int, ...]


def measure_spaces(cache: Cache) -> list[SpaceSize]:
    """The size of every space."""
    used_at = cache.ledger.spaces()
    sizes = []
    for space in cache.spaces():
        if cache.store is not None:
            fetch_indexes(cache.store.below(space.name), cache.space_folder(space))
        indexes = indexes_of(cache, space)
        entries = [read_index(path) for path in indexes]
        rows = sum(map(len, entries))
        keys = np.concatenate([np.zeros(0, ENTRY), *entries])[["high", "low"]]
        files = file_sizes(cache, space)
        held = rows * (space.row_bytes + ENTRY.itemsize)
        described = files[SPACE_FILE]
        size = SpaceSize(
            space=space,
            shards=len(indexes),
            rows=rows,
            repeated=rows - len(np.unique(keys)),
            bytes=sum(files.values()),
            waste=max(0, sum(files.values()) - held - described),
            used_at=used_at.get(space.name),
        )
        sizes.append(size)
    return sizes


def file_sizes(cache: Cache, space: Space) -> dict[str, int]:
    """Bytes of each file of a space; on an object store of the objects, and of what waits here."""
    paths = {path.name: path for path in cache.space_folder(space).iterdir()}
    if cache.store is None:
        return {name: path.stat().st_size for name, path in paths.items()}
    waiting = {path.stem for name, path in paths.items() if name.endswith(ROWS_SUFFIX)}
    here = {name: path.stat().st_size for name, path in paths.items() if path.stem in waiting}
    stored = cache.store.below(space.name).list_all()
    return {name: one.bytes for name, one in stored.items()} | here


def find_damage(cache: Cache, space: Space, advance: Callable[[int], None]) -> Iterator[Damage]:
    """The shards of a space with rows that are not what was written, from their checksums."""
    for index in indexes_of(cache, space):
        with rows_of(cache, space, index) as rows:
            bad = _damaged(read_index(index), map_rows(rows, space.row_bytes), advance)
        if bad:
            yield Damage(space, index, tuple(sorted(bad)))


@contextmanager
def rows_of(cache: Cache, space: Space, index: Path) -> Iterator[Path]:
    """The file of the rows that an index is of."""
    if cache.store is None:
        yield index.with_suffix(ROWS_SUFFIX)
        return
    store = cache.store.below(space.name)
    with cache_remote.fetched_rows(store, index.parent, index.stem) as path:
        yield path


def _damaged(
    entries: NDArray[Any], data: NDArray[np.uint8], advance: Callable[[int], None]
) -> list[int]:
    bad = list(range(len(data), len(entries)))
    for start in range(0, min(len(data), len(entries)), ROWS_AT_ONCE):
        part = np.asarray(data[start : start + ROWS_AT_ONCE])
        sums = entries["checksum"][start : start + len(part)].tolist()
        bad += [
            start + number
            for number, (row, checksum) in enumerate(zip(part, sums, strict=False))
            if xxh3_64_intdigest(row) != checksum
        ]
        advance(len(sums))
    return bad


def repair(cache: Cache, damage: Damage) -> None:
    """Replace a shard by its whole rows: whoever needs the others makes them again. A shard on an
    object store is taken off it, with all its rows."""
    if cache.store is not None and is_object_name(damage.index.stem):
        store = cache.store.below(damage.space.name)
        cache_remote.remove_shard(store, damage.index.parent, damage.index.stem)
        return
    entries = read_index(damage.index)
    path = damage.index.with_suffix(ROWS_SUFFIX)
    rows = map_rows(path, damage.space.row_bytes)
    keep = np.delete(np.arange(len(entries)), list(damage.rows))
    kept = path.with_suffix(".kept")
    with publish(kept) as part, part.open("wb") as handle:
        for start in range(0, len(keep), ROWS_AT_ONCE):
            handle.write(rows[keep[start : start + ROWS_AT_ONCE]].tobytes())
    damage.index.unlink()  # a kill here loses rows, never their order
    kept.replace(path)
    with publish(damage.index) as part:
        part.write_bytes(entries[keep].tobytes())


def unused_spaces(cache: Cache, builds: Sequence[Path]) -> list[SpaceSize]:
    """Those that no stage's record in the builds points to."""
    used = {space for build in builds for space in used_spaces(build)}
    return [size for size in measure_spaces(cache) if size.space.digest not in used]


def used_spaces(build: Path) -> set[str | None]:
    """Digests of the spaces that the stages of a build's recipes stand on."""
    found: set[str | None] = set()
    for stage in CACHED_STAGES:
        for record in build.glob(f"*/{stage}/{STAGE_RECORD}"):
            try:
                facts = json.loads(record.read_text())
            except json.JSONDecodeError:
                continue
            found |= {facts.get("space"), facts.get("kept", {}).get("space")}
    return found


def remove_space(cache: Cache, space: Space) -> None:
    """Remove a space, its description last."""
    folder = cache.space_folder(space)
    cache.ledger.remove_space(space.name)
    if cache.store is not None:
        cache_remote.remove_objects(cache.store, space)
    for path in folder.iterdir():
        if path.name != SPACE_FILE:
            path.unlink()
    shutil.rmtree(folder)


def cut_waste(cache: Cache, space: Space) -> int:
    """Cut off what killed writers left behind the rows of their shards; the bytes won. Shards of
    living writers, and of other machines, are left alone."""
    busy = {number for number, writer in cache.ledger.open_shards().items() if is_alive(writer)}
    won = 0
    for rows in sorted(cache.space_folder(space).glob(f"*{ROWS_SUFFIX}")):
        if int(rows.stem) in busy:
            continue
        index = rows.with_suffix(INDEX_SUFFIX)
        entries = len(read_index(index)) if index.exists() else 0
        for path, size in ((rows, space.row_bytes), (index, ENTRY.itemsize)):
            if not path.exists():
                continue
            waste = path.stat().st_size - entries * size
            if entries == 0:
                path.unlink()
            elif waste > 0:
                os.truncate(path, entries * size)
            won += max(0, waste)
    return won


def indexes_of(cache: Cache, space: Space) -> list[Path]:
    """The index files of a space, in the order in which rows are found."""
    return sorted(cache.space_folder(space).glob(f"*{INDEX_SUFFIX}"))


def days_since(used_at: float | None) -> float | None:
    """Of a moment in seconds since 1970."""
    return None if used_at is None else (time.time() - used_at) / 86400

"""Care of the cache: what it holds, whether it is whole, and what nobody needs any more."""

import json
import os
import shutil
import socket
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxrfuture_data.cache_rows import (
    ENTRY,
    INDEX_SUFFIX,
    ROWS_SUFFIX,
    SPACE_FILE,
    STAGE_RECORD,
    Space,
    map_rows,
    read_index,
    read_space,
)
from cxrfuture_data.publish import publish
from etl.cache import Cache

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


def spaces_of(cache: Cache) -> list[Space]:
    """Every space of the cache, by name."""
    return [read_space(path.parent) for path in sorted(cache.folder.glob(f"*/*/{SPACE_FILE}"))]


def measure_spaces(cache: Cache) -> list[SpaceSize]:
    """The size of every space."""
    used_at = cache.ledger.spaces()
    sizes = []
    for space in spaces_of(cache):
        indexes = indexes_of(cache, space)
        entries = [read_index(path) for path in indexes]
        rows = sum(map(len, entries))
        keys = np.concatenate([np.zeros(0, ENTRY), *entries])[["high", "low"]]
        files = [path.stat().st_size for path in cache.space_folder(space).iterdir()]
        held = rows * (space.row_bytes + ENTRY.itemsize)
        described = (cache.space_folder(space) / SPACE_FILE).stat().st_size
        size = SpaceSize(
            space=space,
            shards=len(indexes),
            rows=rows,
            repeated=rows - len(np.unique(keys)),
            bytes=sum(files),
            waste=max(0, sum(files) - held - described),
            used_at=used_at.get(space.name),
        )
        sizes.append(size)
    return sizes


def find_damage(cache: Cache, space: Space, advance: Callable[[int], None]) -> Iterator[Damage]:
    """The shards of a space with rows that are not what was written, from their checksums."""
    for index in indexes_of(cache, space):
        entries = read_index(index)
        data = map_rows(index.with_suffix(ROWS_SUFFIX), space.row_bytes)
        bad = list(range(len(data), len(entries)))
        for start in range(0, min(len(data), len(entries)), ROWS_AT_ONCE):
            part = np.asarray(data[start : start + ROWS_AT_ONCE])
            sums = entries["crc32"][start : start + len(part)].tolist()
            bad += [
                start + number
                for number, (row, crc32) in enumerate(zip(part, sums, strict=False))
                if zlib.crc32(row.data) != crc32
            ]
            advance(len(sums))
        if bad:
            yield Damage(space, index, tuple(sorted(bad)))


def repair(cache: Cache, damage: Damage) -> None:
    """Replace a shard by its whole rows: whoever needs the others makes them again."""
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


def indexes_of(cache: Cache, space: Space) -> list[Path]:
    """The index files of a space, in the order in which rows are found."""
    return sorted(cache.space_folder(space).glob(f"*{INDEX_SUFFIX}"))


def days_since(used_at: float | None) -> float | None:
    """Of a moment in seconds since 1970."""
    return None if used_at is None else (time.time() - used_at) / 86400

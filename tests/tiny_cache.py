"""Rows put into a cache by hand, and the record of the stage that would have put them there."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data.cache_rows import Space
from etl.cache import Cache, stage_rows
from etl.cache_ledger import Ledger, sqlite_url

SPACE = Space("image", {"size": 4}, (4, 4), "uint8")


def hash_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def row_of(number: int) -> np.ndarray:
    """A row of SPACE."""
    return np.random.default_rng(number).integers(0, 256, (4, 4), np.uint8)


def rows_of(numbers: Iterable[int]) -> np.ndarray:
    return np.stack([row_of(number) for number in numbers])


def add(cache: Cache, numbers: Sequence[int], space: Space = SPACE) -> None:
    """Put these rows into a shard of their own."""
    with cache.write(space) as writer:
        writer.add([hash_of(number) for number in numbers], rows_of(numbers))


def make_cache(folder: Path) -> Cache:
    folder.mkdir(parents=True, exist_ok=True)
    return Cache(folder, Ledger(sqlite_url(folder)))


def put_rows(
    stage: Path,
    cache: Cache,
    hashes: Sequence[str],
    rows: np.ndarray,
    facts: Mapping[str, Any] | None = None,
) -> Space:
    """Put ``rows`` into the cache and write ``stage``/done.json with ``facts``; the space."""
    space = Space(stage.name, {"by": "hand"}, rows.shape[1:], str(rows.dtype))
    with cache.write(space) as writer:
        writer.add(hashes, rows)
    stage.mkdir(parents=True, exist_ok=True)
    rows = stage_rows(cache, space, stage)
    record = {"made_from": "x", **(facts or {}), **rows, "kept": rows}
    (stage / "done.json").write_text(json.dumps(record))
    return space

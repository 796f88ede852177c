"""Bench of the cache: rows written and read a second, against a plain append to one file and a
memory map of it.

Ours and plain take turns on the same rows, in the batches that the stages write; each ends with
its bytes on disk. The median of the rounds counts.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cxrfuture_data.cache_rows import Space
from etl.cache import Cache
from etl.cache_ledger import Ledger, sqlite_url

SEED = 20


@dataclass(frozen=True)
class Rows:
    """What a stage writes: rows of one shape, so many in a batch."""

    shape: tuple[int, ...]
    dtype: str
    batch: int


ROWS = {
    "image": Rows((224, 224), "uint8", 1),
    "latent": Rows((2, 4, 28, 28), "float16", 8),
    "embedding": Rows((384,), "float16", 64),
}


def run_cache_bench(megabytes: int, rounds: int, as_json: bool = False) -> None:
    """Print what ``bench_cache`` measures."""
    with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as folder:
        result = bench_cache(Path(folder), megabytes, rounds)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    columns = ("", "rows", "MB/s", "rows/s", "plain MB/s", "ratio")
    table = Table(*columns, box=SIMPLE, pad_edge=False)
    for name, facts in result["rows"].items():
        for way in ("write", "read"):
            found = facts[way]
            table.add_row(
                f"{way} {name}",
                f"{facts['count']:,}",
                f"{found['mb_per_second']:,.0f}",
                f"{facts['count'] / found['seconds']:,.0f}",
                f"{found['plain_mb_per_second']:,.0f}",
                f"{found['ratio']:.2f}",
                end_section=way == "read",
            )
    console = Console()
    console.print(table)
    console.print(
        f"{megabytes} MB of each, {rounds} rounds, medians. Ratio: plain's time over ours; all"
        f" rows written: {result['ratio']:.2f}. Ours has checksums, an index and a ledger."
    )


def bench_cache(folder: Path, megabytes: int, rounds: int) -> dict[str, Any]:
    """Measure. ``ratio``: seconds of the plain writes over ours, all kinds together."""
    found = {
        name: _measure(folder / name, name, rows, megabytes, rounds) for name, rows in ROWS.items()
    }
    plain, ours = (
        sum(facts["write"][key] for facts in found.values()) for key in ("plain_seconds", "seconds")
    )
    return {"megabytes": megabytes, "rounds": rounds, "ratio": plain / ours, "rows": found}


def _measure(folder: Path, name: str, kind: Rows, megabytes: int, rounds: int) -> dict[str, Any]:
    space = Space(name, {"bench": SEED}, kind.shape, kind.dtype)
    count = max(kind.batch, megabytes * 1_000_000 // space.row_bytes // kind.batch * kind.batch)
    data = np.random.default_rng(SEED).integers(0, 256, (count, space.row_bytes), np.uint8)
    rows = data.view(kind.dtype).reshape(count, *kind.shape)
    hashes = [sha256(number.to_bytes(8)).hexdigest() for number in range(count)]
    order = np.random.default_rng(SEED).permutation(count)
    seconds: dict[str, list[float]] = {
        way: [] for way in ("write", "plain write", "read", "plain read")
    }
    for number in range(rounds):
        there = folder / str(number)
        there.mkdir(parents=True)
        cache = Cache(there, Ledger(sqlite_url(there)))
        cache.ledger.register(space)  # its tables are made once, not for each run
        turns: list[tuple[str, Callable[[], Any]]] = [
            ("write", partial(_write, cache, space, kind.batch, hashes, rows)),
            ("plain write", partial(_append, there / "plain", kind.batch, rows)),
        ]
        for way, work in turns if number % 2 else turns[::-1]:
            seconds[way].append(_clock(work))
        batches = [order[start : start + kind.batch] for start in range(0, count, kind.batch)]
        turns = [
            ("read", partial(_read, cache, space, [[hashes[i] for i in one] for one in batches])),
            ("plain read", partial(_gather, there / "plain", space, batches)),
        ]
        for way, work in turns if number % 2 else turns[::-1]:
            seconds[way].append(_clock(work))
    medians = {way: statistics.median(of_way) for way, of_way in seconds.items()}
    size = data.nbytes / 1e6
    return {"count": count} | {
        way: {
            "seconds": medians[way],
            "plain_seconds": medians[f"plain {way}"],
            "mb_per_second": size / medians[way],
            "plain_mb_per_second": size / medians[f"plain {way}"],
            "ratio": medians[f"plain {way}"] / medians[way],
        }
        for way in ("write", "read")
    }


def _write(
    cache: Cache, space: Space, batch: int, hashes: Sequence[str], rows: NDArray[Any]
) -> None:
    with cache.write(space) as writer:
        for start in range(0, len(rows), batch):
            writer.add(hashes[start : start + batch], rows[start : start + batch])


def _append(path: Path, batch: int, rows: NDArray[Any]) -> None:
    with FileIO(path, "w") as file:
        for start in range(0, len(rows), batch):
            file.write(rows[start : start + batch].tobytes())
        os.fsync(file.fileno())


def _read(cache: Cache, space: Space, batches: Sequence[Sequence[str]]) -> None:
    rows = cache.rows(space)
    for batch in batches:
        rows.read(batch)


def _gather(path: Path, space: Space, batches: Sequence[NDArray[np.int64]]) -> None:
    rows = np.memmap(path, space.dtype, "r").reshape(-1, *space.shape)
    for batch in batches:
        rows[batch].copy()


def _clock(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

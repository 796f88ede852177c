"""Bench of embedding: our time against the bare model's, on the same batches in the same process.

The two take turns, batch by batch, so both meet the same weather.
"""

import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cxrfuture_data.schema import ContractError
from etl.bench_text import make_event_texts
from etl.cache import Cache
from etl.cache_ledger import Ledger, sqlite_url
from etl.embed import embedding_space
from etl.embedder import Batch, open_embedder
from etl.local_embedder import (
    LocalModel,
    Tokens,
    compute_vectors,
    visible_devices,
)
from etl.params import Params

END = object()
SEED = 20
BARE = "bare model"
OURS = "embed"

Store = Callable[[Sequence[str], Batch], None]


def run_embed_bench(params: Params, count: int, rounds: int, *, as_json: bool = False) -> None:
    """Print texts a second of both, their ratio and peak memory; ours writes to a cache."""
    with TemporaryDirectory(prefix="cxrfuture-bench-") as folder:
        result = _bench_with_cache(params, count, rounds, Path(folder))
    if as_json:
        print(json.dumps(result, indent=1))
        return
    table = Table("", "texts/s", "seconds, median", "processor seconds")
    for way in (BARE, OURS):
        facts = result[way]
        seconds = (f"{facts[key]:.2f}" for key in ("seconds", "processor"))
        table.add_row(way, f"{facts['texts_per_second']:,.1f}", *seconds)
    console = Console()
    console.print(table)
    console.print(
        f"{result['model']}, autocast {result['autocast']}, {count:,} texts,"
        f" {result['mean_tokens']:.1f} tokens each, {rounds} rounds in turn: embed takes"
        f" {result['ratio']:.3f} of the bare model's time ({result['processor_ratio']:.3f} of its"
        f" processor's); peak memory {result['peak_mb']:,.0f} MB"
    )


def bench_embed(
    params: Params, count: int, rounds: int, store: Store | None = None
) -> dict[str, Any]:
    """Measure; ``ratio`` is the seconds of ours over the bare model's, the median of the rounds.

    ``processor_ratio`` is the same of the processor's seconds, which others' work disturbs less.

    Bare is the forward pass and pooling of batches that are tokenized, sorted and padded already;
    ours starts from texts. ``store`` is called with the texts and each batch, to have a cache's
    write counted as ours.
    """
    model = open_embedder(params.embed)
    if not isinstance(model, LocalModel):
        raise ContractError(
            "bench embed runs a model of this machine; set embed.backend: minilm or local"
        )
    device = visible_devices()[0]
    alone = LocalModel(model.encoder, params.embed.batch_size, params.embed.autocast, [device])
    texts = make_event_texts(count, SEED)
    ready = _prepare(alone, texts, params.embed.batch_size)
    replica = alone.load()[0]
    alone.embed(texts[: params.embed.batch_size])  # both meet a warm model

    def run_bare() -> Iterator[Any]:
        for ids, is_token in ready:
            yield compute_vectors(replica, alone.encoder, params.embed.autocast, ids, is_token)

    def run_ours() -> Iterator[Any]:
        for batch in alone.embed_each(texts):
            yield store(texts, batch) if store is not None else None

    costs = [_take_turns({BARE: run_bare(), OURS: run_ours()}) for _ in range(rounds)]
    result: dict[str, Any] = {
        way: {
            "seconds": statistics.median(cost[way][0] for cost in costs),
            "processor": statistics.median(cost[way][1] for cost in costs),
            "texts_per_second": count / statistics.median(cost[way][0] for cost in costs),
        }
        for way in (BARE, OURS)
    }
    tokens = sum(int(is_token.sum()) for _, is_token in ready)
    return result | {
        "ratio": statistics.median(cost[OURS][0] / cost[BARE][0] for cost in costs),
        "processor_ratio": statistics.median(cost[OURS][1] / cost[BARE][1] for cost in costs),
        "model": alone.facts.name,
        "autocast": params.embed.autocast,
        "device": device,
        "texts": count,
        "mean_tokens": tokens / count,
        "batch_size": params.embed.batch_size,
        "rounds": rounds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _bench_with_cache(params: Params, count: int, rounds: int, folder: Path) -> dict[str, Any]:
    facts = open_embedder(params.embed).facts
    cache = Cache(folder, Ledger(sqlite_url(folder)))
    with cache.write(embedding_space(facts, facts.dim or 0)) as writer:

        def store(texts: Sequence[str], batch: Batch) -> None:
            positions, vectors = batch
            hashes = [sha256(texts[place].encode()).hexdigest() for place in positions.tolist()]
            writer.add(hashes, vectors.astype(np.float16))

        return bench_embed(params, count, rounds, store)


def _take_turns(ways: dict[str, Iterator[Any]]) -> dict[str, tuple[float, float]]:
    """Seconds and the processor's seconds of each way, a batch of one and then of the other."""
    spent = dict.fromkeys(ways, (0.0, 0.0))
    left = dict(ways)
    while left:
        for way in list(left):
            started, busy = time.perf_counter(), time.process_time()
            if next(left[way], END) is END:
                del left[way]
            wall, processor = spent[way]
            spent[way] = (
                wall + time.perf_counter() - started,
                processor + time.process_time() - busy,
            )
    return spent


def _prepare(model: LocalModel, texts: list[str], batch_size: int) -> list[tuple[Tokens, Tokens]]:
    """Batches as anyone would make them: texts by their tokens, padded to the longest of each."""
    rows = sorted(model.tokenize(texts), key=len, reverse=True)
    batches = []
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        ids = np.zeros((len(chosen), len(chosen[0])), np.int64)
        is_token = np.zeros_like(ids)
        for number, row in enumerate(chosen):
            ids[number, : len(row)], is_token[number, : len(row)] = row, 1
        batches.append((ids, is_token))
    return batches

"""Bench of embedding: our time against the bare model's, on the same batches in the same process.

The two take turns, piece by piece, so both meet the same weather.
"""

import json
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cxrfuture_data.schema import ContractError
from etl.bench_text import make_event_texts
from etl.embedder import Batch, open_embedder
from etl.local_embedder import (
    LocalModel,
    Tokens,
    compute_vectors,
    visible_devices,
)
from etl.params import Params

BATCHES_A_PIECE = 4
SEED = 20
BARE = "bare model"
OURS = "embed"

Store = Callable[[Sequence[str], Batch], None]


def run_embed_bench(
    params: Params, count: int, rounds: int, *, as_json: bool = False, store: Store | None = None
) -> None:
    """Print texts a second of both, their ratio and peak memory."""
    result = bench_embed(params, count, rounds, store)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    table = Table("", "texts/s", "seconds, least", "processor seconds")
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
    """Measure; ``ratio`` is ours over the bare model's: seconds, of each piece its least round's.

    ``processor_ratio`` is the same of the processor's seconds, which others' work disturbs less.

    Bare is the forward pass and pooling of batches that are tokenized, sorted and padded already;
    ours starts from texts. ``store`` is called with a piece's texts and each of its batches, to
    have a cache's write counted as ours.
    """
    model = open_embedder(params.embed)
    if not isinstance(model, LocalModel):
        raise ContractError(
            "bench embed runs a model of this machine; set embed.backend: minilm or local"
        )
    device = visible_devices()[0]
    alone = LocalModel(model.encoder, params.embed.batch_size, params.embed.autocast, [device])
    texts = make_event_texts(count, SEED)
    size = BATCHES_A_PIECE * params.embed.batch_size
    pieces = [texts[start : start + size] for start in range(0, len(texts), size)]
    ready = [_prepare(alone, piece, params.embed.batch_size) for piece in pieces]
    replica = alone.load()[0]
    alone.embed(pieces[0])  # both meet a warm model
    costs: dict[str, list[list[tuple[float, float]]]] = {
        way: [[] for _ in pieces] for way in (BARE, OURS)
    }

    def run_bare(number: int) -> None:
        for ids, is_token in ready[number]:
            compute_vectors(replica, alone.encoder, params.embed.autocast, ids, is_token)

    def run_ours(number: int) -> None:
        for batch in alone.embed_each(pieces[number]):
            if store is not None:
                store(pieces[number], batch)

    for turn in range(rounds):
        for number in range(len(pieces)):
            ways = [(BARE, run_bare), (OURS, run_ours)]
            for way, run in ways if (turn + number) % 2 else ways[::-1]:
                started, busy = time.perf_counter(), time.process_time()
                run(number)
                cost = time.perf_counter() - started, time.process_time() - busy
                costs[way][number].append(cost)
    spent = {way: sum(min(wall for wall, _ in piece) for piece in costs[way]) for way in costs}
    busy_for = {way: sum(min(busy for _, busy in piece) for piece in costs[way]) for way in costs}
    tokens = sum(int(is_token.sum()) for piece in ready for _, is_token in piece)
    result: dict[str, Any] = {
        way: {
            "seconds": spent[way],
            "processor": busy_for[way],
            "texts_per_second": count / spent[way],
        }
        for way in spent
    }
    return result | {
        "ratio": spent[OURS] / spent[BARE],
        "processor_ratio": busy_for[OURS] / busy_for[BARE],
        "model": alone.facts.name,
        "autocast": params.embed.autocast,
        "device": device,
        "texts": count,
        "mean_tokens": tokens / count,
        "batch_size": params.embed.batch_size,
        "rounds": rounds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


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

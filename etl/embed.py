"""Distinct event texts -> one fp16 vector each, in a table that windows point into."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from rich.console import Console

from cxrfuture_data.cache_rows import STAGE_RECORD, CacheRows, Space
from cxrfuture_data.console import say
from cxrfuture_data.publish import digest, file_sha256, publish, read_done, write_done
from etl.cache import Cache, open_cache, stage_rows
from etl.cluster import Crew, each_on_ray
from etl.embed_cost import estimate, measure_rate, print_estimate
from etl.embed_task import EmbedderOpener, EmbedTask, to_halves
from etl.embedder import Embedder, ModelFacts, Vectors, open_embedder
from etl.params import Params
from etl.part import rate_of
from etl.recipe import Recipe
from etl.sqlfile import bind_tables, count_rows, open_sql, write_parquet

TEXTS_AT_ONCE = 1 << 15  # sorted by length and held in memory together
TEXTS_PER_TASK = 1 << 13  # of a cluster: what is made again if a worker is lost
ROWS_AT_ONCE = 1 << 16  # of the table
TEXT_FILE = "text.parquet"
TABLE_FILE = "table.npy"


def run(params: Params, recipe: Recipe) -> None:
    """Embed every distinct text of the recipe's windows that the cache does not hold."""
    embedder = open_embedder(params.embed)
    folder = params.build(recipe.name, "embed")
    count = write_texts(params, recipe, folder)
    cache = open_cache(params)
    model = embedder.facts
    texts = folder / TEXT_FILE
    made_from = digest(file_sha256(texts), file_sha256(folder / "text_row.parquet"), model.digest)
    space = known_space(cache, model)
    is_missing = find_missing(texts, cache, space)
    if not is_missing.any() and _is_done(folder, made_from):
        say(f"embed: {count:,} texts, all embedded before")
        return
    (folder / STAGE_RECORD).unlink(missing_ok=True)
    is_on_ray = params.executor.kind == "ray"
    if is_on_ray and params.embed.backend == "remote":
        say("embed: a remote model is asked from here alone, also with executor.kind: ray")
        is_on_ray = False
    if is_missing.any() and is_on_ray:
        space = embed_on_ray(texts, is_missing, params, model, cache)
    elif is_missing.any():
        space = embed_missing(texts, is_missing, embedder, cache, space)
    if space is None:  # no text at all, and a model that never answered
        space = embedding_space(model, model.dim or 0)
    cache.ledger.register(space)
    write_table(folder / TABLE_FILE, texts, count, cache.rows(space))
    facts: dict[str, Any] = {
        "model": asdict(model) | {"dim": space.shape[0]},
        "texts": count,
        **stage_rows(cache, space, folder),
    }
    if params.embed.backend == "remote":
        facts["attestation"] = params.embed.remote.attestation
        facts["base_url"] = params.embed.remote.base_url
    write_done(folder / STAGE_RECORD, made_from, facts)
    say(
        f"embed: {count:,} texts, {int(is_missing.sum()):,} of them embedded now,"
        f" {space.shape[0]} numbers each"
    )


def run_dry(params: Params, recipe: Recipe, as_json: bool = False) -> None:
    """Say what the stage would take, and send nothing."""
    embedder = open_embedder(params.embed, is_estimating=True)
    cache = open_cache(params)
    with TemporaryDirectory(prefix="cxrfuture-embed-") as folder:
        texts = Path(folder) / TEXT_FILE
        count = write_texts(params, recipe, texts.parent)
        is_missing = find_missing(texts, cache, known_space(cache, embedder.facts))
        left = pl.read_parquet(texts, columns=["text"])["text"].filter(pl.Series(is_missing))
    chosen = left.to_list()
    rate = None if params.embed.backend == "remote" else measure_rate(embedder, chosen)
    found = estimate(params.embed, embedder, chosen, count - len(chosen), rate)
    print_estimate(found, Console(), as_json=as_json)


def write_texts(params: Params, recipe: Recipe, folder: Path) -> int:
    """Publish the distinct texts of the windows' events and which of them each text_id reads; how
    many there are."""
    tables = {
        "window_event": params.build(recipe.name, "window", "window_event.parquet"),
        "text": params.build(recipe.name, "event", "text.parquet"),
    }
    with open_sql(params.sql, folder / ".spill") as connection:
        bind_tables(connection, tables)
        write_parquet(connection, folder / TEXT_FILE, "embed/text")
        bind_tables(connection, {"distinct_text": folder / TEXT_FILE})
        write_parquet(connection, folder / "text_row.parquet", "embed/text_row")
        return count_rows(connection, "distinct_text")


def embedding_space(model: ModelFacts, dim: int) -> Space:
    """Where the vectors of a model lie: fp16 (dim,)."""
    return Space("embedding", {"model": model.name, "digest": model.digest}, (dim,), "float16")


def known_space(cache: Cache, model: ModelFacts) -> Space | None:
    """The space of a model's vectors. One that has not said yet how long its vectors are may have
    one of an earlier run."""
    if model.dim is not None:
        return embedding_space(model, model.dim)
    wanted = embedding_space(model, 0)
    same = (one for one in cache.spaces() if (one.kind, one.facts) == (wanted.kind, wanted.facts))
    return next(same, None)


def find_missing(texts: Path, cache: Cache, space: Space | None) -> NDArray[np.bool_]:
    """Of each distinct text, whether the cache holds no vector."""
    hashes = pl.read_parquet(texts, columns=["sha256"])["sha256"]
    if space is None:
        return np.ones(len(hashes), bool)
    rows = cache.rows(space)
    found = [rows.find(part.to_list()) < 0 for part in _slices(hashes)]
    return np.concatenate([np.zeros(0, bool), *found])


def embed_missing(
    texts: Path,
    is_missing: NDArray[np.bool_],
    embedder: Embedder,
    cache: Cache,
    known: Space | None,
) -> Space:
    """Embed the texts that are missing, at least one; the space that their vectors went to, which
    is ``known`` if the model has one.

    Each batch is kept as soon as it is there, so a run that breaks off loses one.
    """
    left = int(is_missing.sum())
    with rate_of("embed", len(is_missing), len(is_missing) - left, "texts") as advance:
        batches = embed_slices(read_slices(texts, is_missing), embedder)
        first = next(batches)
        space = known or embedding_space(embedder.facts, first[1].shape[1])
        with cache.write(space) as writer:
            for hashes, vectors in chain([first], batches):
                writer.add(hashes, to_halves(vectors, space.shape[0], embedder.facts.name))
                advance(len(hashes))
    return space


def embed_slices(
    slices: Iterator[tuple[list[str], list[str]]], embedder: Embedder
) -> Iterator[tuple[list[str], Vectors]]:
    """The hashes and vectors of each batch of the slices, as the model gives them."""
    for hashes, texts in slices:
        for places, vectors in embedder.embed_each(texts):
            yield [hashes[place] for place in places], vectors


def embed_on_ray(
    texts: Path, is_missing: NDArray[np.bool_], params: Params, model: ModelFacts, cache: Cache
) -> Space:
    """Embed the texts that are missing on a cluster, by a model on each GPU or core; their space.

    Only a local model: the limits of a remote one are kept by one process.
    """
    assert model.dim is not None, "a local model says it"
    space = embedding_space(model, model.dim)
    starts = range(0, len(is_missing), TEXTS_PER_TASK)
    count = sum(bool(is_missing[start : start + TEXTS_PER_TASK].any()) for start in starts)
    works = (
        EmbedTask(cache=cache, space=space, hashes=tuple(hashes), texts=tuple(some))
        for hashes, some in read_slices(texts, is_missing, TEXTS_PER_TASK)
    )
    opener = EmbedderOpener(params.embed, model.digest)
    crew = Crew(stage="embed", opener=opener, cache=cache, cpus=1, gpu=True)
    left = int(is_missing.sum())
    with rate_of("embed", len(is_missing), len(is_missing) - left, "texts") as advance:
        for done in each_on_ray(crew, works, count, params.executor):
            advance(done)
    return space


def read_slices(
    texts: Path, is_missing: NDArray[np.bool_], size: int = TEXTS_AT_ONCE
) -> Iterator[tuple[list[str], list[str]]]:
    """The hashes and texts that are missing of each ``size`` rows of the table, if any is."""
    rows = pl.scan_parquet(texts)
    for start in range(0, len(is_missing), size):
        mask = is_missing[start : start + size]
        if mask.any():
            some = rows.slice(start, size).collect().filter(pl.Series(mask))
            yield some["sha256"].to_list(), some["text"].to_list()


def write_table(path: Path, texts: Path, count: int, rows: CacheRows) -> None:
    """The vectors of all texts in their order, fp16 (R, D), a slice in memory at a time."""
    header = {"descr": "<f2", "fortran_order": False, "shape": (count, rows.space.shape[0])}
    hashes = pl.read_parquet(texts, columns=["sha256"])["sha256"]
    with publish(path) as table, table.open("wb") as handle:
        write_array_header_1_0(handle, header)
        for part in _slices(hashes):
            handle.write(rows.read(part.to_list()).astype("<f2").tobytes())


def _slices(hashes: pl.Series) -> Iterator[pl.Series]:
    for start in range(0, len(hashes), ROWS_AT_ONCE):
        yield hashes.slice(start, ROWS_AT_ONCE)


def _is_done(folder: Path, made_from: str) -> bool:
    return (
        read_done(folder / STAGE_RECORD, made_from) is not None and (folder / TABLE_FILE).exists()
    )

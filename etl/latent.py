"""Images -> mean and log-variance of the autoencoder's posterior, once a film, in fp16."""

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import polars as pl
import torch

from cxrfuture_data.cache_rows import (
    SPACE_FILE,
    STAGE_RECORD,
    CacheRows,
    Space,
    open_stage_rows,
)
from cxrfuture_data.codec import CONFIG_FILE, latent_form, load_codec, weights_digest
from cxrfuture_data.console import say
from cxrfuture_data.publish import digest, publish, write_done
from cxrfuture_data.schema import LATENT_PARTS, ContractError
from etl.cache import open_cache, stage_rows
from etl.cluster import Crew, each_on_ray
from etl.image import preprocessing
from etl.latent_task import Encoder, EncoderOpener, LatentTask, encode_task
from etl.params import Params
from etl.part import rate_of
from etl.recipe import Recipe


def run(params: Params, recipe: Recipe) -> None:
    """Encode every film that the image stage read and the cache does not hold."""
    images, folder = params.build(recipe.name, "image"), params.build(recipe.name, "latent")
    rule = preprocessing(recipe.image_rule).facts()
    require_images(images, rule)
    weights = params.weights_of(recipe.name)
    films = read_films(images)
    cache = open_cache(params)
    space = latent_space(weights, rule, recipe.image.size, params.latent.precision)
    cache.ledger.register(space)
    hashes = films["sha256"].unique(maintain_order=True).to_list()
    left = cache.rows(space).missing(hashes)
    size = params.latent.films_per_shard
    tasks = [
        LatentTask(cache=cache, space=space, hashes=tuple(left[start : start + size]))
        for start in range(0, len(left), size)
    ]
    if tasks:
        (folder / STAGE_RECORD).unlink(missing_ok=True)
        with rate_of("latent", len(hashes), len(hashes) - len(left), "films") as advance:
            if params.executor.kind == "ray":
                encode_on_ray(tasks, weights, params, open_stage_rows(images), advance)
            else:
                encoders = load_encoders(weights, params)
                encode_tasks(tasks, encoders, open_stage_rows(images), advance)
    with publish(folder / "latent.parquet") as path:
        films.write_parquet(path)
    facts = {
        "weights_digest": space.facts["weights"],
        "scale": space.facts["scale"],
        "shift": space.facts["shift"],
        "precision": params.latent.precision,
        "dtype": space.dtype,
        "preprocessing": rule,
        "shape": list(space.shape[1:]) if films.height else None,
        **stage_rows(cache, space, folder),
    }
    write_done(folder / STAGE_RECORD, digest(films.rows(), space.digest), facts)
    say(f"latent: {films.height:,} films, {len(left):,} of them encoded, shape {facts['shape']}")


def latent_space(weights: Path, rule: dict[str, Any], size: int, precision: str) -> Space:
    """Where the latents of an autoencoder and a preprocessing lie: fp16 (2, C, h, w)."""
    shape, scale, shift = latent_form(weights, size)
    facts = {
        "weights": weights_digest(weights),
        "scale": scale,
        "shift": shift,
        "preprocessing": rule,
        "parts": list(LATENT_PARTS),
        "precision": precision,
    }
    return Space("latent", facts, (len(LATENT_PARTS), *shape), "float16")


def require_images(images: Path, rule: dict[str, Any]) -> None:
    """Refuse images that are not there, not whole, or made by another image rule."""
    record = images / STAGE_RECORD
    if not record.exists():
        raise ContractError(f"{record}: no such file; run `cxrfuture image` first")
    found = json.loads(record.read_text())["preprocessing"]
    if found != rule:
        raise ContractError(
            f"{images}: made with {found}, but the recipe says {rule}; run `cxrfuture image` again"
        )


def read_films(images: Path) -> pl.DataFrame:
    """dicom_id and sha256 of the films that have an image."""
    films = pl.read_parquet(images / "film.parquet")
    return films.filter(pl.col("outcome") == "ok").select("dicom_id", "sha256")


def load_encoders(weights: Path, params: Params) -> list[Encoder]:
    """One on every visible GPU, or one on the CPU."""
    count = torch.cuda.device_count()
    devices = [f"cuda:{number}" for number in range(count)] or ["cpu"]
    latent = params.latent
    return [
        Encoder(
            load_codec(weights, device),
            weights,
            latent.batch_size,
            latent.precision,
            count_threads(params),
        )
        for device in devices
    ]


def count_threads(params: Params) -> int:
    """Of an encoder on the CPU."""
    return params.latent.cpu_threads or torch.get_num_threads()


def encode_on_ray(
    tasks: Sequence[LatentTask],
    weights: Path,
    params: Params,
    images: CacheRows,
    advance: Callable[[int], None],
) -> None:
    """Encode the tasks on a cluster, an encoder on each of its GPUs or ``cpu_threads`` cores."""
    threads = count_threads(params)
    opener = EncoderOpener(
        weights=weights.resolve(),
        digest=tasks[0].space.facts["weights"],
        batch_size=params.latent.batch_size,
        precision=params.latent.precision,
        threads=threads,
        images=images.folder.resolve(),
    )
    files = (opener.images / SPACE_FILE, opener.weights / CONFIG_FILE)
    crew = Crew(
        stage="latent", opener=opener, cache=tasks[0].cache, cpus=threads, gpu=True, files=files
    )
    for films in each_on_ray(crew, tasks, len(tasks), params.executor):
        advance(films)


def encode_tasks(
    tasks: Sequence[LatentTask],
    encoders: Sequence[Encoder],
    images: CacheRows,
    advance: Callable[[int], None],
) -> None:
    """Encode the tasks, each on whichever encoder is free."""
    free: SimpleQueue[Encoder] = SimpleQueue()
    for encoder in encoders:
        free.put(encoder)
    lock = threading.Lock()

    def tell(films: int) -> None:
        with lock:
            advance(films)

    def encode(task: LatentTask) -> None:
        encoder = free.get()
        try:
            encode_task(task, encoder, images, tell)
        finally:
            free.put(encoder)

    with ThreadPoolExecutor(len(encoders)) as pool:
        futures = [pool.submit(encode, task) for task in tasks]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

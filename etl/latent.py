"""Images -> mean and log-variance of the autoencoder's posterior, once a film, in fp16."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from cxrfuture_data.cache_rows import STAGE_RECORD, CacheRows, Space, open_stage_rows
from cxrfuture_data.codec import Codec, latent_form, load_codec, weights_digest
from cxrfuture_data.console import say
from cxrfuture_data.publish import digest, publish, write_done
from cxrfuture_data.schema import LATENT_PARTS, ContractError
from etl.cache import Cache, open_cache, stage_rows
from etl.image import preprocessing
from etl.params import Params
from etl.part import rate_of
from etl.recipe import Recipe

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class LatentTask:
    """Films to encode into one shard of the cache, by the sha256 of their files."""

    cache: Cache
    space: Space
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Encoder:
    """An autoencoder on one device. Batches are always of ``batch_size``, so a film's numbers do
    not depend on how many others are left to encode."""

    codec: Codec
    weights: Path
    batch_size: int
    precision: str

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float16]:
        """uint8 (B, H, W), B at most the batch size -> fp16 (B, 2, C, h, w)."""
        missing = self.batch_size - len(images)
        whole = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        dtype = PRECISIONS[self.precision]
        is_lower = dtype is not torch.float32
        with torch.autocast(self.codec.device.type, dtype, enabled=is_lower):
            mean, logvar = self.codec.encode(torch.from_numpy(whole))  # (B, C, h, w) each
        latents = torch.stack([mean, logvar], 1)[: len(images)].cpu().numpy()
        return to_halves(latents, self.weights)


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
    found = cache.rows(space).find(hashes)
    left = [sha256 for sha256, at in zip(hashes, found.tolist(), strict=True) if at < 0]
    size = params.latent.films_per_shard
    tasks = [
        LatentTask(cache=cache, space=space, hashes=tuple(left[start : start + size]))
        for start in range(0, len(left), size)
    ]
    if tasks:
        (folder / STAGE_RECORD).unlink(missing_ok=True)
        encoders = load_encoders(weights, params)
        with rate_of("latent", len(hashes), len(hashes) - len(left), "films") as advance:
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
        Encoder(load_codec(weights, device), weights, latent.batch_size, latent.precision)
        for device in devices
    ]


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


def encode_task(
    task: LatentTask, encoder: Encoder, images: CacheRows, advance: Callable[[int], None]
) -> None:
    """Encode films into one shard. The next batch is read and the last one written meanwhile."""
    batches = [
        task.hashes[start : start + encoder.batch_size]
        for start in range(0, len(task.hashes), encoder.batch_size)
    ]
    with task.cache.write(task.space) as writer, ThreadPoolExecutor(1) as writing:
        written: Future[None] | None = None
        for hashes, pixels in read_ahead(images, batches):
            latents = encoder.encode(pixels)
            if written is not None:
                written.result()
            written = writing.submit(writer.add, hashes, latents)
            advance(len(hashes))
        if written is not None:
            written.result()


def read_ahead(
    images: CacheRows, batches: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], NDArray[np.uint8]]]:
    """Each batch and its images, uint8 (B, H, W); the next is read while one is used."""
    with ThreadPoolExecutor(1) as reading:
        ahead = [reading.submit(images.read, batch) for batch in batches[:1]]
        for number, batch in enumerate(batches):
            pixels = ahead.pop().result()
            ahead += [reading.submit(images.read, one) for one in batches[number + 1 : number + 2]]
            yield batch, pixels


def to_halves(latents: NDArray[np.float32], weights: Path) -> NDArray[np.float16]:
    """fp16, if every number is finite and stays so."""
    if not np.isfinite(latents).all():
        raise ContractError(
            f"{weights}: the autoencoder gives latents that are not finite; run "
            "`cxrfuture fit_vae` again with another seed, or set latent.weights"
        )
    with np.errstate(over="ignore"):
        halves = latents.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ContractError(
            f"{weights}: the autoencoder gives latents up to {np.abs(latents).max():.3g}, and fp16 "
            "ends at 65504; set its scaling_factor, or latent.weights"
        )
    return halves

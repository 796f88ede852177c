"""Bench of the latent stage: films encoded a second, against the bare autoencoder on images in
memory.

Ours reads images from a cache, checks, encodes, and writes latents to it. Both take turns on the
same batches; the median of the rounds counts.
"""

import json
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from rich.console import Console

from cxrfuture_data.cache_rows import Space
from etl.cache import Cache
from etl.cache_ledger import Ledger, sqlite_url
from etl.latent import encode_tasks, latent_space, load_encoders
from etl.latent_task import PRECISIONS, Encoder, LatentTask
from etl.params import Params

SEED = 20
CHANNELS = (32, 64, 64, 64)  # of the autoencoder that is made where none is given


def run_latent_bench(
    params: Params, weights: Path | None, films: int, size: int, rounds: int, as_json: bool = False
) -> None:
    """Print what ``bench_latent`` measures."""
    with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as folder:
        result = bench_latent(params, weights, films, size, rounds, Path(folder))
    if as_json:
        print(json.dumps(result, indent=1))
        return
    Console().print(
        f"{films} films of {size} px in batches of {result['batch_size']},"
        f" {result['precision']}, on {', '.join(result['devices'])}; {rounds} rounds, medians.\n"
        f"latent: {result['films_per_second']:,.1f} films/s; the bare autoencoder:"
        f" {result['bare_films_per_second']:,.1f}; ratio {result['ratio']:.2f}"
        f" ({result['processor_ratio']:.2f} of processor time);"
        f" peak {result['peak_mb']:,.0f} MB (of both together)."
    )


def bench_latent(
    params: Params, weights: Path | None, films: int, size: int, rounds: int, folder: Path
) -> dict[str, Any]:
    """Measure. ``ratio``: seconds of the bare autoencoder over ours; ``processor_ratio``: those of
    all processors together, which other work on the machine disturbs less."""
    weights = weights or save_autoencoder(folder / "weights")
    encoders = load_encoders(weights, params)
    images = np.random.default_rng(SEED).integers(0, 256, (films, size, size), np.uint8)
    hashes = [sha256(number.to_bytes(8)).hexdigest() for number in range(films)]
    took: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": []}
    encode_bare(encoders[0], images[: params.latent.batch_size])  # kernels are chosen at first use
    for number in range(rounds):
        there = folder / str(number)
        cache, source, space = make_cache(params, weights, images, hashes, there)
        for way in ("ours", "bare") if number % 2 else ("bare", "ours"):
            started, worked = time.perf_counter(), time.process_time()
            if way == "bare":
                encode_bare(encoders[0], images)
            else:
                encode_ours(params, encoders, cache, source, space, hashes)
            took[way].append((time.perf_counter() - started, time.process_time() - worked))
    ours, bare = (statistics.median(wall for wall, _ in took[way]) for way in ("ours", "bare"))
    ours_worked, bare_worked = (
        statistics.median(worked for _, worked in took[way]) for way in ("ours", "bare")
    )
    return {
        "films": films,
        "size": size,
        "batch_size": params.latent.batch_size,
        "precision": params.latent.precision,
        "devices": [str(encoder.codec.device) for encoder in encoders],
        "rounds": rounds,
        "films_per_second": films / ours,
        "bare_films_per_second": films / bare,
        "ratio": bare / ours,
        "processor_ratio": bare_worked / ours_worked,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def save_autoencoder(folder: Path) -> Path:
    """A grey autoencoder of DDL-CXR's shape with fewer channels; its weights are drawn."""
    torch.manual_seed(SEED)
    autoencoder = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(CHANNELS),
        block_out_channels=CHANNELS,
        latent_channels=4,
        scaling_factor=1.0,
    )
    autoencoder.save_pretrained(folder, safe_serialization=True)
    return folder


def make_cache(
    params: Params,
    weights: Path,
    images: NDArray[np.uint8],
    hashes: Sequence[str],
    folder: Path,
) -> tuple[Cache, Space, Space]:
    """A cache that holds the images, where they lie in it, and where their latents go."""
    folder.mkdir()
    cache = Cache(folder, Ledger(sqlite_url(folder)))
    shape = images.shape[1:]
    source = Space("image", {"bench": SEED}, shape, "uint8")
    space = latent_space(weights, {"bench": SEED}, shape[0], params.latent.precision)
    cache.ledger.register(space)
    with cache.write(source) as writer:
        writer.add(hashes, images)
    return cache, source, space


def encode_bare(encoder: Encoder, images: NDArray[np.uint8]) -> None:
    """The autoencoder alone, as anyone would call it."""
    dtype = PRECISIONS[encoder.precision]
    for start in range(0, len(images), encoder.batch_size):
        batch = torch.from_numpy(images[start : start + encoder.batch_size])
        enabled = dtype is not torch.float32
        with torch.autocast(encoder.codec.device.type, dtype, enabled=enabled):
            mean, logvar = encoder.codec.encode(batch)
        mean.half().cpu(), logvar.half().cpu()


def encode_ours(
    params: Params,
    encoders: Sequence[Encoder],
    cache: Cache,
    source: Space,
    space: Space,
    hashes: Sequence[str],
) -> None:
    """The stage's work on images that lie in the cache."""
    size = params.latent.films_per_shard
    tasks = [
        LatentTask(cache=cache, space=space, hashes=tuple(hashes[start : start + size]))
        for start in range(0, len(hashes), size)
    ]
    encode_tasks(tasks, encoders, cache.rows(source), lambda _: None)

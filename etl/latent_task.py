"""What encodes films: an autoencoder on one device, and what it does with a shard of them."""

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cxrfuture_data.cache_rows import CacheRows, Space
from cxrfuture_data.codec import Codec, load_codec, weights_digest
from cxrfuture_data.schema import ContractError
from etl.cache import Cache

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
    not depend on how many others are left to encode; but on a CPU, in their last bits, on
    ``threads``: convolutions are summed by thread."""

    codec: Codec
    weights: Path
    batch_size: int
    precision: str
    threads: int

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float16]:
        """uint8 (B, H, W), B at most the batch size -> fp16 (B, 2, C, h, w)."""
        torch.set_num_threads(self.threads)  # here: it may hold for the calling thread alone
        missing = self.batch_size - len(images)
        whole = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        dtype = PRECISIONS[self.precision]
        is_lower = dtype is not torch.float32
        with torch.autocast(self.codec.device.type, dtype, enabled=is_lower):
            mean, logvar = self.codec.encode(torch.from_numpy(whole))  # (B, C, h, w) each
        latents = torch.stack([mean, logvar], 1)[: len(images)].cpu().numpy()
        return to_halves(latents, self.weights)


@dataclass(frozen=True, kw_only=True)
class EncoderOpener:
    """Loads an encoder once for a worker of a cluster, on the GPU that Ray gave it or the CPU.

    ``images`` is the folder of their space, ``digest`` that of the weights.
    """

    weights: Path
    digest: str
    batch_size: int
    precision: str
    threads: int
    images: Path

    def open(self) -> Callable[[LatentTask, bool], int]:
        """Encodes a task's films, and says how many it has; those that another worker encoded
        before it was lost are left out."""
        found = weights_digest(self.weights)
        if found != self.digest:
            raise ContractError(
                f"{self.weights}: other weights ({found[:12]}) on {socket.gethostname()} than where"
                f" the stage was started ({self.digest[:12]}); let all nodes see one folder"
            )
        device = "cuda" if torch.cuda.is_available() else "cpu"
        codec = load_codec(self.weights, device)
        encoder = Encoder(codec, self.weights, self.batch_size, self.precision, self.threads)
        images = CacheRows(self.images)

        def encode(task: LatentTask, is_again: bool) -> int:
            left = leave_out_known(task) if is_again else task
            encode_task(left, encoder, images, lambda films: None)
            return len(task.hashes)

        return encode


def leave_out_known(task: LatentTask) -> LatentTask:
    """The films that the cache does not hold by now."""
    return replace(task, hashes=tuple(task.cache.rows(task.space).missing(task.hashes)))


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

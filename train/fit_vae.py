"""The KL autoencoder whose latents everything else is trained on.

Loss: absolute error plus the KL term, both summed over a film and averaged over the batch
(specs ddl-cxr 7). The perceptual, adversarial and label terms of the paper are not built, nor its
dropout in the residual blocks, which diffusers' autoencoder does not offer. One process, no resume.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import l1_loss

from cxrfuture_data.cache_rows import CacheRows, open_stage_rows
from cxrfuture_data.codec import to_pixels
from cxrfuture_data.console import progress
from cxrfuture_data.publish import write_json
from cxrfuture_data.schema import ContractError
from train.settings import VaeConfig

VALID_FILMS = 64  # enough for a mean to two digits, and seconds on a laptop


@dataclass(frozen=True)
class Films:
    """The readable films of one split, left on disk in the cache."""

    rows: CacheRows
    hashes: list[str]

    def __len__(self) -> int:
        return len(self.hashes)

    def read(self, index: int) -> np.ndarray:
        """uint8 (H, W)."""
        return np.asarray(self.rows.read([self.hashes[index]])[0])


def open_films(images: Path, split: str) -> Films:
    """The films of a split that the image stage could read, in its order."""
    names = ["outcome", "split", "sha256"]
    rows = pq.read_table(images / "film.parquet", columns=names).to_pylist()
    kept = [row for row in rows if row["outcome"] == "ok" and row["split"] == split]
    return Films(open_stage_rows(images), [row["sha256"] for row in kept])


def fit_vae(images: Path, out: Path, config: VaeConfig, seed: int) -> None:
    """Train on the training patients' films and publish ``out`` for ``load_codec``."""
    films = open_films(images, "train")
    if len(films) == 0:
        raise ContractError(f"{images}: no readable film of a training patient; check its ledger")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    autoencoder = build_autoencoder(config, seed).to(device, memory_format=torch.channels_last)
    autoencoder.train()
    optimiser = torch.optim.AdamW(
        autoencoder.parameters(),
        lr=config.optimiser.learning_rate,
        betas=config.optimiser.betas,
        weight_decay=config.optimiser.weight_decay,
    )
    noise = torch.Generator(device).manual_seed(seed)
    steps = config.length.total_steps(max(1, len(films) // config.batch_size))
    errors = []
    with progress("fit_vae", steps, "steps") as advance:
        for batch in crops(films, config, steps, seed):
            error, loss = reconstruct(autoencoder, batch.to(device), config.kl_weight, noise)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            errors.append(float(error))
            advance(1, f"L1 {errors[-1]:.3f}")
    metrics = {
        "steps": steps,
        "train_films": len(films),
        "l1_first": errors[0],
        "l1_last": float(np.mean(errors[-10:])),
        "l1_valid": valid_error(autoencoder.eval(), open_films(images, "valid"), device),
    }
    publish_autoencoder(autoencoder, out, metrics)


def build_autoencoder(config: VaeConfig, seed: int) -> AutoencoderKL:
    """A grey autoencoder with weights drawn from ``seed``; its latents are left unscaled."""
    levels = len(config.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = AutoencoderKL(
            in_channels=1,
            out_channels=1,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(config.channels),
            layers_per_block=config.layers_per_level,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_groups,
            sample_size=config.crop,
            scaling_factor=1.0,
        )
    with torch.no_grad():  # the encoder's last layer emits C means, then C log-variances
        autoencoder.quant_conv.bias[config.latent_channels :] += config.first_logvar
    return autoencoder


def crops(films: Films, config: VaeConfig, steps: int, seed: int) -> Iterator[Tensor]:
    """``steps`` batches of random crops, float (B, 1, crop, crop); each epoch in its own order."""
    random = np.random.default_rng(seed)
    order: list[int] = []
    for _ in range(steps):
        while len(order) < config.batch_size:
            order += random.permutation(len(films)).tolist()
        chosen, order = order[: config.batch_size], order[config.batch_size :]
        squares = [crop(films.read(index), config.crop, random) for index in chosen]
        yield to_pixels(torch.from_numpy(np.stack(squares)))


def crop(film: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """A random square of ``size`` pixels of a film that is at least as large."""
    height, width = film.shape
    if size > min(height, width):
        raise ContractError(f"crop {size} is larger than the films ({height} x {width})")
    top = int(random.integers(height - size + 1))
    left = int(random.integers(width - size + 1))
    return film[top : top + size, left : left + size]


def reconstruct(
    autoencoder: AutoencoderKL, pixels: Tensor, kl_weight: float, noise: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mean absolute error per pixel (for people), and the loss (for the optimiser)."""
    posterior = autoencoder.encode(pixels).latent_dist
    output = autoencoder.decode(posterior.sample(noise)).sample
    error = l1_loss(output, pixels)
    pixels_of_a_film = pixels[0].numel()
    return error.detach(), error * pixels_of_a_film + kl_weight * posterior.kl().mean()


@torch.no_grad()
def valid_error(autoencoder: AutoencoderKL, films: Films, device: torch.device) -> float | None:
    """Mean absolute error over whole validation films, decoded from the posterior's mean."""
    if len(films) == 0:
        return None
    total = 0.0
    count = min(len(films), VALID_FILMS)
    for index in range(count):
        pixels = to_pixels(torch.from_numpy(films.read(index).copy())[None]).to(device)
        output = autoencoder.decode(autoencoder.encode(pixels).latent_dist.mode()).sample
        total += float(l1_loss(output, pixels))
    return total / count


def publish_autoencoder(
    autoencoder: AutoencoderKL, out: Path, metrics: dict[str, float | int | None]
) -> None:
    """Write beside ``out`` and rename: a reader sees the whole folder or none."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    autoencoder.save_pretrained(part, safe_serialization=True)
    write_json(part / "metrics.json", metrics)
    if out.exists():
        shutil.rmtree(out)
    part.replace(out)

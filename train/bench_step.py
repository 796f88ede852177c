"""One way of `cxrfuture bench train`, in a process of its own: steps when it is told to take one.

Reads an order (JSON) from its first argument, then a word a line from its standard input: ``step``
takes a training step from latents, ``encode`` encodes both films first, ``plain`` is a step of the
authors' UNet without its checkpointing, ``predict PATH`` writes what the UNet gives for the bench's
batch. Each is answered by a line of JSON.

Shapes: B samples; C, h, w of a latent; T hours; S = 1 + T tokens of width D; s pixels of a film.
"""

import json
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor, nn

from cxrfuture_data.codec import to_pixels
from cxrfuture_data.hourly import COLUMNS
from cxrfuture_data.schema import FINDINGS, ContractError
from train import diffusion
from train.bench_model import (
    AUTHORS,
    OURS,
    AuthorsDenoiser,
    Order,
    our_denoiser,
    read_order,
    switch_checkpointing,
)
from train.model.vae import build_autoencoder


class Bench:
    """A model, its optimiser and one batch, in memory."""

    def __init__(self, order: Order) -> None:
        self.order = order
        torch.manual_seed(0)
        channels = order.vae.latent_channels
        self.autoencoder: AutoencoderKL | None = None
        if order.way == AUTHORS:
            self.model: nn.Module = AuthorsDenoiser(order, channels)
            assert order.weights is not None
            save_file(dict(self.model.unet.state_dict()), order.weights)
        else:
            self.model = our_denoiser(order, channels)
        optimiser = order.settings.optimiser
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(),
            lr=optimiser.learning_rate,
            betas=optimiser.betas,
            weight_decay=optimiser.weight_decay,
            fused=order.way == OURS,
        )
        self.batch = draw_batch(order)

    def step(self, encodes: bool = False) -> None:
        """Both branches, the loss of specs ddl-cxr 8.4, its gradient, and AdamW."""
        batch, objective = self.batch, self.order.settings.objective
        previous, target = batch.previous, batch.target
        if encodes:
            previous, target = self.encode(batch.films).chunk(2)
        spread = torch.randn(2, *batch.noise.shape)
        previous = diffusion.posterior_sample(previous, spread[0])
        target = diffusion.posterior_sample(target, spread[1])
        noisy = diffusion.add_noise(target, batch.noise, batch.timestep)
        predicted = self.model(
            noisy,
            previous,
            batch.timestep,
            batch.record,
            batch.context_noise,
            objective.context_noise,
        )
        error = (batch.noise - predicted.noise).square()
        disturbed = (batch.noise - predicted.noise_disturbed).square()
        margin = objective.contrast_margin
        contrast = diffusion.contrast_of_elements(error, disturbed, batch.timestep, margin).mean()
        findings = diffusion.findings_loss(predicted.findings, batch.labels).mean()
        (error.mean() + objective.findings_weight * findings + contrast).backward()
        self.optimiser.step()
        self.optimiser.zero_grad()

    @torch.no_grad()
    def encode(self, films: Tensor) -> Tensor:
        """(2B, 1, s, s) uint8 -> (2B, 2, C, h, w), as the latent stage does."""
        if self.autoencoder is None:
            vae = build_autoencoder(self.order.vae, seed=0).requires_grad_(False).eval()
            self.autoencoder = vae.to(memory_format=torch.channels_last)
        pixels = to_pixels(films[:, 0]).expand(-1, self.order.vae.image_channels, -1, -1)
        posterior = self.autoencoder.encode(
            pixels.contiguous(memory_format=torch.channels_last)
        ).latent_dist
        return torch.stack([posterior.mean, posterior.logvar], 1)

    @torch.no_grad()
    def predict(self) -> Tensor:
        """(B, C, h, w): the UNet's noise for the batch, in eval mode."""
        batch = self.batch
        tokens = batch.context_noise  # any will do: the encoders' weights are not shared
        beside = torch.cat([batch.noise, batch.noise.flip(0)], 1)
        self.model.eval()
        if self.order.way == AUTHORS:
            found = self.model.unet(beside, batch.timestep, context=tokens)
        else:
            found = self.model.unet(beside, batch.timestep, encoder_hidden_states=tokens).sample
        self.model.train()
        return found


@dataclass(frozen=True)
class BenchBatch:
    """Of no patient: drawn from a seed."""

    previous: Tensor  # (B, 2, C, h, w) float16, as cached
    target: Tensor
    films: Tensor  # (2B, 1, s, s) uint8, the previous ones first
    record: tuple[Tensor, Tensor]  # (B, T, F), (B, T)
    labels: Tensor  # (B, L) int8
    timestep: Tensor  # (B,)
    noise: Tensor  # (B, C, h, w)
    context_noise: Tensor  # (B, S, D)


def draw_batch(order: Order) -> BenchBatch:
    """The same for every way of the same sizes."""
    random = torch.Generator().manual_seed(1)
    samples, hours = order.batch_size, order.hours
    side = order.vae.crop // 2 ** (len(order.vae.channels) - 1)
    latent = (order.vae.latent_channels, side, side)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    def whole(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=random)

    return BenchBatch(
        previous=normal(samples, 2, *latent).half(),
        target=normal(samples, 2, *latent).half(),
        films=whole(0, 256, 2 * samples, 1, order.vae.crop, order.vae.crop).to(torch.uint8),
        record=(normal(samples, hours, COLUMNS), torch.ones(samples, hours, dtype=torch.bool)),
        labels=whole(-1, 2, samples, len(FINDINGS)).to(torch.int8),
        timestep=whole(0, diffusion.TRAIN_STEPS, samples),
        noise=normal(samples, *latent),
        context_noise=normal(samples, 1 + hours, order.settings.history.width),
    )


def answer(bench: Bench, word: str) -> dict[str, Any]:
    """Do what a line says. Seconds, and those of all processors together."""
    name, _, path = word.partition(" ")
    if name == "predict":
        save_file({"noise": bench.predict().contiguous()}, path)
        return {}
    if bench.order.way == AUTHORS:
        switch_checkpointing(bench.model.unet, name != "plain")
    began, worked = time.perf_counter(), time.process_time()
    bench.step(encodes=name == "encode")
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - worked,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Answer every line until there is none."""
    try:
        bench = Bench(read_order(sys.argv[1]))
    except ContractError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    weights = sum(weight.numel() for weight in bench.model.unet.parameters())
    print(json.dumps({"weights": weights}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(bench, line.strip())), flush=True)


if __name__ == "__main__":
    main()

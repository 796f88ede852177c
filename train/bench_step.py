"""One way of `cxrfuture bench train`, in a process of its own: steps when it is told to take one.

Reads an order (JSON) from its first argument, then a word a line from its standard input: ``step``
takes a training step from latents, ``encode`` encodes both films first, ``plain`` is a step of the
authors' UNet without its checkpointing, ``predict PATH`` writes what the UNet gives for the bench's
batch. Each is answered by a line of JSON.

Shapes: B samples; C, h, w of a latent; T hours; S = 1 + T tokens of width D; s pixels of a film.
"""

import importlib
import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cxrfuture_data.hourly import COLUMNS
from cxrfuture_data.schema import FINDINGS, ContractError
from train import diffusion
from train.ddl_cxr import DdlCxrSettings
from train.model.compvis_unet import Heads, to_unet
from train.model.denoiser import Denoiser, Prediction
from train.model.history import History
from train.model.vae import build_autoencoder
from train.settings import UnetSettings, VaeConfig
from train.tasks import parse_task_settings

OURS, AUTHORS = "ours", "authors"
AUTHORS_MODULE = "ldm.modules.diffusionmodules.openaimodel"
AUTHORS_GROUPS = 32
SPREAD = 0.02  # of weights that training starts at zero, so that outputs can be compared


@dataclass(frozen=True)
class Order:
    """What a child is. ``weights``: CompVis's layout, written by the authors' way and read by
    ours; None: ours has weights of its own."""

    way: str
    settings: DdlCxrSettings
    vae: VaeConfig
    batch_size: int
    hours: int
    weights: Path | None

    def line(self) -> str:
        """The order as one word of a command line."""
        return json.dumps(
            {
                "way": self.way,
                "settings": self.settings.model_dump(mode="json"),
                "vae": self.vae.model_dump(mode="json"),
                "batch_size": self.batch_size,
                "hours": self.hours,
                "weights": self.weights and str(self.weights),
            }
        )


def read_order(line: str) -> Order:
    """The inverse of ``Order.line``."""
    value = json.loads(line)
    settings = parse_task_settings(value["settings"], "the bench's order")
    assert isinstance(settings, DdlCxrSettings)
    return Order(
        value["way"],
        settings,
        VaeConfig.model_validate(value["vae"]),
        value["batch_size"],
        value["hours"],
        value["weights"] and Path(value["weights"]),
    )


class Model(Protocol):
    """Denoiser, or the authors' UNet in its place."""

    def __call__(
        self,
        noisy: Tensor,
        previous: Tensor,
        timestep: Tensor,
        record: tuple[Tensor, Tensor],
        context_noise: Tensor | None = None,
        strength: float = 0.0,
    ) -> Prediction: ...


class AuthorsDenoiser(nn.Module):
    """The authors' UNet as they call it: one pass a branch, no mask. Encoder and head are ours,
    below a thousandth of the work."""

    def __init__(self, order: Order, channels: int) -> None:
        super().__init__()
        settings = order.settings
        self.unet = authors_unet(settings.unet, channels, settings.history.width)
        self.history = History(settings.history)
        self.findings = nn.Linear(settings.history.width, len(FINDINGS))

    def forward(
        self,
        noisy: Tensor,
        previous: Tensor,
        timestep: Tensor,
        record: tuple[Tensor, Tensor],
        context_noise: Tensor | None = None,
        strength: float = 0.0,
    ) -> Prediction:
        """As Denoiser's."""
        tokens, _ = self.history(*record)
        beside = torch.cat([noisy, previous], 1)
        noise = self.unet(beside, timestep, context=tokens)
        disturbed = None
        if context_noise is not None:
            other = diffusion.disturb(tokens, context_noise, strength)
            disturbed = self.unet(beside, timestep, context=other)
        return Prediction(noise, disturbed, self.findings(tokens[:, 0]))


def authors_unet(settings: UnetSettings, channels: int, context: int) -> Any:
    """Their module with weights drawn, none left at zero; their checkout is on the import path."""
    try:
        module = importlib.import_module(AUTHORS_MODULE)
    except ModuleNotFoundError as error:
        where = "" if (error.name or "").startswith("ldm") else f"; run: pip install {error.name}"
        raise ContractError(
            f"the authors' {AUTHORS_MODULE} cannot be imported: no module {error.name}{where}"
        ) from None
    base = settings.channels[0]
    if settings.norm_groups != AUTHORS_GROUPS or any(width % base for width in settings.channels):
        raise ContractError(
            f"the authors' UNet has {AUTHORS_GROUPS} groups and levels that are multiples of the "
            f"first; the config has {settings.norm_groups} and {settings.channels}"
        )
    unet = module.UNetModel(
        image_size=None,
        in_channels=2 * channels,
        out_channels=channels,
        model_channels=base,
        channel_mult=[width // base for width in settings.channels],
        num_res_blocks=settings.res_blocks,
        attention_resolutions=[2**level for level in range(len(settings.channels))],
        num_heads=settings.heads or -1,
        num_head_channels=settings.head_width or -1,
        use_spatial_transformer=True,
        transformer_depth=1,
        context_dim=context,
        use_checkpoint=True,  # as their config has it
        legacy=False,
    )
    fill_zeros(unet)
    return unet


def switch_checkpointing(unet: nn.Module, is_on: bool) -> None:
    """Of the authors' residual blocks and Transformers, which differ in the flag's name."""
    for module in unet.modules():
        for flag in ("use_checkpoint", "checkpoint"):
            if isinstance(getattr(module, flag, None), bool):
                setattr(module, flag, is_on)


@torch.no_grad()
def fill_zeros(module: nn.Module) -> None:
    """Draw the weights that are all zero: else nothing before them would matter."""
    for weight in module.parameters():
        if weight.ndim > 1 and not weight.any():
            weight.normal_(std=SPREAD)


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
            noisy, previous, batch.timestep, batch.record, batch.context_noise, 0.5
        )
        error = (batch.noise - predicted.noise).square()
        disturbed = (batch.noise - predicted.noise_disturbed).square()
        margin = objective.contrast_margin
        contrast = diffusion.contrast_of_elements(error, disturbed, batch.timestep, margin)
        findings = diffusion.findings_loss(predicted.findings, batch.labels)
        (error.mean() + objective.findings_weight * findings + contrast).backward()
        self.optimiser.step()
        self.optimiser.zero_grad()

    @torch.no_grad()
    def encode(self, films: Tensor) -> Tensor:
        """(2B, 1, s, s) uint8 -> (2B, 2, C, h, w), as the latent stage does."""
        if self.autoencoder is None:
            vae = build_autoencoder(self.order.vae, seed=0).requires_grad_(False).eval()
            self.autoencoder = vae.to(memory_format=torch.channels_last)
        pixels = films.float() / 127.5 - 1
        pixels = pixels.expand(-1, self.order.vae.image_channels, -1, -1)
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


def our_denoiser(order: Order, channels: int) -> Denoiser:
    """Ours, with the authors' weights converted where they are given."""
    settings = order.settings
    denoiser = Denoiser(settings.unet, settings.history, channels)
    fill_zeros(denoiser.unet)
    if order.weights is not None:
        tensors = {n.replace(".", ""): value for n, value in load_file(order.weights).items()}
        heads = Heads(settings.unet.heads, settings.unet.head_width)
        unet = to_unet(tensors, str(order.weights), heads, settings.unet.norm_groups)
        denoiser.unet.load_state_dict(unet.state_dict())
    return denoiser


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

"""The models that `cxrfuture bench train` takes steps of: ours, and the authors' UNet in its place.

Shapes: as in train/bench_step.py.
"""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cxrfuture_data.schema import FINDINGS, ContractError
from train import diffusion
from train.ddl_cxr import DdlCxrSettings
from train.model.compvis_unet import Heads, to_unet
from train.model.denoiser import Denoiser, Prediction
from train.model.history import History
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

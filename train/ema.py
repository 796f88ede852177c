"""Averaged weights of the UNet."""

import torch
from torch import Tensor, nn


def start_average(module: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter, by name."""
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


@torch.no_grad()
def update_average(average: dict[str, Tensor], module: nn.Module, steps: int, decay: float) -> None:
    """Move towards the weights after ``steps`` steps; early ones count more (specs ddl-cxr 8.5)."""
    weight = 1 - min(decay, (1 + steps) / (10 + steps))
    for name, current in module.named_parameters():
        average[name].lerp_(current.detach(), weight)

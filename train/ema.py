"""Averaged weights: of each, a mean over steps in which late ones count more."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Average = dict[str, Tensor]  # by the weight's name


def start_average(model: nn.Module, prefixes: Sequence[str]) -> Average:
    """A copy of every trained weight whose name begins with one of the prefixes."""
    return {
        name: weight.detach().clone()
        for name, weight in model.named_parameters()
        if weight.requires_grad and name.startswith(tuple(prefixes))
    }


@torch.no_grad()
def update_average(average: Average, model: nn.Module, steps: int, decay: float) -> None:
    """Move towards the weights after ``steps`` steps; early ones count more (specs ddl-cxr 8.5)."""
    weight = 1 - min(decay, (1 + steps) / (10 + steps))
    now = dict(model.named_parameters())
    # One call for all, where a device has such: a UNet has 700 weights.
    torch._foreach_lerp_(list(average.values()), [now[name].detach() for name in average], weight)


@contextmanager
def averaged_weights(model: nn.Module, average: Mapping[str, Tensor]) -> Iterator[None]:
    """The model has the averaged weights meanwhile, and its own afterwards."""
    own = {name: weight for name, weight in model.named_parameters() if name in average}
    kept = {name: weight.detach().clone() for name, weight in own.items()}
    try:
        _put(own, average)
        yield
    finally:
        _put(own, kept)


@torch.no_grad()
def _put(weights: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])

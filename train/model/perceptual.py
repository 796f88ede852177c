"""LPIPS: how unlike two films look to VGG16 (Zhang et al. 2018, arXiv 1801.03924).

The weights are others' work, trained on photographs; they are read from files on this machine and
never fetched. Any of these layouts will do, in one file or several: torchvision's vgg16
(``features.0.weight``), the linear layers of ``lpips`` and taming (``lin0.model.1.weight``), or
both as the ``loss.perceptual_loss.`` of a CompVis checkpoint (``net.slice1.0.weight``).
"""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from cxrfuture_data.schema import ContractError
from train.tensor_file import read_tensor_file

# VGG16's convolutions by their number in torchvision's ``features``, with their channels; a level
# ends with the activation that LPIPS compares, and a pooling precedes each but the first.
LEVELS: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((0, 3, 64), (2, 64, 64)),
    ((5, 64, 128), (7, 128, 128)),
    ((10, 128, 256), (12, 256, 256), (14, 256, 256)),
    ((17, 256, 512), (19, 512, 512), (21, 512, 512)),
    ((24, 512, 512), (26, 512, 512), (28, 512, 512)),
)
# Of photographs in [-1, 1]: the mean and spread that VGG16 was trained with, moved to that range.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
EPSILON = 1e-10  # added to the length of a feature vector
NAMES = (  # of one weight in the files, and ours
    (re.compile(r"^features\.(\d+)\.(weight|bias)$"), r"conv\1.\2"),
    (re.compile(r"^net\.slice\d\.(\d+)\.(weight|bias)$"), r"conv\1.\2"),
    (re.compile(r"^lin(\d)\.model\.\d\.weight$"), r"lin\1.weight"),
    (re.compile(r"^lins\.(\d)\.model\.\d\.weight$"), r"lin\1.weight"),
)
PREFIX = re.compile(r"^(loss\.)?perceptual_loss\.")


class Perceptual(nn.Module):
    """The distance, with weights that training does not change."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterDict(
            {
                name.replace(".", "_"): nn.Parameter(value.float(), requires_grad=False)
                for name, value in weights.items()
            }
        )
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))

    def forward(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Two batches (B, 1 or 3, H, W) in [-1, 1] -> their distances, (B,)."""
        pairs = zip(self.features(ours), self.features(theirs), strict=True)
        distance = ours.new_zeros(len(ours))
        for level, (one, other) in enumerate(pairs):
            square = (_unit(one) - _unit(other)).square()  # (B, F, h, w)
            weighted = conv2d(square, self.weights[f"lin{level}_weight"])  # (B, 1, h, w)
            distance = distance + weighted.float().mean((1, 2, 3))
        return distance

    def features(self, pixels: Tensor) -> list[Tensor]:
        """The last activation of each of the five levels."""
        value = (pixels.expand(-1, 3, -1, -1) - self.shift) / self.scale
        found = []
        for level, convolutions in enumerate(LEVELS):
            if level > 0:
                value = max_pool2d(value, 2)
            for number, _, _ in convolutions:
                weight, bias = (self.weights[f"conv{number}_{part}"] for part in ("weight", "bias"))
                value = torch.relu(conv2d(value, weight, bias, padding=1))
            found.append(value)
        return found


def load_perceptual(paths: Sequence[Path]) -> Perceptual:
    """The distance with the weights of one or more files; each tensor must be there and fit."""
    found: dict[str, Tensor] = {}
    for path in paths:
        for name, value in read_tensor_file(path).items():
            own = _own_name(name)
            if own is not None:
                found[own] = value
    listed = ", ".join(str(path) for path in paths)
    wanted = _shapes()
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ContractError(
            f"{listed}: no {missing[0]} ({len(missing)} of {len(wanted)} tensors are missing); "
            "fit_vae.perceptual_weights wants VGG16's convolutions and LPIPS's linear layers"
        )
    for name, shape in wanted.items():
        if tuple(found[name].shape) != shape:
            raise ContractError(
                f"{listed}: {name} is {tuple(found[name].shape)}, expected {shape}: not VGG16's"
            )
    return Perceptual({name: found[name] for name in wanted})


def _own_name(name: str) -> str | None:
    name = PREFIX.sub("", name)
    for pattern, own in NAMES:
        if pattern.match(name):
            return pattern.sub(own, name)
    return None


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for level, convolutions in enumerate(LEVELS):
        for number, before, after in convolutions:
            shapes[f"conv{number}.weight"] = (after, before, 3, 3)
            shapes[f"conv{number}.bias"] = (after,)
        shapes[f"lin{level}.weight"] = (1, convolutions[-1][2], 1, 1)
    return shapes


def _unit(features: Tensor) -> Tensor:
    """Each position's vector at length 1."""
    features = features.float()
    return features / (features.square().sum(1, keepdim=True).sqrt() + EPSILON)

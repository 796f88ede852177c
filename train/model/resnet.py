"""What films and transformers' ResNet need of each other, whoever looks at the films.

Shapes: B films of H x W pixels, or s x s.
"""

from torch import Tensor, nn
from torch.nn.functional import interpolate


def resize_films(pixels: Tensor, size: int | None) -> Tensor:
    """(B, C, H, W) float -> (B, C, s, s); as they come where ``size`` is null."""
    if size is None or pixels.shape[2:] == (size, size):
        return pixels
    # Smaller by the mean of what a pixel covers, without which fine structure turns to noise.
    if size < min(pixels.shape[2:]):
        return interpolate(pixels, (size, size), mode="area")
    return interpolate(pixels, (size, size), mode="bilinear")


def norm_by_group(module: nn.Module, groups: int) -> None:
    """Put group norm, new, in place of every batch norm: what is said of a film depends on no other
    film, in training as after it."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(groups, child.num_features))
        else:
            norm_by_group(child, groups)

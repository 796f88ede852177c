"""Latents from the posteriors that a dataset stores: a draw of each, or its mean.

Shapes: B samples; C, h, w of a latent.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cxrfuture_data.seed import random_bits

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

LOWEST_LOGVAR, HIGHEST_LOGVAR = -30.0, 20.0  # as diffusers clamps it
LATENTS_AT_ONCE = 8  # what is worked on stays in a core's own cache


def draw(mean: Array, logvar: Array, seeds: Sequence[int] | npt.NDArray[np.uint64]) -> Floats:
    """(B, C, h, w): mean + standard deviation x noise, each sample's noise from its own seed."""
    drawn = np.empty(mean.shape, np.float32)
    for start in range(0, len(mean), LATENTS_AT_ONCE):
        part = slice(start, start + LATENTS_AT_ONCE)
        spread = logvar[part].astype(np.float32)
        np.clip(spread, LOWEST_LOGVAR, HIGHEST_LOGVAR, out=spread)
        spread *= 0.5
        np.exp(spread, out=spread)
        spread *= standard_normal(seeds[part], drawn[0].size).reshape(spread.shape)
        np.add(mean[part].astype(np.float32), spread, out=drawn[part])
    return drawn


def mean(stored: Array) -> Floats:
    """(B, C, h, w): that of the posterior, whatever the seed."""
    return stored.astype(np.float32)


def standard_normal(seeds: Sequence[int] | npt.NDArray[np.uint64], count: int) -> Floats:
    """(B, count), each row from its own seed; by Box and Muller, of two 24-bit uniform numbers.

    The last digits may differ between machines, whose numpy may compute sines otherwise.
    """
    half = -(-count // 2)
    words = random_bits(seeds, half).astype("<u8", copy=False).view("<u4")  # (B, 2 half)
    numbers = (words >> 8).view(np.int32).astype(np.float32)
    radius, angle = numbers[:, :half], numbers[:, half:]
    radius += 1  # (0, 1], of which there is a logarithm
    radius *= 2.0**-24
    np.log(radius, out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    angle *= 2 * np.pi * 2.0**-24
    cosine = np.cos(angle)
    np.sin(angle, out=angle)
    angle *= radius
    radius *= cosine
    return numbers[:, :count]

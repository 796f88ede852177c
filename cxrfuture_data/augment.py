"""Films as published training loaders vary them: pure functions of the pixels and a seed.

A film is (s, s) uint8. Two functions that are given the same seed draw independent numbers.
Diff3M varies no film (specs diff3m 9).
"""

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxrfuture_data.schema import ContractError
from cxrfuture_data.seed import uniform_numbers

Pixels = npt.NDArray[np.uint8]

FLIPPED_SHARE = 0.5  # ddl-cxr 6, fusion-baselines 4.2
AREA = (0.75, 1.0)  # ehrxdiff 7.1: a square crop's share of the film
SEEN_PIXELS = 224  # ddl-cxr 6, fusion-baselines 4.2: of a film of 256


@dataclass(frozen=True)
class AffineRange:
    """Every turn, size and shift within it is as likely as any other."""

    degrees: float  # either way
    scale: tuple[float, float]
    shift: float = 0.0  # either way, of the film's side


EHRXDIFF_TARGET = AffineRange(degrees=10.0, scale=(0.9, 1.1))  # ehrxdiff 5
PREDICTION = AffineRange(45.0, (0.85, 1.15), shift=0.15)  # ddl-cxr 6, fusion-baselines 4.2


@dataclass(frozen=True)
class Affine:
    """A turn and a change of size about the film's centre, then a shift."""

    degrees: float  # clockwise
    scale: float
    right: int  # pixels
    down: int


def weak_affine(pixels: Pixels, seed: int) -> Pixels:
    """A film turned by up to 10 degrees and up to a tenth larger or smaller (ehrxdiff 5)."""
    return apply_affine(pixels, draw_affine(EHRXDIFF_TARGET, len(pixels), seed))


def prediction_view(pixels: Pixels, seed: int) -> Pixels:
    """(224, 224): flipped or not, turned, shifted and sized, then its middle (ddl-cxr 6,
    fusion-baselines 4.2); the film is one of 256 pixels."""
    affine = draw_affine(PREDICTION, len(pixels), seed)
    return centre_crop(apply_affine(random_flip(pixels, seed), affine), SEEN_PIXELS)


def prediction_affine(pixels: Pixels, seed: int) -> Pixels:
    """The turn, shift and size of ``prediction_view`` alone, at the film's own size: no flip, after
    which the heart is on the other side."""
    return apply_affine(pixels, draw_affine(PREDICTION, len(pixels), seed))


def random_flip(pixels: Pixels, seed: int) -> Pixels:
    """Left for right or not; then the heart is on the other side (ddl-cxr 12.2, B19)."""
    is_flipped = uniform_numbers(seed, "flip", 1)[0] < FLIPPED_SHARE
    return pixels[:, ::-1] if is_flipped else pixels


def random_resized_crop(pixels: Pixels, seed: int) -> Pixels:
    """A square of 75 to 100% of the film's area, wherever it fits, at the film's size (ehrxdiff
    7.1)."""
    size = len(pixels)
    area, down, right = uniform_numbers(seed, "resized crop", 3)
    side = round(size * _between(AREA, area) ** 0.5)
    top, left = int(down * (size - side + 1)), int(right * (size - side + 1))
    # Cropped first: resize's own box would let pixels beyond its edge in.
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))


def random_crop(pixels: Pixels, seed: int, size: int = SEEN_PIXELS) -> Pixels:
    """(size, size), wherever it fits (ddl-cxr 6: the autoencoder's training)."""
    spare = _spare(pixels, size)
    down, right = uniform_numbers(seed, "crop", 2)
    top, left = int(down * (spare + 1)), int(right * (spare + 1))
    return pixels[top : top + size, left : left + size]


def centre_crop(pixels: Pixels, size: int = SEEN_PIXELS) -> Pixels:
    """(size, size), the middle (ddl-cxr 6)."""
    start = _spare(pixels, size) // 2
    return pixels[start : start + size, start : start + size]


def draw_affine(allowed: AffineRange, size: int, seed: int) -> Affine:
    """For a film of ``size`` pixels."""
    degrees, scale, right, down = uniform_numbers(seed, "affine", 4)
    largest = allowed.shift * size
    return Affine(
        degrees=_between((-allowed.degrees, allowed.degrees), degrees),
        scale=_between(allowed.scale, scale),
        right=round(_between((-largest, largest), right)),
        down=round(_between((-largest, largest), down)),
    )


def apply_affine(pixels: Pixels, affine: Affine) -> Pixels:
    """The nearest pixel of the film, and black beyond it."""
    height, width = pixels.shape
    # Pillow asks of each pixel of the result where it was: the way back.
    along = cos(radians(affine.degrees)) / affine.scale
    across = sin(radians(affine.degrees)) / affine.scale
    x, y = width / 2 + affine.right, height / 2 + affine.down
    back = (
        *(along, across, width / 2 - along * x - across * y),
        *(-across, along, height / 2 + across * x - along * y),
    )
    film = Image.fromarray(pixels)
    method, nearest = Image.Transform.AFFINE, Image.Resampling.NEAREST
    return np.asarray(film.transform(film.size, method, back, resample=nearest, fillcolor=0))


def _between(limits: tuple[float, float], share: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * share


def _spare(pixels: Pixels, size: int) -> int:
    """How many pixels a crop leaves out, of each row and of each column."""
    if size > len(pixels):
        raise ContractError(f"crop of {size} pixels: the film has {len(pixels)}; read a larger one")
    return len(pixels) - size


# What a view may ask for by name: each keeps a film's size.
AUGMENTATIONS = {
    "weak_affine": weak_affine,
    "random_resized_crop": random_resized_crop,
    "prediction_affine": prediction_affine,
}

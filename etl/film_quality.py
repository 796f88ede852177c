"""Quality of a film's image as columns: facts and suspicions, never an exception.

All is computed from the small image in whole numbers, so it costs little and is the same on every
machine. docs/films.md says how often the suspicions are wrong.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# The mean of 600 frontal films of NIH ChestX-ray14 (NIH Clinical Center; Wang et al., CVPR 2017),
# each with mean 0 and deviation 1, on a grid of
# 8 x 8, made symmetric; the left half, in hundredths of the largest value. Its sum is 0.
FRONTAL_LEFT = (
    (-100, -87, -59, 10),
    (-21, -6, -30, -2),
    (8, 2, -54, -3),
    (-2, -3, -46, 19),
    (-21, -3, -14, 48),
    (-34, 7, 27, 68),
    (-48, 28, 63, 85),
    (-50, 43, 81, 94),
)
FRONTAL = np.array([[*row, *row[::-1]] for row in FRONTAL_LEFT], np.int64)
GRID = 8
VALUES = np.arange(256)

SPINE_LEAST = 0.4  # a frontal film's middle stands out of its lungs by more than this
NEAR_DUPLICATE_BITS = 4  # of 64 that may differ between two copies
HASH_BITS = 64


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Of the square 8-bit image.

    mean, deviation: of its values, 0 to 255. black, white: shares of pixels at 0 and at 255.
    likeness: correlation with a mean frontal film, -1 to 1; inverted: it is below 0.
    spine: how far the middle is brighter than the darker part of both lungs, in deviations;
    view_suspected: too little for a frontal film. dhash: 64 bits in hexadecimal.
    """

    mean: float
    deviation: float
    black: float
    white: float
    likeness: float
    inverted: bool
    spine: float
    view_suspected: bool
    dhash: str


def measure_quality(image: Image.Image) -> Quality:
    """Of an 8-bit grey image."""
    counts = np.array(image.histogram(), np.int64)
    pixels = int(counts.sum())
    total, squares = int(counts @ VALUES), int(counts @ VALUES**2)
    bands = cut_bands(image)
    likeness, spine = compare_with_frontal(bands.reshape(GRID, -1, GRID).sum(axis=1))
    return Quality(
        mean=round(total / pixels, 4),
        deviation=round((squares * pixels - total * total) ** 0.5 / pixels, 4),
        black=round(int(counts[0]) / pixels, 6),
        white=round(int(counts[255]) / pixels, 6),
        likeness=likeness,
        inverted=likeness < 0,
        spine=spine,
        view_suspected=spine < SPINE_LEAST,
        dhash=hash_bands(bands),
    )


def cut_bands(image: Image.Image) -> NDArray[np.int64]:
    """Means of 72 x 8 patches: 72 rows make 8 as well as 9."""
    small = image.resize((GRID, GRID * (GRID + 1)), Image.Resampling.BOX)
    return np.asarray(small).astype(np.int64)


def compare_with_frontal(coarse: NDArray[np.int64]) -> tuple[float, float]:
    """Likeness and spine of an 8 x 8 grid of any scale; both 0 if it is even."""
    total = int(coarse.sum())
    spread = int((coarse**2).sum()) * coarse.size - total**2  # 64 squared times the variance
    if spread == 0:
        return 0.0, 0.0
    deviation = spread**0.5 / coarse.size
    scale = float((FRONTAL**2).sum() * coarse.size) ** 0.5 * deviation
    likeness = int((FRONTAL * coarse).sum()) / scale
    columns = coarse[2:6].sum(axis=0)  # of the rows of the lungs
    lungs = max(columns[1:3].min(), columns[5:7].min())
    spine = int(columns[3:5].max() - lungs) / 4 / deviation
    return round(likeness, 4), round(spine, 4)


def hash_image(image: Image.Image) -> str:
    """Whether each of 8 x 8 patches is brighter than the one above it: a hash that a change of
    contrast, of size or of compression hardly moves. 16 hexadecimal digits."""
    return hash_bands(cut_bands(image))


def hash_bands(bands: NDArray[np.int64]) -> str:
    patches = bands.reshape(GRID + 1, GRID, GRID).sum(axis=1)
    return np.packbits(patches[1:] > patches[:-1]).tobytes().hex()


def hash_distance(one: str, other: str) -> int:
    """Bits that differ, 0 to 32; an inverted copy is as near as a plain one."""
    differ = (int(one, 16) ^ int(other, 16)).bit_count()
    return min(differ, HASH_BITS - differ)


def find_near_duplicates(
    films: Iterable[tuple[int, str, str | None]], most: int = NEAR_DUPLICATE_BITS
) -> list[tuple[int, str, str, int]]:
    """Pairs of films of one study that look like copies.

    ``films``: study_id, dicom_id and dhash (None: no image). A row of the result: study_id, both
    dicom_id in their order, and the bits that differ, at most ``most``.
    """
    studies = defaultdict(list)
    for study_id, dicom_id, dhash in films:
        if dhash is not None:
            studies[study_id].append((dicom_id, dhash))
    return [
        (study_id, one, other, distance)
        for study_id, members in sorted(studies.items())
        for (one, a), (other, b) in combinations(sorted(members), 2)
        if (distance := hash_distance(a, b)) <= most
    ]

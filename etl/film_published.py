"""How the authors' scripts made films small before anything else saw them."""

from io import BytesIO

import numpy as np
from PIL import Image

from etl.film_cubic import resize_cubic

EHRXDIFF_SIDE = 1024
EHRXDIFF_QUALITY = 95  # OpenCV's default

MEDFUSE_WIDTH = 512
MEDFUSE_QUALITY = 75  # Pillow's default


def resize_as_ehrxdiff(film: Image.Image, size: int) -> Image.Image:
    """To ``size`` x ``size`` through 1024 x 1024, by OpenCV's bicubic, and through a JPEG (specs
    ehrxdiff 6)."""
    large = resize_cubic(np.asarray(film), EHRXDIFF_SIDE, EHRXDIFF_SIDE)
    return save_and_open(Image.fromarray(resize_cubic(large, size, size)), EHRXDIFF_QUALITY)


def shrink_as_medfuse(film: Image.Image) -> Image.Image:
    """To a width of 512 by Pillow's bicubic, and through a JPEG (specs fusion-baselines 4.1; filter
    and quality are the defaults of the Pillow 8 that MedFuse pins). A film of that width has been
    there."""
    if film.width == MEDFUSE_WIDTH:
        return film
    height = max(1, int(film.height * (MEDFUSE_WIDTH / film.width)))
    small = film.resize((MEDFUSE_WIDTH, height), Image.Resampling.BICUBIC)
    return save_and_open(small, MEDFUSE_QUALITY)


def save_and_open(film: Image.Image, quality: int) -> Image.Image:
    """What is left of an 8-bit grey image in a JPEG."""
    saved = BytesIO()
    film.save(saved, "JPEG", quality=quality)
    with Image.open(saved, formats=("JPEG",)) as image:
        image.load()
        return image

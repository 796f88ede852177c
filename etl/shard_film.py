"""A film's pixels as the dataset keeps them: as PNG, or as levels."""

import io
from typing import TypedDict

from PIL import Image

from cxrfuture_data.level import Levels, encode_levels
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FilmsKept

PNG_LEVEL = 3  # of zlib; 6 is a tenth smaller and takes more than twice as long


class Kept(TypedDict):
    """The two fields of a Film that hold its pixels."""

    png: bytes | None
    levels: Levels | None


def keep_film(pixels: Array, films: FilmsKept) -> Kept:
    """uint8 (size, size) -> its bytes, always with the same settings; of ``none`` neither."""
    if films == "levels":
        return {"png": None, "levels": Levels(*encode_levels(pixels))}
    return {"png": encode_png(pixels) if films == "png" else None, "levels": None}


def encode_png(pixels: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=False, compress_level=PNG_LEVEL)
    return buffer.getvalue()

"""Whether a picture may show a film: a square of grey, shaded pixels somewhere in it."""

import io
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.guard_hit import Hit

Pixels = NDArray[np.uint8]

SHORTEST = 64  # pixels of a side; nothing is seen on a smaller film
BLOCK = 8
LARGEST_SIDE = 1024  # a larger picture is reduced to it before it is looked at
MOST_PIXELS = 120_000_000  # a film of the release has at most 12 million
GREYNESS = 12  # of 255, between the channels of a pixel: JPEG's colours are not exact
EXACT_GREYNESS, ALL_GREY = 3, 0.98  # of a film in a picture that is not grey all over
SHADES = (16, 235)  # a page's white and a film's black edge lie outside
ENOUGH_SHADED, ENOUGH_BLOCKS = 0.6, 0.7
LEAST_TEXTURE = 0.5  # standard deviation of a block, of 255; a plain area has none
MOST_PLAIN = 0.6  # of a block's pixels exactly alike: letters and lines stand on a plain ground
LEAST_VARIETY = 12.0  # standard deviation over the blocks of a square: a plain noise has little


def find_film(data: bytes) -> Iterator[Hit]:
    """A hit if the bytes of a picture may show a film; pictures that say they are simulated, in
    their comment, are passed."""
    from PIL import Image, ImageFile

    was_strict = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        ImageFile.LOAD_TRUNCATED_IMAGES = True  # half a film is one too
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if min(width, height) < SHORTEST or _says_simulated(image.info):
                    return
                what = f"{image.format} of {width} x {height} pixels"
                if width * height > MOST_PIXELS:
                    yield Hit(kind="unread", what=f"{what}, too large to look at")
                    return
                pixels = _pixels(image)
    except Image.DecompressionBombError:
        yield Hit(kind="unread", what="a picture too large to look at")
        return
    except Exception as error:  # Pillow's readers raise whatever a broken file makes them
        yield Hit(kind="unread", what=f"a picture that cannot be read ({type(error).__name__})")
        return
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = was_strict
    if shows_film(pixels):
        yield Hit(kind="film", what=f"grey picture, may be a film: {what}")


def shows_film(pixels: Pixels) -> bool:
    """uint8 (H, W, 3), reduced or not: True if a square of SHORTEST pixels looks like a film."""
    height, width = (side // BLOCK * BLOCK for side in pixels.shape[:2])
    if min(height, width) < SHORTEST:
        return False
    channels = [pixels[:height, :width, channel] for channel in range(3)]  # (H, W)
    grey = channels[1]
    colour = np.maximum.reduce(channels) - np.minimum.reduce(channels)
    is_grey_all_over = np.count_nonzero(colour <= GREYNESS) >= ALL_GREY * colour.size
    is_grey = colour <= (GREYNESS if is_grey_all_over else EXACT_GREYNESS)
    is_shaded = is_grey & (grey >= SHADES[0]) & (grey <= SHADES[1])
    side = SHORTEST // BLOCK
    is_film = _share_of_blocks(is_shaded) >= ENOUGH_SHADED  # (rows, columns)
    if not (_over_squares(is_film, side) >= ENOUGH_BLOCKS).any():  # most pictures end here
        return False
    blocks = _blocks(grey).astype(np.float32)
    plain = _share_of_blocks(grey == _unblocked(np.median(blocks, 2)))
    is_film &= (blocks.std(2) >= LEAST_TEXTURE) & (plain <= MOST_PLAIN)
    mean = blocks.mean(2)
    spread = _over_squares(mean**2, side) - _over_squares(mean, side) ** 2
    is_square = _over_squares(is_film, side) >= ENOUGH_BLOCKS
    return bool((is_square & (spread >= LEAST_VARIETY**2)).any())


def _blocks(values: NDArray[Any]) -> NDArray[Any]:
    """(H, W) -> (rows, columns, BLOCK * BLOCK)."""
    rows, columns = values.shape[0] // BLOCK, values.shape[1] // BLOCK
    apart = values.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    return apart.reshape(rows, columns, BLOCK * BLOCK)


def _unblocked(values: NDArray[Any]) -> NDArray[Any]:
    """(rows, columns) -> (H, W): the value of each pixel's block."""
    return values.repeat(BLOCK, 0).repeat(BLOCK, 1)


def _share_of_blocks(is_true: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) -> (rows, columns)."""
    return _blocks(is_true.view(np.uint8)).sum(2, dtype=np.float32) / BLOCK**2


def _over_squares(values: NDArray[Any], side: int) -> NDArray[np.float64]:
    """The mean over each square of ``side`` blocks, by sums over all blocks before a corner."""
    sums = np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return total / side**2


def _says_simulated(info: Mapping[str | tuple[int, int], object]) -> bool:
    """A JPEG's comment or a PNG's text."""
    for name in ("comment", "Comment", "Description"):
        value = info.get(name)
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if isinstance(text, str) and "simulated" in text.lower():
            return True
    return False


def _pixels(image: object) -> Pixels:
    """The first frame as uint8 (H, W, 3), no side above LARGEST_SIDE."""
    from PIL import Image

    assert isinstance(image, Image.Image)
    image.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
    frame = image
    if frame.mode.startswith(("I", "F")):  # 16 bits and more: by the range that is used
        values = np.asarray(frame, dtype=np.float32)
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) * (255.0 / max(high - low, 1.0))
        frame = Image.fromarray(scaled.astype(np.uint8))
    if frame.mode in {"RGBA", "LA", "PA"} or "transparency" in frame.info:
        clear = frame.convert("RGBA")
        frame = Image.new("RGBA", clear.size, "white")
        frame.alpha_composite(clear)
    frame = frame.convert("RGB")
    frame.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    return np.asarray(frame, dtype=np.uint8)

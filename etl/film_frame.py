"""The rule that makes a film a square image, and its geometry."""

from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from etl.film_published import resize_as_ehrxdiff, shrink_as_medfuse

# Part of every cache key: raise it when the same film would give other pixels.
READER_VERSION = 2

SCALED, EXACT = "scaled", "exact"
AS_EHRXDIFF, AS_MEDFUSE = "opencv_1024", "medfuse_512"

# Scaled: a film is first brought, by means of 2 x 2, 4 x 4 or more pixels, to no less than this
# many times the size wanted.
GAP = 2
SCALES = ("bilinear", "bicubic", "lanczos")  # "area" counts whole pixels, so it needs all of them
LONGEST = 8  # times the shorter side: longer films are cropped before they are resampled

RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
    AS_MEDFUSE: Image.Resampling.BILINEAR,
}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What decides the pixels besides the file: the recipe's image rule (etl/recipe.py)."""

    size: int
    fit: str
    resample: str
    decode: str

    @property
    def is_scaled(self) -> bool:
        """Whether the film may be decoded, or first reduced, to a fraction of its size."""
        return self.decode == SCALED and self.resample in SCALES

    def facts(self) -> dict[str, Any]:
        """As it stands in records and cache keys."""
        return asdict(self) | {"reader": READER_VERSION}


@dataclass(frozen=True)
class Decoded:
    """An 8-bit grey image, perhaps decoded at a fraction of the file's ``width`` x ``height``.

    ``across`` and ``down`` are the file's sides in pixels of ``grey``; not whole if it was scaled.
    ``bits`` are those of a value of the file.
    """

    grey: Image.Image
    width: int
    height: int
    across: float
    down: float
    bits: int


def whole_film(grey: Image.Image, bits: int) -> Decoded:
    """A film that was not scaled while it was decoded."""
    return Decoded(grey, grey.width, grey.height, grey.width, grey.height, bits)


def scaled_size(width: int, height: int, rule: Preprocessing) -> tuple[int, int]:
    """Width and height after scaling, before the crop; the longer side is rounded down."""
    if rule.fit == "stretch":
        return rule.size, rule.size
    shorter = min(width, height)
    return rule.size * width // shorter, rule.size * height // shorter


def frame_film(film: Decoded, rule: Preprocessing) -> Image.Image:
    """Scale and crop. Exact: as Pillow's resize and crop, one after the other, give every pixel.
    Scaled: in one resampling, of only the pixels that stay."""
    size = rule.size
    if rule.resample == AS_EHRXDIFF:
        return resize_as_ehrxdiff(film.grey, size)
    if rule.resample == AS_MEDFUSE:
        film = whole_film(shrink_as_medfuse(film.grey), film.bits)
    wide, high = scaled_size(film.width, film.height, rule)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    if not rule.is_scaled and max(wide, high) <= LONGEST * size:
        whole = film.grey.resize((wide, high), RESAMPLE[rule.resample])
        return whole.crop((left, top, left + size, top + size))
    x, y = film.across / wide, film.down / high  # pixels of the source to one of the result
    box = (
        left * x,
        top * y,
        min((left + size) * x, film.grey.width),
        min((top + size) * y, film.grey.height),
    )
    gap = GAP if rule.is_scaled else None
    return film.grey.resize((size, size), RESAMPLE[rule.resample], box=box, reducing_gap=gap)

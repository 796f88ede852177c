"""One film file to a square 8-bit grey image, or the reason why there is none.

Workers are spawned, so this module imports numpy and Pillow only; pydicom comes with the first
DICOM file.
"""

import hashlib
import warnings
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

Pixels = NDArray[np.uint8]

OUTCOMES = ("ok", "missing", "unreadable", "truncated", "constant")
SUFFIXES = (".jpg", ".png", ".dcm")  # the first that exists is read

# Part of every cache key: raise it when the same file would give other pixels.
READER_VERSION = 1

# A JPEG is decoded at 1/2, 1/4 or 1/8 while that leaves this many times the size wanted.
DRAFT_GAP = 2
FULL_GAP = 1_000_000  # "area" counts whole source pixels, so it is given all of them

TAIL_BYTES = 4096
RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}

ImageFile.LOAD_TRUNCATED_IMAGES = False  # else half a film would be grey, and count as read


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What decides the pixels besides the file: the recipe's image rule and the reader's version.

    fit: "crop" brings the shorter side to ``size`` and keeps the centre, "stretch" both sides.
    """

    size: int
    fit: str
    resample: str

    def facts(self) -> dict[str, Any]:
        """As it stands in records and cache keys."""
        return asdict(self) | {"reader": READER_VERSION}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One attempt. ``width`` and ``height`` are the file's own; ``pixels`` only if it is ok."""

    outcome: str
    reason: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    pixels: Pixels | None = None


class FilmError(Exception):
    """A film without an image. The reason is ours: a library's may hold a path or an address."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


@dataclass(frozen=True)
class Decoded:
    """An 8-bit grey image, perhaps decoded at a fraction of the file's ``width`` x ``height``.

    ``across`` and ``down`` are the file's sides in pixels of ``grey``; not whole if it was scaled.
    """

    grey: Image.Image
    width: int
    height: int
    across: float
    down: float


def locate_film(root: Path, path: str) -> Path | None:
    """The film's file below ``root``: the path's stem with the first suffix that exists."""
    for suffix in SUFFIXES:
        candidate = (root / path).with_suffix(suffix)
        if candidate.exists():
            return candidate
    return None


def read_film(path: Path | None, rule: Preprocessing) -> Reading:
    """Read a film; whatever is wrong with it becomes an outcome, never an exception."""
    try:
        data = path.read_bytes() if path is not None else None
    except FileNotFoundError:
        data = None
    except OSError as error:
        return Reading(outcome="unreadable", reason=type(error).__name__)
    if data is None:
        return Reading(outcome="missing", reason="no file")
    sha256 = hashlib.sha256(data).hexdigest()
    width = height = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote values of the header
            film = decode_film(data, rule)
        width, height = film.width, film.height
        darkest, brightest = film.grey.getextrema()
        if darkest == brightest:
            raise FilmError("constant", "every pixel has one value")
        pixels = np.asarray(frame_film(film, rule))
    except FilmError as error:
        return Reading(
            outcome=error.outcome, reason=error.reason, width=width, height=height, sha256=sha256
        )
    except Exception as error:
        # Decoders raise anything on a broken file; one film must not stop 377,000 others.
        outcome = "truncated" if "truncated" in str(error) else "unreadable"
        reason = "data end early" if outcome == "truncated" else type(error).__name__
        return Reading(outcome=outcome, reason=reason, sha256=sha256)
    return Reading(outcome="ok", width=width, height=height, sha256=sha256, pixels=pixels)


def decode_film(data: bytes, rule: Preprocessing) -> Decoded:
    """Decode by what the bytes are, not by the file's name."""
    if not data:
        raise FilmError("truncated", "empty file")
    tail = data[-TAIL_BYTES:]
    if data.startswith(b"\xff\xd8\xff"):
        # libjpeg fills what is missing with grey. Its end marker cannot occur inside image data.
        if b"\xff\xd9" not in tail:
            raise FilmError("truncated", "JPEG without its end marker")
        return decode_image(data, rule)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        if b"IEND" not in tail:
            raise FilmError("truncated", "PNG without its end chunk")
        return decode_image(data, rule)
    if data[128:132] == b"DICM":
        from etl.film_dicom import decode_dicom

        pixels = decode_dicom(data)
        height, width = pixels.shape
        return Decoded(Image.fromarray(pixels), width, height, width, height)
    raise FilmError("unreadable", "neither JPEG, PNG nor DICOM")


def decode_image(data: bytes, rule: Preprocessing) -> Decoded:
    """A JPEG or PNG as 8-bit grey. 16-bit values are scaled from the film's own lowest..highest."""
    with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as film:
        width, height = film.size
        across, down = float(width), float(height)
        wide, high = scaled_size(width, height, rule)
        gap = FULL_GAP if rule.resample == "area" else DRAFT_GAP
        drafted = film.draft("L", (wide * gap, high * gap))
        if drafted is not None:
            across, down = drafted[1][2:]
        film.load()
        if film.mode.startswith(("I", "F")):
            grey = Image.fromarray(stretch_range(np.asarray(film)))
        else:
            grey = film.convert("L")
    return Decoded(grey, width, height, across, down)


def stretch_range(values: NDArray[Any]) -> Pixels:
    """Any numbers to 0..255, lowest to highest; all 0 if they are one value."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(values.shape, np.uint8)
    return np.rint((values.astype(np.float64) - low) * 255.0 / (high - low)).astype(np.uint8)


def scaled_size(width: int, height: int, rule: Preprocessing) -> tuple[int, int]:
    """Width and height after scaling, before the crop; the longer side is rounded down."""
    if rule.fit == "stretch":
        return rule.size, rule.size
    shorter = min(width, height)
    return rule.size * width // shorter, rule.size * height // shorter


def frame_film(film: Decoded, rule: Preprocessing) -> Image.Image:
    """Scale and crop in one resampling: only the pixels that stay are computed."""
    size = rule.size
    wide, high = scaled_size(film.width, film.height, rule)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    x, y = film.across / wide, film.down / high  # pixels of the source to one of the result
    box = (
        left * x,
        top * y,
        min((left + size) * x, film.grey.width),
        min((top + size) * y, film.grey.height),
    )
    return film.grey.resize((size, size), RESAMPLE[rule.resample], box=box)

"""One film file to a square 8-bit grey image, or the reason why there is none.

Workers are spawned, so this module imports numpy and Pillow only; pydicom comes with the first
DICOM file.
"""

import hashlib
import warnings
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from etl.film_frame import GAP, Decoded, frame_film, scaled_size, whole_film
from etl.film_frame import Preprocessing as Preprocessing
from etl.film_quality import Quality, measure_quality

Pixels = NDArray[np.uint8]

OUTCOMES = ("ok", "missing", "unreadable", "truncated", "constant")
SUFFIXES = (".jpg", ".png", ".dcm")  # the first that exists is read

# Refused before they are decoded, or read. MIMIC-CXR's largest films have some 15 million pixels.
MAXIMUM_PIXELS = 100_000_000
MAXIMUM_BYTES = 512_000_000
TOO_MANY_BYTES = f"more than {MAXIMUM_BYTES:,} bytes"
TOO_LARGE = f"more than {MAXIMUM_PIXELS // 1_000_000} million pixels"

TAIL_BYTES = 4096
MODE_BITS = {"1": 1, "I;16": 16, "I;16B": 16, "I": 16, "F": 32}

ImageFile.LOAD_TRUNCATED_IMAGES = False  # else half a film would be grey, and count as read


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One attempt. ``width``, ``height`` and ``bits`` are the file's own; ``quality`` and
    ``pixels`` (size, size) are there only if it is ok."""

    outcome: str
    reason: str | None = None
    width: int | None = None
    height: int | None = None
    bits: int | None = None
    sha256: str | None = None
    quality: Quality | None = None
    pixels: Pixels | None = None

    def columns(self) -> dict[str, Any]:
        """Everything but the pixels, as a row of a table; None where it is not known."""
        facts = {name: value for name, value in vars(self).items() if name not in UNLISTED}
        of_quality = asdict(self.quality) if self.quality else dict.fromkeys(QUALITY_COLUMNS)
        return facts | of_quality


UNLISTED = ("quality", "pixels")
QUALITY_COLUMNS = tuple(field.name for field in fields(Quality))


class FilmError(Exception):
    """A film without an image. The reason is ours: a library's may hold a path or an address."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


MISSING = Reading(outcome="missing", reason="no file")


def locate_film(root: Path, path: str) -> Path | None:
    """The film's file below ``root``: the path's stem with the first suffix that exists."""
    for suffix in SUFFIXES:
        candidate = (root / path).with_suffix(suffix)
        if candidate.exists():
            return candidate
    return None


def read_film(path: Path | None, rule: Preprocessing) -> Reading:
    """Read a film; whatever is wrong with it becomes an outcome, never an exception."""
    data = MISSING if path is None else load_film(path)
    return data if isinstance(data, Reading) else read_bytes(data, rule)


def load_film(path: Path) -> bytes | Reading:
    """A file's bytes, or why there are none."""
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            return Reading(outcome="unreadable", reason=TOO_MANY_BYTES)
        return path.read_bytes()
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return Reading(outcome="unreadable", reason=type(error).__name__)


def read_bytes(data: bytes, rule: Preprocessing, sha256: str | None = None) -> Reading:
    """As read_film, of a film's bytes, wherever they come from. Whoever has their hash gives it."""
    known: dict[str, Any] = {"sha256": sha256 or hashlib.sha256(data).hexdigest()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote values of the header
            film = decode_film(data, rule)
        known |= {"width": film.width, "height": film.height, "bits": film.bits}
        image = frame_film(film, rule)
        # An image of several values is of such a film; one of a single value may be a dull centre.
        if is_constant(image) and is_constant(film.grey):
            raise FilmError("constant", "every pixel has one value")
        quality = measure_quality(image)
    except FilmError as error:
        return Reading(outcome=error.outcome, reason=error.reason, **known)
    except Exception as error:
        # Decoders raise anything on a broken file; one film must not stop 377,000 others.
        outcome = "truncated" if "truncated" in str(error) else "unreadable"
        reason = "data end early" if outcome == "truncated" else type(error).__name__
        return Reading(outcome=outcome, reason=reason, sha256=known["sha256"])
    return Reading(outcome="ok", quality=quality, pixels=np.asarray(image), **known)


def is_constant(image: Image.Image) -> bool:
    """Whether every pixel of an 8-bit grey image has one value."""
    darkest, brightest = image.getextrema()
    return darkest == brightest


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

        pixels, bits = decode_dicom(data)
        return whole_film(Image.fromarray(pixels), bits)
    raise FilmError("unreadable", "neither JPEG, PNG nor DICOM")


def decode_image(data: bytes, rule: Preprocessing) -> Decoded:
    """A JPEG or PNG as 8-bit grey. 16-bit values are scaled from the film's own lowest..highest."""
    try:
        opened = Image.open(BytesIO(data), formats=("JPEG", "PNG"))
    except Image.DecompressionBombError:
        raise FilmError("unreadable", TOO_LARGE) from None
    with opened as film:
        width, height = film.size
        require_size(width, height)
        across, down = float(width), float(height)
        bits = MODE_BITS.get(film.mode, 8)
        if rule.is_scaled:
            wide, high = scaled_size(width, height, rule)
            drafted = film.draft("L", (wide * GAP, high * GAP))
            if drafted is not None:
                across, down = drafted[1][2:]
        film.decodermaxblock = len(data)  # the decoder is called once, not every 64 kB
        film.load()
        if film.mode.startswith(("I", "F")):
            grey = Image.fromarray(stretch_range(np.asarray(film)))
        else:
            grey = film if film.mode == "L" else film.convert("L")
    return Decoded(grey, width, height, across, down, bits)


def require_size(width: int, height: int) -> None:
    """Refuse what would take too much memory; a header of some bytes can ask for any size."""
    if width * height > MAXIMUM_PIXELS:
        raise FilmError("unreadable", TOO_LARGE)


def stretch_range(values: NDArray[Any]) -> Pixels:
    """Any numbers to 0..255, lowest to highest; all 0 if they are one value."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(values.shape, np.uint8)
    return np.rint((values.astype(np.float64) - low) * 255.0 / (high - low)).astype(np.uint8)

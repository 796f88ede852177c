"""A DICOM film as 8-bit grey: modality LUT, VOI LUT or window, and MONOCHROME1 turned round.

Each step maps one stored value to another, so the chain runs on a table of the values that occur
(at most 65,536) and the film is looked up in it: exact, and several times faster than on pixels.
"""

import logging
import zlib
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEGExtended12Bit,
)

from etl.film_reader import MAXIMUM_BYTES, FilmError, Pixels, require_size, stretch_range

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote the header

INVERTED = "MONOCHROME1"  # the lowest value is white; no pydicom function inverts it
MAXIMUM_VALUES = 65_536
ROWS_AT_ONCE = 128
FILE_META = 144  # where the file's own header goes on after its length
DEFLATED = DeflatedExplicitVRLittleEndian.encode()
INFLATED_AT_ONCE = 1 << 20
PIXEL_DATA = b"\xe0\x7f\x10\x00"  # the tag as every syntax but big endian spells it

HIGH_THROUGHPUT = (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
# What decodes beside pydicom itself. The last is GPL, and no dependency of ours.
GDCM, OPENJPEG, LIBJPEG = "python-gdcm", "pylibjpeg[openjpeg]", "pylibjpeg[libjpeg]"


def decode_dicom(data: bytes) -> tuple[Pixels, int]:
    """uint8 (height, width) as a viewer would show it, bone bright; and the bits of a value."""
    require_inflated_size(data)
    dataset = dcmread(BytesIO(data))
    if "PixelData" not in dataset:
        # pydicom leaves out an element that the file ends in.
        if PIXEL_DATA in data:
            raise FilmError("truncated", "DICOM that ends in its pixel data")
        raise FilmError("unreadable", "DICOM without pixel data")
    stored = stored_values(dataset)
    bits = int(dataset.BitsStored)
    low, high = int(stored.min()), int(stored.max())
    if high - low >= MAXIMUM_VALUES:
        raise FilmError("unreadable", "more than 16 bits a pixel")
    table = display_table(dataset, np.arange(low, high + 1))
    if dataset.PhotometricInterpretation == INVERTED:
        table = 255 - table
    return look_up(stored, low, table), bits


def require_inflated_size(data: bytes) -> None:
    """Refuse a deflated file that is too large once inflated, which pydicom does at a blow."""
    start = FILE_META + int.from_bytes(data[FILE_META - 4 : FILE_META], "little")
    if DEFLATED not in data[:start]:
        return
    inflate, packed, size = zlib.decompressobj(-zlib.MAX_WBITS), data[start:], 0
    while packed and not inflate.eof:
        size += len(inflate.decompress(packed, INFLATED_AT_ONCE))
        packed = inflate.unconsumed_tail
        if size > MAXIMUM_BYTES:
            raise FilmError("unreadable", f"more than {MAXIMUM_BYTES:,} bytes once inflated")


def look_up(stored: NDArray[np.integer[Any]], low: int, table: Pixels) -> Pixels:
    """The grey of each stored value; the table begins at the value ``low``. Some rows at a time:
    numpy's indices take eight bytes a pixel."""
    if low > 0:
        table = np.concatenate([np.zeros(low, np.uint8), table])
    grey = np.empty(stored.shape, np.uint8)
    for start in range(0, len(stored), ROWS_AT_ONCE):
        rows = stored[start : start + ROWS_AT_ONCE]
        values = rows.astype(np.int32) - low if low < 0 else rows
        # No value is beyond the table, so none wraps; numpy is fastest when told so.
        np.take(table, values, out=grey[start : start + ROWS_AT_ONCE], mode="wrap")
    return grey


def stored_values(dataset: Any) -> NDArray[np.integer[Any]]:
    """The pixel data, decoded but not yet mapped."""
    if not str(dataset.PhotometricInterpretation).startswith("MONOCHROME"):
        raise FilmError("unreadable", "DICOM in colour")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise FilmError("unreadable", "DICOM with several frames")
    require_size(int(dataset.Columns), int(dataset.Rows))
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    require_decoder(syntax, int(dataset.BitsStored))
    try:
        stored: NDArray[np.integer[Any]] = dataset.pixel_array
    except RuntimeError:
        raise FilmError("unreadable", f"pixel data are not {syntax.name}") from None
    except ValueError as error:
        if "less than" in str(error):
            raise FilmError("truncated", "DICOM with too few pixel bytes") from None
        raise
    if stored.ndim != 2:
        raise FilmError("unreadable", "DICOM in colour")
    return stored


def require_decoder(syntax: UID, bits: int) -> None:
    """Refuse pixel data that nothing here decodes; the reason names what would."""
    try:
        is_available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise FilmError("unreadable", f"nothing decodes {syntax.name} ({syntax})") from None
    package = OPENJPEG if syntax in HIGH_THROUGHPUT else GDCM
    if syntax == JPEGExtended12Bit and bits > 8:
        package, is_available = LIBJPEG, find_spec("libjpeg") is not None
    if not is_available:
        raise FilmError(
            "unreadable", f"no decoder for {syntax.name} ({syntax}): pip install '{package}'"
        )


def display_table(dataset: Any, stored: NDArray[np.integer[Any]]) -> Pixels:
    """Stored values to 0..255. Without a VOI LUT or window: from the film's lowest to highest."""
    values = apply_modality_lut(stored, dataset)
    if dataset.get("VOILUTSequence"):
        lookup = dataset.VOILUTSequence[0]
        shown = apply_voi(np.rint(values).astype(np.int64), dataset).astype(np.float64)
        return to_grey(shown / (2.0 ** int(lookup.LUTDescriptor[2]) - 1.0))
    center, width = first_number(dataset, "WindowCenter"), first_number(dataset, "WindowWidth")
    kind = str(dataset.get("VOILUTFunction", "LINEAR")).upper()
    if center is None or width is None or width < 1 or (kind == "LINEAR" and width == 1):
        return stretch_range(values)
    return to_grey(apply_window(values.astype(np.float64), center, width, kind))


def apply_window(
    values: NDArray[np.float64], center: float, width: float, kind: str
) -> NDArray[np.float64]:
    """Values to 0..1 by a window (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if kind == "SIGMOID":
        return 1.0 / (1.0 + np.exp(-4.0 * (values - center) / width))
    if kind == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    return (values - (center - 0.5)) / (width - 1.0) + 0.5


def to_grey(shares: NDArray[np.float64]) -> Pixels:
    """0..1 to 0..255; what lies outside is cut."""
    return np.rint(np.clip(shares, 0.0, 1.0) * 255.0).astype(np.uint8)


def first_number(dataset: Any, name: str) -> float | None:
    """A number of the header, or the first of several."""
    value = dataset.get(name)
    if value is None or value == "":
        return None
    try:
        return float(value)
    except TypeError:
        return float(value[0]) if len(value) else None

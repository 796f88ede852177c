"""Files of numbers, weights and tables: what they are, told from their first and last bytes.

No library of a format is needed, and nothing is ever unpickled.
"""

import io
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etl.guard_hit import Hit
from etl.guard_id import CLASSES, LISTED, find_marked, find_names, is_id
from etl.guard_image import SHORTEST, shows_film

LARGE_BYTES = 2**20
"""Weights and containers that cannot be looked into are a finding from this size on."""
TAIL_BYTES = 2**20
VECTOR_ROWS, VECTOR_WIDTH = 100, 32  # an array this large may be a table of embeddings
HEADER_BYTES = 16 * 2**20

_WEIGHTS = re.compile(
    r".*\.(?:safetensors|ckpt|pt|pth|bin|onnx|pb|keras|gguf|msgpack)", re.I | re.S
)
_PICKLES = re.compile(r".*\.(?:pkl|pickle|joblib|p)", re.I | re.S)


@dataclass(frozen=True)
class Content:
    """A file's bytes: the first and the last of them where there are many."""

    head: bytes
    tail: bytes
    size: int

    @staticmethod
    def of(data: bytes) -> "Content":
        return Content(data, data[-TAIL_BYTES:], len(data))


def find_table(name: str, content: Content, allowed: frozenset[str]) -> Iterator[Hit]:
    """Hits of a file that is neither text nor picture nor archive."""
    head = content.head
    if head.startswith(b"PAR1"):
        yield from _of_names(content.tail, "Parquet", allowed)
        return
    if head.startswith(b"\x93NUMPY"):
        yield from find_array(head, content.size, allowed)
        return
    if is_weights(name):
        if content.size >= LARGE_BYTES:
            yield Hit(kind="data", what=f"weights of {_size(content)}, may be fitted on MIMIC")
            return
        yield from _of_names(_safetensors_header(head) or head, "weights", allowed)
        return
    what = _opaque(name, head)
    if what is None:
        marked = find_marked(head, allowed)
        if marked is not None:
            yield Hit(kind="id", what=f"binary file with {marked}")
        return
    named = list(_of_names(head, what, allowed))
    yield from named
    if not named and content.size >= LARGE_BYTES:
        yield Hit(kind="data", what=f"{what} of {_size(content)}, cannot be looked into")


def is_binary_table(head: bytes) -> bool:
    """By its first bytes; some have no NUL among the next ones."""
    return head.startswith((b"PAR1", b"\x93NUMPY", b"ARROW1", b"FEA1"))


def is_weights(name: str) -> bool:
    """By the file's name; PyTorch's are archives too."""
    return bool(_WEIGHTS.fullmatch(name))


def find_array(data: bytes, size: int, allowed: frozenset[str]) -> Iterator[Hit]:
    """A NumPy file: ids, grey pictures or vectors. ``size``: of the whole file, of which ``data``
    may be the beginning."""
    try:
        shape, kind, values = _read_array(data)
    except (ValueError, EOFError, SyntaxError):
        yield from _of_names(data, "NumPy file that cannot be read", allowed)
        return
    what = f"array of {' x '.join(map(str, shape))} {kind.name}"
    if kind.kind in "iu" and kind.itemsize >= 4:
        if _holds_ids(values, allowed):
            yield Hit(kind="id", what=f"{what}, whose values look like ids")
    elif kind == np.uint8 and len(shape) >= 2:
        if _holds_film(shape, values):
            yield Hit(kind="film", what=f"{what}, may hold films")
    elif kind.kind == "f" and len(shape) >= 2:
        if shape[0] >= VECTOR_ROWS and int(np.prod(shape[1:])) >= VECTOR_WIDTH:
            yield Hit(kind="data", what=f"{what}, may be embeddings, latents or films")
    elif kind.hasobject or kind.names:
        yield from _of_names(data, "NumPy file", allowed)


def _read_array(data: bytes) -> tuple[tuple[int, ...], np.dtype, NDArray]:  # type: ignore[type-arg]
    """Shape, type, and as many values, in one row, as there are bytes for; none of an object."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, kind = read(stream)
    if kind.hasobject or kind.names or not kind.itemsize:
        return shape, kind, np.zeros(0)
    start = stream.tell()
    count = min(int(np.prod(shape)), (len(data) - start) // kind.itemsize)
    return shape, kind, np.frombuffer(data, kind, count, start)


def _holds_ids(values: NDArray, allowed: frozenset[str]) -> bool:  # type: ignore[type-arg]
    """True if most values of a class's range are there in number; ``values``: integers (N,)."""
    for first in CLASSES:
        low = first * 10**7
        inside = np.unique(values[(values >= low) & (values < low + 10**7)][:10_000])
        real = [value for value in inside.tolist() if is_id(str(value), allowed) and value % 1000]
        if len(real) >= LISTED:
            return True
    return False


def _holds_film(shape: tuple[int, ...], values: NDArray) -> bool:  # type: ignore[type-arg]
    """uint8 (..., H, W) or (..., H, W, 3): whether the first picture looks like a film."""
    channels = shape[-1] if shape[-1] in {1, 3} and len(shape) >= 3 else 1
    sides = shape[-3:-1] if channels != 1 or shape[-1] == 1 else shape[-2:]
    if len(sides) != 2 or min(sides) < SHORTEST or values.size < sides[0] * sides[1] * channels:
        return False
    first = values[: sides[0] * sides[1] * channels].reshape(*sides, channels)
    return shows_film(np.repeat(first, 3, axis=2) if channels == 1 else first)


def _safetensors_header(head: bytes) -> bytes | None:
    """The JSON that names the tensors; None if this is no such file."""
    if len(head) < 8:
        return None
    (length,) = struct.unpack("<Q", head[:8])
    header = head[8 : 8 + length]
    if length > HEADER_BYTES or not header.startswith(b"{"):
        return None
    try:
        json.loads(header)
    except ValueError:
        return None
    return header


def _opaque(name: str, head: bytes) -> str | None:
    """The kind of a file that only its own library reads."""
    if head.startswith(b"\x89HDF\r\n"):
        return "HDF5"
    if head.startswith(b"SQLite format 3\0"):
        return "SQLite database"
    if head[8:12] == b"DUCK":
        return "DuckDB database"
    if head.startswith((b"ARROW1", b"FEA1")):
        return "Arrow table"
    if _PICKLES.fullmatch(name):
        return "pickle"
    return None


def _of_names(data: bytes, what: str, allowed: frozenset[str]) -> Iterator[Hit]:
    found = find_names(data, allowed)
    if found is not None:
        yield Hit(kind="data", what=f"{what} with {found}")


def _size(content: Content) -> str:
    return f"{content.size / 1e6:,.1f} MB"

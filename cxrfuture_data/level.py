"""A film kept once, so that any of its levels can be read from a prefix of its bytes, exactly.

A level is one resolution, named by its shorter side in pixels. The largest is the film itself; each
below it has half the side, a pixel being the mean of two by two. Bytes: a header (magic, version,
number of levels, height, width, the length of each part), then one part a level, smallest first.
The first part holds the smallest level, as differences between rows. Every other holds what the
level adds to the one below it: differences of neighbours, less what the slope of the level below
lets expect (the S-transform with prediction, Said and Pearlman 1996), deflated.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cxrfuture_data.schema import ContractError

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, int]

SMALLEST_LEVEL = 64  # shorter side; below it nothing is halved
LARGEST_SIDE = 8192  # so that a damaged header cannot ask for gigabytes
MAGIC, VERSION = b"CXRL", 1
ROWS, COLUMNS = 0, 1
HEADER, LENGTH = ">4sBBII", ">I"
# Differences are noise, in which no string comes twice, but black borders are runs.
STRATEGY, MEMORY, ZLIB_LEVEL = zlib.Z_RLE, 9, 1


@dataclass(frozen=True, eq=False)
class Levels:
    """A film as levels, or a prefix of it. ``ends``: shorter side -> bytes that hold that level."""

    data: bytes
    ends: Mapping[int, int]

    @property
    def is_whole(self) -> bool:
        return len(self.data) == max(self.ends.values())

    @property
    def largest(self) -> int:
        """The largest level that ``data`` holds."""
        held = [size for size, end in self.ends.items() if end <= len(self.data)]
        if not held:
            raise ContractError(f"levels: {len(self.data)} bytes hold none of {dict(self.ends)}")
        return max(held)


def encode_levels(pixels: Array) -> tuple[bytes, dict[int, int]]:
    """uint8 (H, W) -> the bytes, and how many of them hold each level, by shorter side.

    Levels are the film and its halves (rounded up) of at least 64 pixels. Equal pixels give equal
    bytes, on one version of zlib.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or not pixels.size:
        raise ContractError(f"levels: {pixels.dtype} {pixels.shape}; a film is uint8 (H, W)")
    if max(pixels.shape) > LARGEST_SIDE:
        raise ContractError(f"levels: a film of {pixels.shape}; at most {LARGEST_SIDE} a side")
    shapes = _shapes((pixels.shape[0], pixels.shape[1]))
    level, parts = pixels.astype(np.int16), []
    for _ in shapes[1:]:
        level, details = _halve(level)
        parts.append(_pack(details))
    base = np.diff(level.astype(np.uint8), axis=0, prepend=np.uint8(0))
    parts = [_deflate(base.tobytes()), *reversed(parts)]
    header = struct.pack(HEADER, MAGIC, VERSION, len(parts), *pixels.shape)
    header += b"".join(struct.pack(LENGTH, len(part)) for part in parts)
    return header + b"".join(parts), _ends(len(header), shapes, [len(part) for part in parts])


def decode_level(prefix: bytes, size: int) -> Array:
    """The level of this shorter side, uint8 (h, w); of ``prefix`` only its own bytes are used."""
    shapes, ends = _read_header(prefix)
    if size not in ends:
        raise ContractError(f"levels: no level of {size} pixels; this film has {sorted(ends)}")
    if len(prefix) < ends[size]:
        raise ContractError(
            f"levels: truncated: {len(prefix):,} bytes, level {size} needs {ends[size]:,}"
        )
    cuts = [struct.calcsize(HEADER) + len(shapes) * struct.calcsize(LENGTH), *ends.values()]
    parts = [memoryview(prefix)[start:end] for start, end in pairwise(cuts)]
    wanted = list(ends).index(size)
    base = np.frombuffer(_inflate(parts[0], shapes[0][0] * shapes[0][1]), np.uint8)
    level = np.cumsum(base.reshape(shapes[0]), axis=0, dtype=np.uint8).astype(np.int16)
    for part, shape in zip(parts[1 : wanted + 1], shapes[1 : wanted + 1], strict=True):
        level = _double(level, _unpack(part, shape))
    return level.astype(np.uint8)


def level_ends(prefix: bytes) -> dict[int, int]:
    """The bytes that hold each level, by shorter side, as the header has them."""
    return _read_header(prefix)[1]


def _read_header(prefix: bytes) -> tuple[list[Shape], dict[int, int]]:
    size = struct.calcsize(HEADER)
    if len(prefix) < size or not prefix.startswith(MAGIC):
        raise ContractError(f"levels: no levels, or not even their header: {bytes(prefix[:8])!r}")
    _, version, count, height, width = struct.unpack_from(HEADER, prefix)
    if version != VERSION:
        raise ContractError(f"levels: version {version}, this reader knows {VERSION}")
    if not 0 < min(height, width) <= max(height, width) <= LARGEST_SIDE:
        raise ContractError(f"levels: damaged: a film of {height} x {width} pixels")
    shapes = _shapes((height, width))
    if count != len(shapes):
        raise ContractError(f"levels: damaged: {count} levels of {height} x {width} pixels")
    end = size + count * struct.calcsize(LENGTH)
    if len(prefix) < end:
        raise ContractError(f"levels: truncated: {len(prefix)} bytes, the header has {end}")
    lengths = [length for (length,) in struct.iter_unpack(LENGTH, prefix[size:end])]
    return shapes, _ends(end, shapes, lengths)


def _shapes(shape: Shape) -> list[Shape]:
    """Of the levels of a film, smallest first."""
    shapes = [shape]
    while min(shapes[-1]) > 2 * (SMALLEST_LEVEL - 1):  # half of it, rounded up, is large enough
        shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
    return shapes[::-1]


def _ends(header: int, shapes: Sequence[Shape], lengths: Sequence[int]) -> dict[int, int]:
    ends = list(accumulate(lengths, initial=header))[1:]
    return {min(shape): end for shape, end in zip(shapes, ends, strict=True)}


def _halve(level: Array) -> tuple[Array, list[Array]]:
    """int16 (h, w) -> its half, and three arrays of details. Columns first, then rows.

    Halves are rounded down in one direction and up in the other, so means do not drift.
    """
    low, high = _split(level, COLUMNS, up=0)
    half, low_detail = _split(low, ROWS, up=1)
    high_mean, high_detail = _split(high, ROWS, up=0)
    return half, [low_detail, high_mean, high_detail]


def _double(half: Array, details: Sequence[Array]) -> Array:
    low_detail, high_mean, high_detail = details
    low = _merge(half, low_detail, ROWS, up=1)
    high = _merge(high_mean, high_detail, ROWS, up=0)
    return _merge(low, high, COLUMNS, up=0)


def _split(values: Array, axis: int, *, up: int) -> tuple[Array, Array]:
    """n rows or columns -> means of pairs of them (n / 2, rounded up), and details (rounded down).

    The last of an odd number is its own mean.
    """
    count = values.shape[axis] // 2
    first, second = _cut(values, axis, 0, None, 2), _cut(values, axis, 1, None, 2)
    mean = first.copy()
    paired = _cut(mean, axis, 0, count)
    paired += second
    paired += up
    paired >>= 1
    detail = _cut(first, axis, 0, count) - second
    detail -= _cut(_slope(mean, axis), axis, 0, count)
    return mean, detail


def _merge(mean: Array, detail: Array, axis: int, *, up: int) -> Array:
    count = detail.shape[axis]
    paired = _cut(mean, axis, 0, count)
    difference = _cut(_slope(mean, axis), axis, 0, count)
    difference += detail
    # Of two integers, sum and difference are both odd or both even: the bit that halving lost.
    total = difference + up
    total &= 1
    total -= up
    total += paired
    total += paired
    shape = list(mean.shape)
    shape[axis] += count
    values = np.empty(shape, np.int16)
    _cut(values, axis, 0, None, 2)[...] = mean
    first = _cut(values, axis, 0, 2 * count, 2)
    np.add(total, difference, out=first)
    first >>= 1
    np.subtract(total, first, out=_cut(values, axis, 1, None, 2))
    return values


def _slope(mean: Array, axis: int) -> Array:
    """What a row or column less the next is expected to be: a quarter of the means' slope there."""
    slope = np.empty_like(mean)
    last = mean.shape[axis] - 1
    _cut(slope, axis, 1, None)[...] = _cut(mean, axis, 0, last)
    _cut(slope, axis, 0, 1)[...] = _cut(mean, axis, 0, 1)
    after = _cut(slope, axis, 0, last)
    after -= _cut(mean, axis, 1, None)
    end = _cut(slope, axis, last, None)
    end -= _cut(mean, axis, last, None)
    slope += 2
    slope >>= 2
    return slope


def _cut(values: Array, axis: int, start: int, stop: int | None, step: int = 1) -> Array:
    """A view of some rows, or of some columns."""
    part = slice(start, stop, step)
    return values[part] if axis == ROWS else values[:, part]


def _pack(details: Sequence[Array]) -> bytes:
    """Low bytes, then high ones. Most lie in -128..127, and 128 more than that has no high byte."""
    flat = np.concatenate([detail.ravel() for detail in details]) + np.int16(128)
    return _deflate((flat & 255).astype(np.uint8).tobytes() + (flat >> 8).astype(np.int8).tobytes())


def _unpack(part: memoryview, shape: Shape) -> list[Array]:
    """The details that a level of this shape adds to its half."""
    low, high = (shape[0] + 1) // 2, shape[0] // 2
    left, right = (shape[1] + 1) // 2, shape[1] // 2
    shapes = [(high, left), (low, right), (high, right)]
    sizes = [rows * columns for rows, columns in shapes]
    count = sum(sizes)
    found = _inflate(part, 2 * count)
    flat = np.frombuffer(found, np.uint8, count).astype(np.int16) - 128
    high_bytes = np.frombuffer(found, np.int8, count, offset=count)
    if high_bytes.any():
        flat += high_bytes.astype(np.int16) << 8
    cuts = np.split(flat, np.cumsum(sizes)[:-1])
    return [cut.reshape(shape) for cut, shape in zip(cuts, shapes, strict=True)]


def _deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(ZLIB_LEVEL, memLevel=MEMORY, strategy=STRATEGY)
    return deflate.compress(data) + deflate.flush()


def _inflate(part: memoryview, size: int) -> bytes:
    """Exactly ``size`` bytes; never more, whatever ``part`` says."""
    inflate = zlib.decompressobj()
    try:
        found = inflate.decompress(part, size + 1)
    except zlib.error as error:
        raise ContractError(f"levels: damaged: {error}") from None
    if len(found) != size or not inflate.eof:
        raise ContractError(f"levels: damaged: a part of {len(found):,} bytes, not {size:,}")
    return found

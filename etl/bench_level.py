"""Bench of levels: bytes and time of each resolution, against other ways to keep a film.

All ways take turns on the same films in memory, so no disk is measured; of each the best of all
rounds counts.
"""

import io
import json
import struct
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from cxrfuture_data.console import progress
from cxrfuture_data.level import decode_level, encode_levels
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import ContractError
from etl.shard_film import encode_png

SUFFIXES = (".png", ".jpg", ".jpeg")
JPEG_QUALITY = 95  # MIMIC-CXR-JPG's
PACKET_LENGTHS, START_OF_DATA = 0xFF58, 0xFF93  # markers of JPEG 2000
RESIZES = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
WAYS = {
    "levels": "prefix of the levels",
    "png of the level": "PNG of the level alone",
    "png": "whole PNG, resized",
    "jpeg": "whole JPEG, resized",
    "jpeg 2000": "prefix of JPEG 2000",
}
Way = tuple[int, Callable[[], Array]]  # bytes to read, and what is done with them


def run_level_bench(films: Path, count: int, rounds: int, as_json: bool = False) -> None:
    """Print bytes and milliseconds of each level and way, of the first ``count`` films."""
    result = bench_level(films, count, rounds)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    table = Table("level", "way", "bytes", "ms", "from LANCZOS", "from box")
    for size, entry in result["levels"].items():
        for way, facts in entry["ways"].items():
            cells = [f"{facts['bytes']:,.0f}", f"{facts['ms']:.2f}"]
            cells += [f"{facts[resize]:.2f}" for resize in RESIZES]
            table.add_row(size, WAYS[way], *cells, end_section=way == list(WAYS)[-1])
    console = Console()
    console.print(table)
    console.print(
        f"{result['films']} films, best of {rounds} rounds; differences are means, of 255."
        f" All levels of a film once: {result['ratio']:.2f} of the time of a whole PNG each"
        f" ({result['bytes_ratio']:.2f} of the bytes). Kept: {result['kept_ratio']:.2f} of PNG's"
        f" bytes; encoded in {result['encode_ms']:.1f} ms, PNG in {result['encode_png_ms']:.1f}."
    )


def bench_level(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """Measure. ``ratio``: time of the levels over that of a whole PNG; ``bytes_ratio`` likewise."""
    films = [_read(path) for path in _find(folder, count)]
    levels: dict[int, list[dict[str, dict[str, float]]]] = {}
    kept: list[tuple[int, int]] = []
    encodes: list[tuple[float, float]] = []
    with progress("bench", len(films), "films") as advance:
        for film in films:
            ways = _ways(film)
            sizes = list(ways)
            kept.append((ways[sizes[-1]]["levels"][0], ways[sizes[-1]]["png"][0]))
            best = _best(
                {"levels": partial(encode_levels, film), "png": partial(encode_png, film)}, rounds
            )
            encodes.append((best["levels"], best["png"]))
            for size in sizes:
                levels.setdefault(size, []).append(_measure(film, size, ways[size], rounds))
            advance()
    entries = {str(size): _summary(levels[size]) for size in sorted(levels)}
    total = {
        key: {way: sum(e["ways"][way][key] * e["films"] for e in entries.values()) for way in WAYS}
        for key in ("ms", "bytes")
    }
    return {
        "films": len(films),
        "rounds": rounds,
        "ratio": total["ms"]["levels"] / total["ms"]["png"],
        "bytes_ratio": total["bytes"]["levels"] / total["bytes"]["png"],
        "kept_ratio": sum(own for own, _ in kept) / sum(png for _, png in kept),
        "encode_ms": float(np.mean([own for own, _ in encodes])),
        "encode_png_ms": float(np.mean([png for _, png in encodes])),
        "levels": entries,
    }


def _find(folder: Path, count: int) -> list[Path]:
    if not folder.is_dir():
        raise ContractError(f"{folder}: no such folder; give one that holds films")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ContractError(f"{folder}: no film in it; expected {', '.join(SUFFIXES)}")
    return paths[:count]


def _read(path: Path) -> Array:
    """The middle square of a film, 8-bit grey."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as film:
            grey = film.convert("L")
    except OSError as error:
        raise ContractError(f"{path}: not a film: {error}") from None
    side = min(grey.size)
    left, top = (grey.width - side) // 2, (grey.height - side) // 2
    return np.asarray(grey.crop((left, top, left + side, top + side)))


def _ways(film: Array) -> dict[int, dict[str, Way]]:
    """Of each level, smallest first, the ways to get its pixels."""
    data, ends = encode_levels(film)
    png, jpeg = encode_png(film), _encode_jpeg(film)
    wavelet = _encode_jpeg_2000(film, len(ends))
    packets = _packet_ends(wavelet)
    ways: dict[int, dict[str, Way]] = {}
    for number, (size, end) in enumerate(ends.items()):
        prefix, halvings = data[:end], len(ends) - 1 - number
        alone = encode_png(decode_level(prefix, size))
        ways[size] = {
            "levels": (end, partial(decode_level, prefix, size)),
            "png of the level": (len(alone), partial(_decode, alone, size)),
            "png": (len(png), partial(_decode, png, size)),
            "jpeg": (len(jpeg), partial(_decode, jpeg, size)),
            "jpeg 2000": (packets[number], partial(_decode_halved, wavelet, halvings)),
        }
    return ways


def _encode_jpeg(film: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _encode_jpeg_2000(film: Array, resolutions: int) -> bytes:
    """Lossless (the 5/3 wavelet), resolution by resolution, one packet each."""
    buffer = io.BytesIO()
    Image.fromarray(film).save(
        buffer,
        "JPEG2000",
        no_jp2=True,
        irreversible=False,
        progression="RLCP",
        num_resolutions=resolutions,
        plt=True,
    )
    return buffer.getvalue()


def _packet_ends(codestream: bytes) -> list[int]:
    """The bytes that hold each resolution, from the packet lengths in the header."""
    lengths, at = [0], 2
    while True:
        marker, size = struct.unpack_from(">HH", codestream, at)
        if marker == START_OF_DATA:
            break
        if marker == PACKET_LENGTHS:
            for byte in codestream[at + 5 : at + 2 + size]:
                lengths[-1] = lengths[-1] << 7 | byte & 127
                if byte < 128:
                    lengths.append(0)
        at += 2 + size
    return [at + 2 + int(end) for end in np.cumsum(lengths[:-1])]


def _decode(data: bytes, size: int) -> Array:
    """A PNG or JPEG as a square of this size; a JPEG by scaled decode."""
    with Image.open(io.BytesIO(data)) as film:
        film.draft("L", (size, size))
        film.load()
        whole = film if film.width == size else film.resize((size, size), RESIZES["lanczos"])
        return np.asarray(whole)


def _decode_halved(codestream: bytes, halvings: int) -> Array:
    with Image.open(io.BytesIO(codestream)) as film:
        film.reduce = halvings  # type: ignore[method-assign,assignment]
        return np.asarray(film)


def _measure(
    film: Array, size: int, ways: dict[str, Way], rounds: int
) -> dict[str, dict[str, float]]:
    """Bytes, milliseconds, and mean differences from the film resized."""
    best = _best({way: decode for way, (_, decode) in ways.items()}, rounds)
    grey = Image.fromarray(film)
    expected = {
        name: np.asarray(grey.resize((size, size), resample)).astype(np.int16)
        for name, resample in RESIZES.items()
    }
    found = {way: decode().astype(np.int16) for way, (_, decode) in ways.items()}
    return {
        way: {"bytes": ways[way][0], "ms": best[way]}
        | {name: float(np.abs(found[way] - pixels).mean()) for name, pixels in expected.items()}
        for way in WAYS
    }


def _best(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Milliseconds; the calls take turns."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for way, call in calls.items():
            start = time.perf_counter()
            call()
            best[way] = min(best[way], 1000 * (time.perf_counter() - start))
    return best


def _summary(found: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over the films that have the level."""
    ways = {
        way: {key: float(np.mean([film[way][key] for film in found])) for key in found[0][way]}
        for way in WAYS
    }
    return {
        "films": len(found),
        "ratio": ways["levels"]["ms"] / ways["png"]["ms"],
        "bytes_ratio": ways["levels"]["bytes"] / ways["png"]["bytes"],
        "ways": ways,
    }

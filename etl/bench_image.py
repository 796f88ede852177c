"""Bench of the film reader: films a second and core of each path, against the bare decoder.

Ours and bare take turns, film by film, in one process; the faster of the rounds counts. Seconds are
the processor's. Bare is a decoder and the same resize: no checksum, no quality, no outcome. Peak
memory is of a fresh process that reads one film.
"""

import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cxrfuture_data.schema import ContractError
from etl.film_frame import (
    EXACT,
    GAP,
    SCALED,
    Decoded,
    Preprocessing,
    frame_film,
    scaled_size,
    whole_film,
)
from etl.film_quality import measure_quality
from etl.film_reader import Pixels, read_film

SCALED_JPEG, EXACT_JPEG = JPEGS = ("JPEG scaled", "JPEG exact")
SIZE = 256
DICOM_FILMS = 3  # JPEG 2000 takes a second a film
ROUNDS = 3
STATUS = Path("/proc/self/status")

Work = Callable[[Path], Any]


def run_image_bench(films: Path | None, count: int, as_json: bool = False) -> None:
    """Print what ``bench_image`` measures."""
    with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as folder:
        result = bench_image(films, count, Path(folder))
    if as_json:
        print(json.dumps(result, indent=1))
        return
    console = Console()
    console.print(_table(result))
    console.print(_say(result), highlight=False)


def bench_image(films: Path | None, count: int, folder: Path) -> dict[str, Any]:
    """Measure. ``ratio`` is our films a second over the bare decoder's, scaled."""
    from etl.bench_image_films import list_films, write_dicoms, write_jpegs

    jpegs = write_jpegs(list_films(films, count) if films else [], count, folder)
    dicoms = [write_dicoms(jpeg, folder) for jpeg in jpegs[:DICOM_FILMS]]
    files = {name: jpegs for name in JPEGS}
    files |= {name: [of_film[name] for of_film in dicoms] for name in dicoms[0]}
    paths = {name: compare(name, members) for name, members in files.items()}
    scaled = paths[SCALED_JPEG]["seconds"]
    return {
        "films": len(jpegs),
        "source": str(films) if films else "SIMULATED",
        "mean_mb": sum(jpeg.stat().st_size for jpeg in jpegs) / len(jpegs) / 1e6,
        "bare": name_of_bare(),
        "ratio": paths[SCALED_JPEG]["ratio"],
        "paths": paths,
        "sha256_share": mean_seconds(jpegs, take_sha256) / scaled,
        "quality_share": mean_seconds(jpegs, measure_quality, open_small) / scaled,
        "difference": difference(jpegs),
    }


def compare(name: str, files: list[Path]) -> dict[str, Any]:
    """Both ways over the same files."""
    ours, bare = our_way(name), bare_way(name)
    best = [[float("inf")] * len(files), [float("inf")] * len(files)]
    for round_number in range(ROUNDS):
        for number, file in enumerate(files):
            turns = [(0, ours), (1, bare)]
            for way, work in turns if (round_number + number) % 2 else turns[::-1]:
                seconds = clock(work, file)
                best[way][number] = min(best[way][number], seconds)
    seconds, bare_seconds = (sum(of_way) / len(files) for of_way in best)
    return {
        "films": len(files),
        "seconds": seconds,
        "films_per_second": 1 / seconds,
        "bare_films_per_second": 1 / bare_seconds,
        "ratio": bare_seconds / seconds,
        "peak_mb": peak_of(name, files[0]),
    }


def rule_of(name: str) -> Preprocessing:
    decode = EXACT if name == EXACT_JPEG else SCALED
    return Preprocessing(size=SIZE, fit="crop", resample="bicubic", decode=decode)


def our_way(name: str) -> Work:
    """The pixels of a film, as the image stage reads them."""
    rule = rule_of(name)

    def read(file: Path) -> Pixels:
        reading = read_film(file, rule)
        if reading.pixels is None:
            raise ContractError(f"{file}: {reading.outcome}, {reading.reason}; give other --films")
        return reading.pixels

    return read


def bare_way(name: str) -> Work:
    """The decoder and the same resize: libjpeg-turbo's, or pydicom's, whose low bits are cut."""
    rule = rule_of(name)
    if name not in JPEGS:
        return lambda file: frame_film(decode_by_pydicom(file), rule)
    if find_spec("simplejpeg") is None:
        return lambda file: frame_film(decode_by_pillow(file.read_bytes(), rule), rule)
    return lambda file: frame_film(decode_by_simplejpeg(file.read_bytes(), rule), rule)


def name_of_bare() -> str:
    if find_spec("simplejpeg") is None:
        return "Pillow's own decoding, for want of simplejpeg (pip install simplejpeg)"
    return f"libjpeg-turbo by simplejpeg {version('simplejpeg')}"


def decode_by_simplejpeg(data: bytes, rule: Preprocessing) -> Decoded:
    import simplejpeg

    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    wide, high = scaled_size(width, height, rule)
    least = {"min_width": wide * GAP, "min_height": high * GAP, "min_factor": 1}
    grey = simplejpeg.decode_jpeg(data, "GRAY", **(least if rule.is_scaled else {}))
    image = Image.fromarray(grey[:, :, 0])
    return Decoded(image, width, height, image.width, image.height, 8)


def decode_by_pillow(data: bytes, rule: Preprocessing) -> Decoded:
    with Image.open(BytesIO(data), formats=("JPEG",)) as film:
        width, height = film.size
        if rule.is_scaled:
            wide, high = scaled_size(width, height, rule)
            film.draft("L", (wide * GAP, high * GAP))
        film.load()
        return Decoded(film, width, height, film.width, film.height, 8)


def decode_by_pydicom(file: Path) -> Decoded:
    from pydicom import dcmread

    film = dcmread(file)
    bits = int(film.BitsStored)
    image = Image.fromarray((film.pixel_array >> (bits - 8)).astype(np.uint8))
    return whole_film(image, bits)


def clock(work: Callable[[Any], Any], given: Any) -> float:
    started = time.process_time()
    work(given)
    return time.process_time() - started


def mean_seconds(
    files: list[Path], work: Callable[[Any], Any], prepare: Callable[[Path], Any] = Path.read_bytes
) -> float:
    """Processor seconds a film; what ``prepare`` takes does not count."""
    return sum(min(clock(work, prepare(file)) for _ in range(ROUNDS)) for file in files) / len(
        files
    )


def take_sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def open_small(file: Path) -> Image.Image:
    return Image.fromarray(our_way(SCALED_JPEG)(file))


def difference(jpegs: list[Path]) -> dict[str, float]:
    """Of scaled from exact, in values of 255: the mean, and the largest of any pixel."""
    scaled, exact = (
        np.stack([our_way(name)(jpeg) for jpeg in jpegs]).astype(np.int16) for name in JPEGS
    )
    gaps = np.abs(scaled - exact)
    return {"mean": float(gaps.mean()), "max": int(gaps.max())}


def peak_of(name: str, file: Path) -> float:
    """Megabytes at most of a process that reads one film; some 40 are Python's and numpy's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(read_and_weigh, name, file).result()


def read_and_weigh(name: str, file: Path) -> float:
    our_way(name)(file)
    if STATUS.exists():  # what getrusage gives may be the parent's
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _say(result: dict[str, Any]) -> str:
    apart = result["difference"]
    return (
        f"{result['films']} films, {result['source']}, {result['mean_mb']:.2f} MB a JPEG; to {SIZE}"
        f" x {SIZE}, crop, bicubic.\nBare: {result['bare']}; for DICOM pydicom's pixel_array, its"
        f" low bits cut.\nOf a scaled reading the checksum takes {result['sha256_share']:.1%} and"
        f" quality {result['quality_share']:.1%}. Scaled differs from exact by {apart['mean']:.2f}"
        f" of 255 on average, by {apart['max']} at most."
    )


def _table(result: dict[str, Any]) -> Table:
    columns = ("films", "ms", "films/s", "bare films/s", "ratio", "peak MB")
    table = Table("", *columns, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name, facts in result["paths"].items():
        table.add_row(
            name,
            str(facts["films"]),
            f"{facts['seconds'] * 1000:.1f}",
            f"{facts['films_per_second']:.1f}",
            f"{facts['bare_films_per_second']:.1f}",
            f"{facts['ratio']:.2f}",
            f"{facts['peak_mb']:,.0f}",
        )
    return table

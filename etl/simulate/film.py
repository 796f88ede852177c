"""Films on disk, a batch at a time; runs in worker processes, so nothing heavy is imported."""

import os
from dataclasses import astuple, dataclass, field
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrfuture_data.publish import digest, file_sha256, publish, read_done, write_done
from etl.simulate.anatomy import SEVERITIES, Anatomy, Findings
from etl.simulate.render import render_film

RENDERER = 1  # raise it when the same arguments give another film
JPEG_QUALITY = 95
JPG, DICOM, RESIZED, FLAT = FORMS = "jpg", "dicom", "resized", "flat"
FLAT_FOLDER = "resized"  # as MedFuse's script calls it


@dataclass(frozen=True)
class Film:
    """One film to be written: where, of whom, and what it shows."""

    path: str  # below the tree's root
    anatomy_seed: int
    film_seed: int
    view: str
    severities: tuple[float, ...]  # in the order of anatomy.SEVERITIES


@dataclass(frozen=True)
class Batch:
    """Films that share one done record."""

    root: Path
    record: Path
    image_size: int
    films: tuple[Film, ...]
    films_as: str = JPG
    rows: tuple[dict[str, Any], ...] = field(default=())
    """DICOM only: what the metadata csv would say of each film."""


def write_batch(batch: Batch) -> dict[str, str]:
    """Write a batch's films unless its done record holds; each path's sha256."""
    form = () if batch.films_as == JPG else (batch.films_as, batch.rows)
    films = [astuple(film) for film in batch.films]
    made_from = digest(RENDERER, batch.image_size, films, *form)
    done = read_done(batch.record, made_from)
    if done is not None and all((batch.root / film.path).exists() for film in batch.films):
        return dict(done["sha256"])
    hashes = {}
    for number, film in enumerate(batch.films):
        write_film(batch, number)
        hashes[film.path] = file_sha256(batch.root / film.path)
    write_done(batch.record, made_from, {"sha256": hashes})
    return hashes


def write_film(batch: Batch, number: int) -> None:
    """Render one film of a batch and publish it as a grey JPEG or as DICOM."""
    film = batch.films[number]
    findings = Findings(**dict(zip(SEVERITIES, film.severities, strict=True)))
    grey = render_film(
        Anatomy.of(film.anatomy_seed), findings, film.view, batch.image_size, film.film_seed
    )
    with publish(batch.root / film.path) as part:
        if batch.films_as == DICOM:
            from etl.simulate.dicom_film import write_dicom

            write_dicom(part, grey, batch.rows[number], film.film_seed)
            return
        image = Image.fromarray(grey if batch.films_as == JPG else halve(grey))
        image.save(part, format="JPEG", quality=JPEG_QUALITY)


def halve(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half of each side, as those do who resize MIMIC-CXR-JPG to save space."""
    rows, columns = grey.shape
    size = max(1, columns // 2), max(1, rows // 2)
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))


def leave_with_parent() -> None:
    """Let a worker process end when its parent is killed; otherwise it would wait for ever."""
    Thread(target=await_parent, daemon=True).start()


def await_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

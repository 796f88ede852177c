"""Films on disk, a batch at a time; runs in worker processes, so nothing heavy is imported."""

import os
from dataclasses import astuple, dataclass
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread

from PIL import Image

from cxrfuture_data.publish import digest, file_sha256, publish, read_done, write_done
from etl.simulate.anatomy import SEVERITIES, Anatomy, Findings
from etl.simulate.render import render_film

RENDERER = 1  # raise it when the same arguments give another film
JPEG_QUALITY = 95


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


def write_batch(batch: Batch) -> dict[str, str]:
    """Write a batch's films unless its done record holds; each path's sha256."""
    made_from = digest(RENDERER, batch.image_size, [astuple(film) for film in batch.films])
    done = read_done(batch.record, made_from)
    if done is not None and all((batch.root / film.path).exists() for film in batch.films):
        return dict(done["sha256"])
    hashes = {}
    for film in batch.films:
        write_film(batch.root / film.path, film, batch.image_size)
        hashes[film.path] = file_sha256(batch.root / film.path)
    write_done(batch.record, made_from, {"sha256": hashes})
    return hashes


def write_film(path: Path, film: Film, image_size: int) -> None:
    """Render one film and publish it as a grey JPEG."""
    findings = Findings(**dict(zip(SEVERITIES, film.severities, strict=True)))
    grey = render_film(
        Anatomy.of(film.anatomy_seed), findings, film.view, image_size, film.film_seed
    )
    with publish(path) as part:
        Image.fromarray(grey).save(part, format="JPEG", quality=JPEG_QUALITY)


def leave_with_parent() -> None:
    """Let a worker process end when its parent is killed; otherwise it would wait for ever."""
    Thread(target=await_parent, daemon=True).start()


def await_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""What one worker does for the image stage: so many film files, each read once, into one shard of
the cache, with a record of every attempt.

Workers are spawned and import this module, so it stays as light as the reader and the ledger.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cxrfuture_data.cache_rows import Space
from cxrfuture_data.object_store import ObjectStore
from etl.cache import Cache
from etl.cache_ledger import FileSeen
from etl.film_reader import Preprocessing, Reading, load_film, read_bytes
from etl.film_remote import load_ahead

DECODERS = ("gdcm", "openjpeg", "libjpeg")  # packages that pydicom decodes with, where they are
SECONDS_BETWEEN_RECORDS = 1.0  # what a killed run reads again


@dataclass(frozen=True)
class Film:
    """A film of the cohort and its file as it lies there: ``name`` below the folder of films,
    None if it is missing. ``mtime_ns`` of an object is a number made from its ETag."""

    dicom_id: str
    name: str | None
    bytes: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class FilmTask:
    """``films`` have files below ``folder``; ``decoders`` are those of DECODERS that are here."""

    cache: Cache
    space: Space
    folder: Path | ObjectStore
    films: tuple[Film, ...]
    rule: Preprocessing
    decoders: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """What came of a file. Facts without a hash are of a file that could not be read at all."""

    sha256: str | None
    facts: Mapping[str, Any]


def image_space(rule: Preprocessing) -> Space:
    """Where the images of a preprocessing lie: uint8 (size, size)."""
    return Space("image", rule.facts(), (rule.size, rule.size), "uint8")


def installed_decoders() -> tuple[str, ...]:
    """A DICOM film that nothing decoded is tried again once something is installed."""
    return tuple(name for name in DECODERS if find_spec(name))


def is_final(facts: Mapping[str, Any], decoders: Sequence[str]) -> bool:
    """Whether reading the same bytes again would end the same."""
    return facts["outcome"] != "unreadable" or facts.get("decoders") == list(decoders)


@dataclass(frozen=True)
class FilmsOpener:
    """A worker of a cluster needs nothing ready. Of a task that another was lost at, films whose
    attempts were recorded are read again, and not decoded."""

    def open(self) -> Callable[[FilmTask, bool], dict[str, Attempt]]:
        """``read_films``."""
        return lambda task, is_again: read_films(task)


def read_films(task: FilmTask) -> dict[str, Attempt]:
    """Name -> what came of the file; bytes that were read before, under whatever name, are not
    decoded again."""
    attempts: dict[str, Attempt] = {}
    found: dict[str, dict[str, Any]] = {}
    seen: list[FileSeen] = []
    recorded_at = time.monotonic()

    def record() -> None:
        task.cache.ledger.record(task.space, found, str(task.folder), seen)
        found.clear()
        seen.clear()

    with task.cache.write(task.space) as writer:
        for film, data in zip(task.films, load_films(task), strict=True):
            name = str(film.name)
            if isinstance(data, Reading):
                attempts[name] = Attempt(None, data.columns())
                continue
            sha256 = hashlib.sha256(data).hexdigest()
            facts = found.get(sha256) or task.cache.ledger.attempt(task.space, sha256)
            if facts is None or not is_final(facts, task.decoders):
                reading = read_bytes(data, task.rule, sha256)
                if reading.pixels is not None:
                    writer.add([sha256], reading.pixels[None])
                facts = found[sha256] = facts_of(reading, task.decoders)
            seen.append(FileSeen(name, film.bytes, film.mtime_ns, sha256))
            attempts[name] = Attempt(sha256, facts)
            if time.monotonic() - recorded_at > SECONDS_BETWEEN_RECORDS:
                record()
                recorded_at = time.monotonic()
        record()
    return attempts


def load_films(task: FilmTask) -> Iterator[bytes | Reading]:
    """The bytes of each film of a task, or why there are none."""
    if isinstance(task.folder, ObjectStore):
        return load_ahead(task.folder, [(str(film.name), film.bytes) for film in task.films])
    folder = task.folder
    return (load_film(folder / str(film.name)) for film in task.films)


def facts_of(reading: Reading, decoders: Sequence[str]) -> dict[str, Any]:
    """Everything about a reading but its pixels and hash."""
    facts = {name: value for name, value in reading.columns().items() if name != "sha256"}
    return facts | ({"decoders": list(decoders)} if reading.outcome == "unreadable" else {})

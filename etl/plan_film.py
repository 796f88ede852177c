"""Which of a recipe's films are on disk, whole, and what the others weigh."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cxrfuture_data.object_store import ObjectStore
from etl.film_reader import SUFFIXES, TAIL_BYTES
from etl.film_remote import list_remote_films
from etl.film_tree import find_films

# Mean of MIMIC-CXR-JPG: 570.3 GB for 377,110 films (specs peers 4.2).
MEAN_BYTES = 1_510_000
ENOUGH_FOR_A_MEAN = 100
READERS = 16  # a network disk answers many questions at once
FILMS_A_READER = 512
JPEG_END = b"\xff\xd9"


@dataclass(frozen=True)
class FilmsOnDisk:
    """Of the films asked for: those without a file, those cut short, and the bytes of the rest."""

    missing: tuple[str, ...]
    cut: tuple[str, ...]
    found: int
    found_bytes: int

    @property
    def count(self) -> int:
        return len(self.missing) + len(self.cut) + self.found

    @property
    def wanted(self) -> list[str]:
        """What a download has still to bring."""
        return sorted((*self.missing, *self.cut))

    @property
    def mean_bytes(self) -> float:
        """Of one film: of those on disk if they are enough, else of the release."""
        if self.found < ENOUGH_FOR_A_MEAN:
            return float(MEAN_BYTES)
        return self.found_bytes / self.found

    @property
    def basis(self) -> str:
        if self.found < ENOUGH_FOR_A_MEAN:
            return f"{MEAN_BYTES / 1e6:.2f} MB a film, the mean of MIMIC-CXR-JPG"
        return f"{self.mean_bytes / 1e6:.2f} MB a film, the mean of {self.found:,} on disk"

    @property
    def wanted_bytes(self) -> float:
        return len(self.wanted) * self.mean_bytes

    @property
    def all_bytes(self) -> float:
        return self.found_bytes + self.wanted_bytes


def look_for_films(root: Path | ObjectStore, paths: Sequence[str]) -> FilmsOnDisk:
    """Look for films by their paths in the release, in whatever layout they lie below ``root``.

    As for stage image, a film may be another kind of file than its path says. A JPEG is whole if
    it has its end marker: nobody publishes the films' sizes.
    """
    if isinstance(root, ObjectStore):
        return _look_on_store(root, paths)
    tree = find_films(root)
    if not tree.folder.is_dir() or not any(tree.folder.iterdir()):
        return FilmsOnDisk(tuple(paths), (), 0, 0)
    groups = [
        paths[start : start + FILMS_A_READER] for start in range(0, len(paths), FILMS_A_READER)
    ]
    missing: list[str] = []
    cut: list[str] = []
    sizes: list[int] = []
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda group: [_bytes_of(tree.place(path)) for path in group], groups)
        for path, size in zip(paths, (size for group in found for size in group), strict=True):
            if size is None:
                missing.append(path)
            elif not size:
                cut.append(path)
            else:
                sizes.append(size)
    return FilmsOnDisk(tuple(missing), tuple(cut), len(sizes), sum(sizes))


def _look_on_store(root: ObjectStore, paths: Sequence[str]) -> FilmsOnDisk:
    """By a list of the store's objects: their ends are not read, so none is known to be cut."""
    tree = list_remote_films(root)
    located = [tree.locate(path) for path in paths]
    missing = tuple(path for path, film in zip(paths, located, strict=True) if film is None)
    empty = tuple(
        path
        for path, film in zip(paths, located, strict=True)
        if film is not None and not film.bytes
    )
    sizes = [film.bytes for film in located if film is not None and film.bytes]
    return FilmsOnDisk(missing, empty, len(sizes), sum(sizes))


def _bytes_of(place: Path) -> int | None:
    """Bytes of a film: None where there is no file, 0 where it is cut short."""
    stem = str(place).rpartition(".")[0]
    sizes = (_whole_bytes(stem + suffix) for suffix in SUFFIXES)
    return next((size for size in sizes if size is not None), None)


def _whole_bytes(name: str) -> int | None:
    try:
        with open(name, "rb") as handle:  # noqa: PTH123
            size = handle.seek(0, os.SEEK_END)
            if not name.endswith(".jpg"):
                return size
            handle.seek(max(0, size - TAIL_BYTES))
            return size if JPEG_END in handle.read() else 0
    except FileNotFoundError:
        return None
    except OSError:
        return 0

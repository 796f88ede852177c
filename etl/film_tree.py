"""Where the films lie, found by looking at a few folders and never by walking 377,110 files.

The release's folders (files/p10/p10000032/s50414267/ID.jpg) or one flat folder (ID.jpg), as most
who resize MIMIC-CXR-JPG make it; JPEG, PNG, DICOM or a mixture.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from cxrfuture_data.schema import ContractError
from etl.film_reader import SUFFIXES, locate_film
from etl.film_remote import FILES, GROUP, RemoteFilm, RemoteTree, is_film

Located = Sequence[tuple[str, Path | RemoteFilm | None]]

ENTRIES_LOOKED_AT = 1000  # of one folder
FOLDERS_LOOKED_AT = 50  # beside each other
FILMS_LOOKED_AT = 32  # for their sizes
_SHAPE_TOLERANCE = 0.02  # sides are rounded when a film is resized


@dataclass(frozen=True)
class FilmTree:
    """``folder`` holds p10, p11, ... in the layout of the release, the films themselves if flat."""

    folder: Path
    layout: Literal["release", "flat"]

    def place(self, path: str) -> Path:
        """Where a film lies that the release keeps at ``path``."""
        if self.layout == "release":
            return self.folder / path.removeprefix(f"{FILES}/")
        return self.folder / Path(path).name

    def locate(self, path: str) -> Path | None:
        """The film's file in whatever format it is; None if there is none."""
        return locate_film(self.folder, str(self.place(path).relative_to(self.folder)))


@dataclass(frozen=True)
class Sizes:
    """Sides of the films looked at, where they differ from those of the metadata."""

    looked_at: int
    resized: int
    shorter: tuple[int, int] | None
    """Smallest and largest shorter side of the resized ones."""
    reshaped: int
    """Resized to another shape, as by squeezing films into squares."""


def find_films(root: Path) -> FilmTree:
    """The films below a folder: the release's layout if it is there, else the first flat folder."""
    flat = None
    for folder in _candidates(root):
        names = list(islice(_entries(folder), ENTRIES_LOOKED_AT))
        if any(is_folder and GROUP.fullmatch(name) for name, is_folder in names):
            return FilmTree(folder, "release")
        if flat is None and any(is_film(name) for name, is_folder in names if not is_folder):
            flat = FilmTree(folder, "flat")
    return flat or FilmTree(root / FILES, "release")


def measure_films(chosen: Located, shapes: dict[str, tuple[int, int]]) -> Sizes:
    """Compare films with the (rows, columns) of the metadata; only their headers are read."""
    looked_at = reshaped = 0
    shorter = []
    for dicom_id, path in chosen:
        found = read_size(path) if path is not None and dicom_id in shapes else None
        if found is None:
            continue
        looked_at += 1
        width, height = found
        rows, columns = shapes[dicom_id]
        if (height, width) == (rows, columns):
            continue
        shorter.append(min(width, height))
        reshaped += abs(width * rows / (height * columns) - 1) > _SHAPE_TOLERANCE
    sides = (min(shorter), max(shorter)) if shorter else None
    return Sizes(looked_at, len(shorter), sides, reshaped)


def choose_films(located: Located) -> Located:
    """A few of those that are there, evenly spaced: enough to tell how a tree was made."""
    there = [film for film in located if film[1] is not None]
    return there[:: max(1, -(-len(there) // FILMS_LOOKED_AT))]


def require_large_enough(tree: FilmTree | RemoteTree, sizes: Sizes, size: int) -> None:
    """Refuse films that were resized to less than a recipe takes: they would be enlarged again."""
    if sizes.shorter is not None and sizes.shorter[0] < size:
        raise ContractError(
            f"{tree.folder}: films were resized to {sizes.shorter[0]} pixels on the shorter side,"
            f" the recipe takes {size}; set paths.films (or MIMIC_CXR_FILMS_DIR) to larger films,"
            " or image.size to less in a copy of the recipe"
        )


def describe_films(tree: FilmTree | RemoteTree, located: Located, sizes: Sizes) -> str:
    """One line for whoever started the stage."""
    layout = "the release's folders" if tree.layout == "release" else "one flat folder"
    counts = count_suffixes(located)
    files = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "no file"
    line = f"{tree.folder}: {layout}, {files} of {len(located):,} films"
    if sizes.shorter is None:
        return line
    low, high = sizes.shorter
    side = f"{low}" if low == high else f"{low} to {high}"
    line += f"; resized to {side} pixels on the shorter side"
    if sizes.reshaped:
        line += f", {sizes.reshaped} of {sizes.looked_at} looked at to another shape"
    return line


def facts_of_films(tree: FilmTree | RemoteTree, located: Located, sizes: Sizes) -> dict[str, Any]:
    """The same for the stage's record."""
    return {
        "layout": tree.layout,
        "files": count_suffixes(located),
        "looked_at": sizes.looked_at,
        "resized": sizes.resized,
        "shorter_side": list(sizes.shorter) if sizes.shorter else None,
        "reshaped": sizes.reshaped,
    }


def count_suffixes(located: Located) -> dict[str, int]:
    """Films by kind of file."""
    counts = Counter(path.suffix for _, path in located if path is not None)
    return {suffix.removeprefix("."): counts[suffix] for suffix in SUFFIXES}


def read_size(path: Path | RemoteFilm) -> tuple[int, int] | None:
    """Width and height of a film from its header; None where there is none to read."""
    try:
        if path.suffix == ".dcm":
            from etl.film_header import read_shape

            rows, columns = read_shape(path)
            return columns, rows
        with path.open("rb") as file, Image.open(file, formats=("JPEG", "PNG")) as film:
            return film.size
    except Exception:
        # Decoders raise anything on a broken file; reading the film will say what is wrong.
        return None


def _candidates(root: Path) -> Iterator[Path]:
    """files/, the folder itself, then what lies beside files/."""
    yield root / FILES
    yield root
    entries = islice(_entries(root), ENTRIES_LOOKED_AT)
    names = sorted(name for name, is_folder in entries if is_folder and name != FILES)
    yield from (root / name for name in names[:FOLDERS_LOOKED_AT])


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names in a folder, and whether each is a folder; nothing where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    yield entry.name, entry.is_dir()
                except OSError:  # a link that leads to itself
                    continue
    except OSError:
        return

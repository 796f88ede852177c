"""Which DICOM films there are: MIMIC-CXR's own record list, or a walk of its folders.

The walk goes three folders deep and follows nothing else, so links that lead back end it. Films
come in the order of the metadata csv: subject_id, study_id, dicom_id.
"""

import csv
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from cxrfuture_data.console import progress
from cxrfuture_data.schema import ContractError
from etl.film_tree import FilmTree
from etl.source_file import SourceFile
from etl.sources import RECORD_LISTS

COLUMNS = ("subject_id", "study_id", "dicom_id", "path")
SUFFIX = ".dcm"
LISTERS = 16  # folders listed at once: on a network drive each waits a millisecond
REPEATED = "repeats a dicom_id"

_LEVELS = (re.compile(r"p\d\d"), re.compile(r"p(\d+)"), re.compile(r"s(\d+)"))


class FilmFile(NamedTuple):
    """One DICOM film; ``path`` is below the release's root, as SHA256SUMS.txt spells it."""

    subject_id: int
    study_id: int
    dicom_id: str
    path: str


@dataclass(frozen=True)
class FilmList:
    """Films in the order of the metadata csv, each dicom_id once."""

    films: list[FilmFile]
    repeated: list[FilmFile]
    """Further files of a dicom_id that is listed already."""
    listed_by: str


def list_films(tree: FilmTree, folders: list[Path]) -> FilmList:
    """The DICOM films of a tree, by the record list that one of ``folders`` holds or by a walk."""
    paths = (folder / name for folder in folders for name in RECORD_LISTS)
    path = next((path for path in paths if path.is_file()), None)
    if path is not None:
        return _in_order(read_record_list(path), path.name)
    if tree.layout == "flat":
        if any(name.endswith(SUFFIX) for name in _list(tree.folder)):
            raise ContractError(
                f"{tree.folder}: one flat folder of DICOM films says nothing of patients and"
                f" studies; put MIMIC-CXR's {RECORD_LISTS[0]} into it"
            )
        return FilmList([], [], "folders")
    return _in_order(walk_films(tree.folder), "folders")


def read_record_list(path: Path) -> list[FilmFile]:
    """The rows of cxr-record-list.csv(.gz)."""
    text = b"".join(SourceFile(path).blocks()).decode("utf-8", errors="replace")
    rows = csv.DictReader(text.splitlines())
    missing = set(COLUMNS) - set(rows.fieldnames or ())
    if missing:
        raise ContractError(f"{path}: no column {min(missing)!r}; download it again")
    films = []
    for number, row in enumerate(rows, start=1):
        try:
            ids = int(row["subject_id"]), int(row["study_id"])
        except (TypeError, ValueError):
            raise ContractError(
                f"{path}: data row {number:,} lacks a subject_id or study_id; download it again"
            ) from None
        films.append(FilmFile(*ids, row["dicom_id"], row["path"]))
    return films


def walk_films(folder: Path) -> list[FilmFile]:
    """The DICOM films below p10, p11, ...; whatever else lies there is passed over."""
    if not folder.is_dir():
        return []
    is_group, is_subject = (level.fullmatch for level in _LEVELS[:2])
    subjects = [
        subject
        for group in _folders(folder, is_group)
        for subject in _folders(folder / group, is_subject, group)
    ]
    films: list[FilmFile] = []
    with (
        ThreadPoolExecutor(LISTERS) as pool,
        progress("ingest: DICOM folders", len(subjects), "patients") as advance,
    ):
        for found in pool.map(lambda subject: _films_of(folder, subject), subjects):
            films += found
            advance(1, f"{len(films):,} films")
    return films


def _films_of(folder: Path, subject: str) -> list[FilmFile]:
    """The films of one patient, whose folder is p10/p10000032."""
    films = []
    for study in _folders(folder / subject, _LEVELS[2].fullmatch):
        ids = int(Path(subject).name[1:]), int(study[1:])
        for name in _list(folder / subject / study):
            if name.endswith(SUFFIX):
                path = f"files/{subject}/{study}/{name}"
                films.append(FilmFile(*ids, name.removesuffix(SUFFIX), path))
    return films


def _folders(folder: Path, is_wanted: Callable[[str], object], prefix: str = "") -> Iterator[str]:
    """Folders by the pattern of their level, with the prefix before their names."""
    for name in _list(folder):
        if is_wanted(name) and (folder / name).is_dir():
            yield f"{prefix}/{name}" if prefix else name


def _list(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError as error:
        raise ContractError(f"{folder}: cannot be listed ({error.strerror})") from None


def _in_order(films: list[FilmFile], listed_by: str) -> FilmList:
    """Sort films, and set apart those whose dicom_id another has: it names a film."""
    films.sort()
    by_id = sorted(range(len(films)), key=lambda at: (films[at].dicom_id, at))
    again = {
        later for first, later in pairwise(by_id) if films[first].dicom_id == films[later].dicom_id
    }
    kept = [film for at, film in enumerate(films) if at not in again]
    return FilmList(kept, [films[at] for at in sorted(again)], listed_by)

"""Where the files of MIMIC-IV and MIMIC-CXR-JPG lie below a folder, and which release they are.

Any usual place works: a PhysioNet wget root, an unpacked zip, the folder with hosp/ and icu/ (or
files/) itself; symlinks and read-only mounts too. Of several files of one table the release's own
.csv.gz is read, else .csv, else .parquet.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxrfuture_data.schema import ContractError
from etl.database_url import is_database, show_url
from etl.environment import ENVIRONMENT
from etl.mimic_schema import TABLES

Source = Literal["mimic_iv", "mimic_cxr_jpg"]

EXTENSIONS = (".csv.gz", ".csv", ".parquet")
MARKER = "SIMULATED.json"
RECORD_LISTS = ("cxr-record-list.csv.gz", "cxr-record-list.csv")  # of MIMIC-CXR's DICOM release
CHECKSUMS = "SHA256SUMS.txt"
UNKNOWN = "unknown"
DEEPEST = 6
_FILM_FOLDER = re.compile(r"p\d\d")
_VERSION = re.compile(r"(?:^|-)(?:demo-)?\d+\.\d+(?:\.\d+)?$")


@dataclass(frozen=True)
class Release:
    """One release on disk."""

    source: Source
    root: Path
    """Holds hosp/ and icu/, or files/ and the csvs."""
    version: str
    """What the folder's name or SIMULATED.json says; "unknown" if neither says anything."""
    simulated: bool
    tables: dict[str, Path]
    """Table name -> file, for every known table that is there."""


def find_release(source: Source, path: str | Path) -> Release:
    """Find the one release below a folder."""
    setting = f"paths.{source} (or {ENVIRONMENT[source]})"
    if is_database(path):
        raise ContractError(
            f"{show_url(path)}: files are needed here, and a database has none (`cxrfuture ingest`"
            f" reads MIMIC-IV's tables from one); set {setting} to a folder"
        )
    top = Path(path).expanduser()
    if not top.is_dir():
        raise ContractError(f"{top}: no such folder; set {setting}")
    is_root = _is_mimic_iv if source == "mimic_iv" else _is_mimic_cxr
    roots = [folder for folder in _folders(top.resolve(), 0, set()) if is_root(folder)]
    if not roots:
        looked_for = (
            "folders hosp/ and icu/ with MIMIC-IV's tables"
            if source == "mimic_iv"
            else "files/p10 ... or mimic-cxr-2.0.0-metadata.csv.gz"
        )
        raise ContractError(f"{top}: looked for {looked_for}, found none; set {setting}")
    if len(roots) > 1:
        names = ", ".join(str(root) for root in roots[:3])
        raise ContractError(f"{top}: holds {len(roots)} releases ({names}); set {setting} to one")
    return describe_release(source, roots[0])


def describe_release(source: Source, root: Path) -> Release:
    """The tables, version and origin of a release whose root is known."""
    marker = next((at / MARKER for at in (root, *root.parents) if (at / MARKER).is_file()), None)
    version = _version_of_path(root)
    if marker is not None:
        version = str(_read_marker(marker).get("version", UNKNOWN))
    tables: dict[str, Path] = {}
    for name, table in TABLES.items():
        if (table.module == "cxr") == (source == "mimic_cxr_jpg"):
            folder = root if table.module == "cxr" else root / table.module
            files = (folder / f"{table.stem}{end}" for end in EXTENSIONS)
            file = next((file for file in files if file.is_file()), None)
            if file is not None:
                tables[name] = file
    return Release(source, root, version, marker is not None, tables)


def read_checksums(root: Path, wanted: Callable[[str], bool] | None = None) -> dict[str, str]:
    """File below the root -> sha256, as the release's SHA256SUMS.txt says; empty without it.

    ``wanted``: whether to take a file, by default a table: the 377,110 films are named there too.
    """
    path = root / CHECKSUMS
    if not path.is_file():
        return {}
    sums = {}
    with path.open() as lines:
        for line in lines:
            value, _, name = line.strip().partition(" ")
            file = name.strip().removeprefix("*").removeprefix("./")
            if wanted(file) if wanted else file.endswith(EXTENSIONS):
                sums[file] = value.lower()
    return sums


def _folders(folder: Path, depth: int, seen: set[Path]) -> Iterator[Path]:
    """The folder and those below it, in order of name, without entering films or tables. Links
    may lead back: no folder comes twice."""
    if folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    yield folder
    if depth == DEEPEST or _is_mimic_iv(folder):
        return
    for child in sorted(entry.path for entry in os.scandir(folder) if _is_folder(entry)):
        if not _FILM_FOLDER.match(Path(child).name):
            yield from _folders(Path(child), depth + 1, seen)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_mimic_iv(folder: Path) -> bool:
    return any(
        (folder / table.module / f"{table.stem}{end}").is_file()
        for table in TABLES.values()
        if table.module != "cxr"
        for end in EXTENSIONS
    )


def _is_mimic_cxr(folder: Path) -> bool:
    films = folder / "files"
    if films.is_dir() and any(_FILM_FOLDER.fullmatch(entry.name) for entry in os.scandir(films)):
        return True
    if any((folder / name).is_file() for name in RECORD_LISTS):
        return True
    stems = (table.stem for table in TABLES.values() if table.module == "cxr")
    return any((folder / f"{stem}{end}").is_file() for stem in stems for end in EXTENSIONS)


def _version_of_path(root: Path) -> str:
    found = _VERSION.search(root.name)
    return found.group().removeprefix("-") if found else UNKNOWN


def _read_marker(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text())
    except json.JSONDecodeError:
        raise ContractError(f"{path}: not JSON; simulate the tree again") from None
    return value if isinstance(value, dict) else {}

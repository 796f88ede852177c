"""MIMIC-CXR's DICOM release has no metadata csv: the same table from the headers of its films.

Headers are read in parts by worker processes; a part that is done is kept, so a killed run goes
on. What comes out is a Parquet file that ingest reads as it would read the csv.
"""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cxrfuture_data.console import say
from cxrfuture_data.object_store import ObjectStore, is_url
from cxrfuture_data.publish import digest, publish, read_done, write_done
from cxrfuture_data.schema import ContractError
from etl.film_list import LISTERS, REPEATED, FilmFile, list_films
from etl.film_tree import FilmTree, find_films
from etl.mimic_schema import TABLES
from etl.params import SIMULATED, Params
from etl.part import each_in_workers, rate_of
from etl.source_block import ARROW_TYPES
from etl.sources import Release

NAME = "cxr_metadata"
FILMS_PER_PART = 2048
FORMAT = 1  # raise it when the same headers would give other rows

Stamp = tuple[int, int] | None  # size and mtime; None: no such file


@dataclass(frozen=True)
class Part:
    """So many films, those of them that are there, and the digest of both."""

    number: int
    films: list[FilmFile]
    stamps: list[Stamp]
    folder: Path

    @property
    def made_from(self) -> str:
        return digest(FORMAT, self.films, self.stamps)

    @property
    def table(self) -> Path:
        return self.folder / f"part-{self.number:05d}.parquet"

    @property
    def record(self) -> Path:
        return self.folder / "done" / f"part-{self.number:05d}.json"

    @property
    def there(self) -> list[FilmFile]:
        pairs = zip(self.films, self.stamps, strict=True)
        return [film for film, stamp in pairs if stamp is not None]

    def facts(self) -> dict[str, Any] | None:
        """Rejects and the digest if the part is done and still made from the same files."""
        facts = read_done(self.record, self.made_from)
        return facts if facts is not None and self.table.exists() else None


def find_film_root(params: Params, release: Release) -> Path | ObjectStore:
    """Where to look for films: beside the csvs unless params say otherwise."""
    if not params.paths.films:
        return release.root
    if params.paths.mimic_cxr_jpg == SIMULATED:
        raise ContractError(
            "paths.films (or MIMIC_CXR_FILMS_DIR) is set while paths.mimic_cxr_jpg is simulate;"
            " set both or neither"
        )
    if is_url(params.paths.films):
        return ObjectStore(params.paths.films.rstrip("/"))
    root = Path(params.paths.films).expanduser()
    if not root.is_dir():
        raise ContractError(f"{root}: no such folder; set paths.films (or MIMIC_CXR_FILMS_DIR)")
    return root.resolve()


def add_metadata(params: Params, release: Release) -> tuple[Release, dict[str, Any] | None]:
    """The release with a metadata table made from headers, and what was read, where it has none
    and DICOM films are there; else the release as it is."""
    rejects = params.build("ingest", "rejects", "cxr_header.parquet")
    if NAME in release.tables:
        rejects.unlink(missing_ok=True)
        return release, None
    root = find_film_root(params, release)
    if isinstance(root, ObjectStore):
        return release, None  # headers are read from folders only
    tree = find_films(root)
    listed = list_films(tree, [release.root, root, tree.folder, tree.folder.parent])
    parts = plan_parts(listed.films, tree, params.build("ingest", "header"))
    if not any(part.there for part in parts):
        return release, None
    read_parts(parts, tree, params.ingest.threads or os.cpu_count() or 1)
    refused = [(film.path, REPEATED) for film in listed.repeated]
    refused += [(path, kind) for part in parts for path, kind in _facts(part)["rejects"]]
    write_rejects(rejects, refused)
    require_few(refused, params.ingest.max_rejects, rejects)
    facts = {
        "listed_by": listed.listed_by,
        "films": len(listed.films),
        "absent": sum(len(part.films) - len(part.there) for part in parts),
        "rejects": len(refused),
    }
    path = join_parts(parts, params.build("ingest", "header"))
    say(
        f"{NAME}: made from the headers of DICOM films; {facts['films']:,} listed by"
        f" {facts['listed_by']}, {facts['absent']:,} not there, {facts['rejects']:,} left out"
    )
    return replace(release, tables=release.tables | {NAME: path}), facts


def plan_parts(films: list[FilmFile], tree: FilmTree, folder: Path) -> list[Part]:
    """Cut the films into parts, in their order, and look which are there."""
    cuts = [films[at : at + FILMS_PER_PART] for at in range(0, len(films), FILMS_PER_PART)]
    with ThreadPoolExecutor(LISTERS) as pool:
        stamps = pool.map(lambda cut: [_stamp(tree.place(film.path)) for film in cut], cuts)
        pairs = enumerate(zip(cuts, stamps, strict=True))
        return [Part(number, cut, stamp, folder) for number, (cut, stamp) in pairs]


def read_parts(parts: Sequence[Part], tree: FilmTree, workers: int) -> None:
    """Read the headers of the parts that are not done."""
    # pydicom takes a third of a second to import, and most trees have no header to read.
    from etl.film_header import HeaderPart, read_part

    left = {part.number: part for part in parts if part.facts() is None}
    count = sum(len(part.there) for part in parts)
    kept = count - sum(len(part.there) for part in left.values())
    if not left:
        return
    work = [
        HeaderPart(number, tuple((*film[:3], str(tree.place(film.path))) for film in part.there))
        for number, part in left.items()
    ]
    with rate_of("ingest: DICOM headers", count, kept, "films") as advance:
        for result in each_in_workers(read_part, work, workers, "ingest.threads"):
            part = left[result.number]
            there = part.there
            with publish(part.table) as path:
                pq.write_table(_table(result.rows), path)
            refused = [(there[at].path, kind) for at, kind in result.rejects]
            write_done(part.record, part.made_from, {"rejects": refused})
            advance(len(there))


def join_parts(parts: Sequence[Part], folder: Path) -> Path:
    """All rows in one file, in the order of the csv; left alone if its parts are as they were."""
    path = folder / f"{TABLES[NAME].stem}.parquet"
    record = folder / "done.json"
    made_from = digest([part.made_from for part in parts])
    if read_done(record, made_from) is not None and path.exists():
        return path
    record.unlink(missing_ok=True)
    with publish(path) as whole, pq.ParquetWriter(whole, _table([]).schema) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part.table))
    write_done(record, made_from)
    for stale in folder.glob("part-*.parquet"):
        if stale.name > parts[-1].table.name:
            stale.unlink()
    return path


def write_rejects(path: Path, refused: list[tuple[str, str]]) -> None:
    """Files without a row, below the release's root, and why."""
    if not refused:
        path.unlink(missing_ok=True)
        return
    files, kinds = zip(*refused, strict=True)
    with publish(path) as part:
        pq.write_table(pa.table({"path": pa.array(files), "kind": pa.array(kinds)}), part)


def require_few(refused: list[tuple[str, str]], most: int, path: Path) -> None:
    """Refuse more files without a row than params allow."""
    if len(refused) <= most:
        return
    kinds = Counter(kind for _, kind in refused)
    said = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    raise ContractError(
        f"{NAME}: DICOM files without a row ({said}) exceed ingest.max_rejects {most}, first"
        f" {refused[0][0]}; copy them again or raise ingest.max_rejects (files: {path})"
    )


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _facts(part: Part) -> dict[str, Any]:
    facts = part.facts()
    if facts is None:
        raise ContractError(f"{part.table}: changed while it was made; run the stage again")
    return facts


def _table(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = TABLES[NAME].columns
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    arrays = [
        pa.array(column, ARROW_TYPES[kind])
        for column, kind in zip(values, columns.values(), strict=True)
    ]
    return pa.table(arrays, names=list(columns))

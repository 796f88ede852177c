"""The films that the recipes need: there, whole and, if asked, those of the release."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrfuture_data.console import progress
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.publish import file_sha256
from etl.doctor_problem import Problems
from etl.film_tree import find_films
from etl.plan_film import FilmsOnDisk, look_for_films
from etl.sources import CHECKSUMS

SAMPLED = 256
NEXT = "`cxrfuture plan` lists what is missing, and the command that fetches it"


@dataclass(frozen=True)
class FilmFacts:
    """Of the films needed, those looked for, found and hashed, and how many were not right."""

    needed: int
    looked_for: int
    found: int
    cut: int
    hashed: int
    altered: int


def sample(paths: Sequence[str], count: int = SAMPLED) -> list[str]:
    """So many films at equal steps of the list; all of a shorter one."""
    if len(paths) <= count:
        return list(paths)
    return [paths[number * len(paths) // count] for number in range(count)]


def look_at_films(
    root: Path | ObjectStore,
    paths: Sequence[str],
    sums: Mapping[str, str],
    problems: Problems,
    *,
    deep: str,
    all_films: bool,
) -> FilmFacts:
    """Look for a sample of the films, or for all: if asked to, or at any depth but none."""
    is_every = all_films or deep != "none"
    films = look_for_films(root, paths if is_every else sample(paths))
    _tell(root, films, problems)
    hashed = altered = 0
    if deep == "sums" and isinstance(root, Path):
        there = sorted(set(paths) - set(films.wanted))
        hashed, altered = _hash(root, there if all_films else sample(there), sums)
        if altered:
            problems.add(
                "films",
                f"{altered:,} of {hashed:,} are not those that {CHECKSUMS} names",
                "sha256sum -c with films.sha256 of `cxrfuture plan` names them; fetch them again",
            )
    return FilmFacts(len(paths), films.count, films.found, len(films.cut), hashed, altered)


def _tell(root: Path | ObjectStore, films: FilmsOnDisk, problems: Problems) -> None:
    if films.count and not films.found:
        problems.add("films", f"none of {films.count:,} looked for is in {root}", NEXT)
    elif films.missing:
        found = f"{len(films.missing):,} of {films.count:,} looked for are not in {root}"
        problems.add("films", found, NEXT, "warning")
    if films.cut:
        problems.add("films", f"{len(films.cut):,} are cut short", NEXT, "warning")


def _hash(root: Path, paths: Sequence[str], sums: Mapping[str, str]) -> tuple[int, int]:
    """(hashed, altered) of the films with a checksum that lie there as the release's own file."""
    tree = find_films(root)
    hashed = altered = 0
    with progress("checksums of films", len(paths), "films") as advance:
        for path in paths:
            file = tree.place(path)
            if path in sums and file.is_file():
                hashed += 1
                altered += file_sha256(file) != sums[path]
            advance()
    return hashed, altered

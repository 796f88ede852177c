"""Films on an object store: listed a thousand a request, never looked for one by one.

A film is known by its size and ETag where one in a folder is known by size and time.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import Literal

from cxrfuture_data.console import say
from cxrfuture_data.object_store import Listed, ObjectStore
from etl.film_reader import MAXIMUM_BYTES, MISSING, SUFFIXES, TOO_MANY_BYTES, Reading

FILES = "files"
GROUP = re.compile(r"p\d\d")
START_BYTES = 512 * 1024  # of a film, enough for its header
AHEAD = 4  # films a worker fetches while it decodes one
LISTERS = 16  # folders listed at once

_FILM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


@dataclass(frozen=True)
class RemoteFilm:
    """An object with a film; ``name`` is below its tree's folder."""

    folder: ObjectStore
    name: str
    bytes: int
    version: int

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    def open(self, _: str = "rb") -> BytesIO:
        """What a header is read from: the start of the film."""
        return BytesIO(self.folder.read_ranges([(self.name, 0, min(START_BYTES, self.bytes))])[0])


@dataclass(frozen=True)
class RemoteTree:
    """As FilmTree. ``objects`` are those below ``folder`` when it was listed."""

    folder: ObjectStore
    layout: Literal["release", "flat"]
    objects: Mapping[str, Listed]

    def locate(self, path: str) -> RemoteFilm | None:
        """The film's object in whatever format it is; None if there is none."""
        name = path.removeprefix(f"{FILES}/")
        stem = PurePosixPath(name if self.layout == "release" else PurePosixPath(name).name)
        for suffix in SUFFIXES:
            found = str(stem.with_suffix(suffix))
            if found in self.objects:
                one = self.objects[found]
                return RemoteFilm(self.folder, found, one.bytes, one.version)
        return None


def list_remote_films(root: ObjectStore) -> RemoteTree:
    """The films below a URL, in the release's layout if it is there, else in a flat folder."""
    candidates = [root]
    for folder in candidates:
        names, objects = folder.entries()
        groups = [name for name in names if GROUP.fullmatch(name)]
        if groups:
            return _list_groups(folder, groups)
        if any(is_film(name) for name in objects):
            return RemoteTree(folder, "flat", objects)
        if folder is root:
            first = [FILES] if FILES in names else []
            candidates += [root.below(name) for name in (*first, *sorted({*names} - {FILES}))]
    folder = root.below(FILES)
    return RemoteTree(folder, "release", folder.list_all())


def is_film(name: str) -> bool:
    """Whether a file is called as MIMIC-CXR calls its films."""
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix in SUFFIXES and _FILM.fullmatch(stem) is not None


def _list_groups(folder: ObjectStore, groups: Sequence[str]) -> RemoteTree:
    objects: dict[str, Listed] = {}
    with ThreadPoolExecutor(LISTERS) as listers:
        found = listers.map(lambda group: folder.below(group).list_all(), groups)
        for group, listed in zip(groups, found, strict=True):
            objects |= {f"{group}/{name}": one for name, one in listed.items()}
    say(f"{folder}: {len(objects):,} objects listed")
    return RemoteTree(folder, "release", objects)


def load_remote(folder: ObjectStore, name: str, size: int) -> bytes | Reading:
    """An object's bytes, or why there are none. A store that fails is an error, not a film."""
    if size > MAXIMUM_BYTES:
        return Reading(outcome="unreadable", reason=TOO_MANY_BYTES)
    try:
        return folder.read(name, size)
    except FileNotFoundError:  # removed since it was listed
        return MISSING


def load_ahead(folder: ObjectStore, films: Sequence[tuple[str, int]]) -> Iterator[bytes | Reading]:
    """Of each (name, bytes) what load_remote gives, some fetched before they are asked for."""
    with ThreadPoolExecutor(AHEAD) as readers:
        waiting = [readers.submit(load_remote, folder, *film) for film in films[:AHEAD]]
        try:
            for number in range(len(films)):
                data = waiting.pop(0).result()
                following = films[number + AHEAD : number + AHEAD + 1]
                waiting += [readers.submit(load_remote, folder, *film) for film in following]
                yield data
        finally:
            for future in waiting:
                future.cancel()

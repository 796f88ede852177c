"""Which films of a cohort the cache lacks in one preprocessing, and reading them, here or on a
cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cxrfuture_data.cache_rows import KEY_DIGITS, Space
from etl.cache import Cache
from etl.cache_ledger import FileSeen
from etl.cluster import Crew, each_on_ray
from etl.film_reader import Preprocessing
from etl.film_remote import RemoteTree
from etl.film_task import (
    Attempt,
    Film,
    FilmsOpener,
    FilmTask,
    image_space,
    is_final,
    read_films,
)
from etl.film_tree import FilmTree
from etl.params import Params
from etl.part import each_in_workers, rate_of


@dataclass(frozen=True)
class Demand:
    """What one preprocessing of the cohort's films finds in the cache, by name, and what is left
    to read."""

    rule: Preprocessing
    space: Space
    known: Mapping[str, Attempt]
    left: Sequence[Film]


def rules_of(params: Params, rule: Preprocessing) -> list[Preprocessing]:
    """The recipe's preprocessing; and the same in the size that films are to be kept in."""
    size = params.image.kept_size
    return [rule, replace(rule, size=size)] if size not in (0, rule.size) else [rule]


def find_demand(
    cache: Cache,
    films: Sequence[Film],
    seen: Mapping[str, FileSeen],
    rule: Preprocessing,
    decoders: Sequence[str],
) -> Demand:
    """Look for films in the cache. ``seen``: the files that were hashed before, by name."""
    space = image_space(rule)
    cache.ledger.register(space)
    known = known_attempts(films, cache, space, seen, decoders)
    left = [film for film in films if film.name is not None and film.name not in known]
    return Demand(rule, space, known, left)


def read_demand(
    params: Params,
    cache: Cache,
    tree: FilmTree | RemoteTree,
    demand: Demand,
    decoders: tuple[str, ...],
) -> dict[str, Attempt]:
    """What came of every file, by name, those left over read now."""
    size = params.image.films_per_shard
    tasks = [
        FilmTask(
            cache=cache,
            space=demand.space,
            folder=tree.folder,
            films=tuple(demand.left[start : start + size]),
            rule=demand.rule,
            decoders=decoders,
        )
        for start in range(0, len(demand.left), size)
    ]
    attempts = dict(demand.known)
    count = len(demand.known) + len(demand.left)
    with rate_of("image", count, len(demand.known), "films") as advance:
        for found in each_read(params, tasks):
            attempts |= found
            advance(len(found))
    return attempts


def each_read(params: Params, tasks: Sequence[FilmTask]) -> Iterator[dict[str, Attempt]]:
    """What came of the films of each task, read here or on a cluster."""
    if params.executor.kind == "local" or not tasks:
        yield from each_in_workers(read_films, tasks, params.image.workers, "image.workers")
        return
    folder, cache = tasks[0].folder, tasks[0].cache
    # A node that does not see the films would call each of them unreadable.
    seen = (folder / str(tasks[0].films[0].name),) if isinstance(folder, Path) else ()
    crew = Crew(stage="image", opener=FilmsOpener(), cache=cache, cpus=1, files=seen)
    yield from each_on_ray(crew, tasks, len(tasks), params.executor)


def known_attempts(
    films: Sequence[Film],
    cache: Cache,
    space: Space,
    seen: Mapping[str, FileSeen],
    decoders: Sequence[str],
) -> dict[str, Attempt]:
    """By name, what came of files that are as they were when they were read; none whose image the
    cache has lost."""
    facts = cache.ledger.attempts(space)
    known = {}
    for film in films:
        file = seen.get(film.name) if film.name is not None else None
        if file is None or (file.bytes, file.mtime_ns) != (film.bytes, film.mtime_ns):
            continue
        found = facts.get(file.sha256[:KEY_DIGITS])
        if found is not None and is_final(found, decoders):
            known[file.name] = Attempt(file.sha256, found)
    hashes = [one.sha256 for one in known.values() if one.sha256 and one.facts["outcome"] == "ok"]
    gone = set(cache.rows(space).missing(hashes))
    if not gone:
        return known
    cache.ledger.forget(space, sorted(gone))
    return {name: one for name, one in known.items() if one.sha256 not in gone}

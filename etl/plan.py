"""What a build needs before anything is downloaded: cohorts, films, gigabytes and hours.

It writes lists, in the folder of the plan and nowhere else, and never downloads.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.schema import ContractError
from etl.built_recipe import RECORD, is_built_by
from etl.cohort import OFFICIAL_SPLIT
from etl.database import Database
from etl.film_metadata import find_film_root
from etl.metadata import films_of, find_releases, read_ingested_table, read_small_table, source_of
from etl.mimic_schema import RECIPE_TABLES
from etl.params import Params
from etl.plan_cohort import (
    PlannedCohort,
    plan_from_metadata,
    read_built_cohort,
    require_metadata_only,
    tables_of_rules,
)
from etl.plan_film import FilmsOnDisk, look_for_films
from etl.plan_print import print_plan
from etl.prepare import prepare
from etl.recipe import Recipe
from etl.sources import Release, Source, read_checksums

HOST = "https://physionet.org/files/mimic-cxr-jpg"
NEWEST = "2.1.0"  # its films are those of 2.0.0
OTHER_RATE = 10.0  # MB/s
TOGETHER = "together"


@dataclass(frozen=True)
class Plan:
    """The films of one recipe, or of all together (no cohort), and where they are."""

    name: str
    cohort: PlannedCohort | None
    paths: Sequence[str]
    films: FilmsOnDisk


def run_plan(
    params: Params,
    recipes: Sequence[Recipe],
    *,
    out: Path | None = None,
    rate: float = 0.6,
    exact: bool = False,
    as_json: bool = False,
) -> None:
    """Plan, write the lists below ``out`` (default: build/plan), print. ``rate``: MB a second."""
    if rate <= 0:
        raise ContractError(f"--rate must be above 0 MB/s, found {rate}")
    folder = out or params.build("plan")
    releases = find_releases(params)
    films = films_of(releases)
    root = find_film_root(params, films)
    plans = plan_films(root, [plan_cohort(params, releases, r, exact=exact) for r in recipes])
    sums = read_checksums(films.root, set(plans[-1].paths).__contains__)
    base = base_url(films)
    for plan in plans:
        write_lists(folder if plan.cohort is None else folder / plan.name, plan, sums, base)
    facts = {
        "plans": [facts_of_plan(plan, (rate, OTHER_RATE)) for plan in plans],
        "root": str(root.resolve() if isinstance(root, Path) else root),
        "base": base,
        "simulated": films.simulated,
        "checksums": len(sums),
        "lists": str(folder),
    }
    write_json(folder / "plan.json", facts)
    if as_json:
        print(json.dumps(facts, indent=1))
    else:
        print_plan(facts, Console())


def plan_cohort(
    params: Params,
    releases: Mapping[Source, Release | Database],
    recipe: Recipe,
    *,
    exact: bool = False,
) -> PlannedCohort:
    """What a build has if the cohort is built, or built now (``exact``); else what it has at most.

    A built cohort counts if it is this recipe's and no table has changed since.
    """
    if exact:
        prepare(params, recipe)
    if exact or is_built(params, releases, recipe):
        return read_built_cohort(params, recipe)
    require_metadata_only(recipe)
    tables = {
        name: read_small_table(params, releases[source_of(name)], name)
        for name in tables_of_rules(recipe)
        if name != OFFICIAL_SPLIT or name in releases["mimic_cxr_jpg"].tables
    }
    return plan_from_metadata(params, recipe, tables)


def is_built(params: Params, releases: Mapping[Source, Release | Database], recipe: Recipe) -> bool:
    """Whether stage cohort has run for this very recipe on the tables as they now lie there."""
    record = params.build(recipe.name, "cohort", RECORD)
    if not is_built_by(params.build(recipe.name), recipe):
        return False
    for name in {*RECIPE_TABLES, *recipe.needed_tables, *tables_of_rules(recipe)}:
        release = releases[source_of(name)]
        if name not in release.tables:
            if name == OFFICIAL_SPLIT:
                continue
            return False
        table = read_ingested_table(params, release, name)
        if table is None or table.stat().st_mtime > record.stat().st_mtime:
            return False
    return True


def plan_films(root: Path | ObjectStore, cohorts: Sequence[PlannedCohort]) -> list[Plan]:
    """A plan for each cohort, and last one for the films of all."""
    plans = [Plan(c.recipe, c, c.films, look_for_films(root, c.films)) for c in cohorts]
    paths = sorted({path for cohort in cohorts for path in cohort.films})
    return [*plans, Plan(TOGETHER, None, paths, look_for_films(root, paths))]


def base_url(release: Release) -> str:
    """Where PhysioNet has the films of a release."""
    version = release.version if release.version in ("2.0.0", NEWEST) else NEWEST
    return f"{HOST}/{version}/"


def write_lists(folder: Path, plan: Plan, sums: Mapping[str, str], base: str) -> None:
    """films.txt and missing.txt (a path a line), films.sha256 (for sha256sum -c) and missing.aria2.

    A film that is cut short is missing too: a download that continues mends it.
    """
    wanted = plan.films.wanted
    _write_lines(folder / "films.txt", plan.paths)
    _write_lines(folder / "missing.txt", wanted)
    _write_lines(folder / "missing.aria2", _aria2_lines(wanted, sums, base))
    if sums:
        lines = (f"{sums[path]}  {path}" for path in plan.paths if path in sums)
        _write_lines(folder / "films.sha256", lines)
    else:
        (folder / "films.sha256").unlink(missing_ok=True)


def _aria2_lines(paths: Sequence[str], sums: Mapping[str, str], base: str) -> Iterable[str]:
    for path in paths:
        yield f"{base}{path}"
        yield f"  out={path}"
        if path in sums:
            yield f"  checksum=sha-256={sums[path]}"


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with publish(path) as part, part.open("w") as handle:
        handle.writelines(f"{line}\n" for line in lines)


def facts_of_plan(plan: Plan, rates: Sequence[float]) -> dict[str, Any]:
    """Counts only. ``rates``: MB a second; a GB is a thousand MB."""
    films = plan.films
    cohort = plan.cohort
    return {
        "name": plan.name,
        "exact": cohort.is_exact if cohort else None,
        "samples": {kind: dict(of) for kind, of in cohort.samples.items()} if cohort else {},
        "films": films.count,
        "on_disk": films.found,
        "cut_short": len(films.cut),
        "missing": len(films.wanted),
        "gb": films.all_bytes / 1e9,
        "missing_gb": films.wanted_bytes / 1e9,
        "size_basis": films.basis,
        "hours": {f"{rate:g}": films.wanted_bytes / 1e6 / rate / 3600 for rate in rates},
    }

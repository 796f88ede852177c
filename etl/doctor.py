"""What is here, and whether a run would go through: before anyone waits for it.

Sources are only read; the small tables go to build/plan/table. Counts, never a row or an id.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cxrfuture_data.schema import ContractError
from etl.cohort import NEEDED
from etl.database import Database
from etl.doctor_anomaly import Anomaly, count_anomalies
from etl.doctor_file import DEPTHS
from etl.doctor_film import FilmFacts, look_at_films
from etl.doctor_need import (
    Machine,
    Need,
    compare_with_machine,
    estimate_needs,
    look_at_machine,
)
from etl.doctor_print import print_doctor
from etl.doctor_problem import Problems
from etl.doctor_release import recognise_version
from etl.doctor_table import TableFacts, compare_with_release, look_at_tables
from etl.film_metadata import find_film_root
from etl.imagenome import find_files
from etl.ingest import LABELS
from etl.metadata import SOURCES, films_of, find_release_of
from etl.mimic_schema import RECIPE_TABLES, TABLES
from etl.params import FIT_VAE, Params
from etl.plan import plan_cohort
from etl.plan_cohort import PlannedCohort, require_metadata_only, tables_of_rules
from etl.recipe import BenchmarkSplitRule, Recipe, read_recipe, shipped_recipes
from etl.sources import Release, Source, read_checksums
from etl.version import MIXED, Version, disagreement


@dataclass(frozen=True)
class Diagnosis:
    """All that was found."""

    releases: Mapping[Source, Release | Database]
    versions: Mapping[Source, Version]
    tables: Mapping[Source, Sequence[TableFacts]]
    anomalies: Sequence[Anomaly]
    lacking: Mapping[str, Sequence[str]]
    cohorts: Sequence[PlannedCohort]
    films: FilmFacts | None
    needs: Sequence[Need]
    machine: Machine
    problems: Problems


def run_doctor(
    params: Params, *, deep: str = "none", all_films: bool = False, as_json: bool = False
) -> bool:
    """Examine, print; whether a run of the recipes in the params would go through."""
    if deep not in DEPTHS:
        raise ContractError(f"--deep {deep}; it is one of {', '.join(DEPTHS)}")
    found = examine(params, deep=deep, all_films=all_films)
    if as_json:
        print(json.dumps(facts_of(found), indent=1))
    else:
        print_doctor(facts_of(found), Console())
    return not found.problems.failing


def examine(params: Params, *, deep: str, all_films: bool) -> Diagnosis:
    """Look at everything; what is wrong is a problem and no end."""
    problems = Problems()
    releases = _find_releases(params, problems)
    tables: dict[Source, Sequence[TableFacts]] = {}
    versions: dict[Source, Version] = {}
    for source, release in releases.items():
        looked_at = look_at_tables(params, release, deep, problems)
        rows = {table.name: table.rows for table in looked_at if table.rows is not None}
        versions[source] = recognise_version(release, rows)
        _say_what_is_odd(release, versions[source], problems)
        tables[source] = compare_with_release(release, versions[source], looked_at, problems)
    every = [table for of_source in tables.values() for table in of_source]
    made = {table.name: table.parquet for table in every if table.parquet is not None}
    recipes = _check_recipes(params, every, problems)
    cohorts = _plan_cohorts(params, releases, recipes, every, problems)
    films = None
    if cohorts and "mimic_cxr_jpg" in releases:
        paths = sorted({path for cohort in cohorts for path in cohort.films})
        with problems.caught("films"):
            films = _look_at_films(params, films_of(releases), paths, problems, deep, all_films)
    needs = estimate_needs(params, every, recipes, cohorts)
    machine = look_at_machine(params.paths.build)
    compare_with_machine(params, needs, machine, problems)
    anomalies: list[Anomaly] = []
    with problems.caught("anomalies"):
        anomalies = count_anomalies(params, made)
    lacking = {name: tables_lacking(name, every) for name in shipped_recipes()}
    return Diagnosis(
        releases, versions, tables, anomalies, lacking, cohorts, films, needs, machine, problems
    )


def _say_what_is_odd(release: Release | Database, version: Version, problems: Problems) -> None:
    source = release.source
    if version.name == MIXED:
        problems.add(source, version.evidence, "take all tables from one version")
        return
    claimed = disagreement(release.version, version)
    if claimed is not None:
        problems.add(source, claimed, "name the folder after its version", "warning")
    if version.warning is not None:
        problems.add(source, version.warning, "take the tables of 3.1", "warning")


def _look_at_films(
    params: Params,
    release: Release,
    paths: Sequence[str],
    problems: Problems,
    deep: str,
    all_films: bool,
) -> FilmFacts:
    """Films that lie elsewhere are not the release's own files, and have no checksums."""
    root = find_film_root(params, release)
    has_sums = deep == "sums" and not params.paths.films
    sums = read_checksums(release.root, set(paths).__contains__) if has_sums else {}
    return look_at_films(root, paths, sums, problems, deep=deep, all_films=all_films)


def _find_releases(params: Params, problems: Problems) -> dict[Source, Release | Database]:
    releases = {}
    for source in SOURCES:
        with problems.caught(source):
            releases[source] = find_release_of(params, source)
    return releases


def _check_recipes(
    params: Params, tables: Sequence[TableFacts], problems: Problems
) -> list[Recipe]:
    """The recipes of the params, and what they and the other settings name that is not there."""
    recipes = []
    looked_at = {table.name for table in tables}  # none of a release that was not found
    for name in params.recipes:
        with problems.caught(name):
            recipe = read_recipe(name)
            recipes.append(recipe)
            told = set(RECIPE_TABLES) - set(LABELS)  # by their own names
            for table in sorted((set(tables_lacking(name, tables)) - told) & looked_at):
                next_step = "download it, or take the recipe out of params.yaml"
                problems.add(name, f"needs {TABLES[table].file}, which is not there", next_step)
            if isinstance(recipe.split, BenchmarkSplitRule) and recipe.split.lists:
                _require_folder("split.lists", recipe.split.lists, problems)
            if recipe.window.text != "plain":
                _require_folder("window.text", recipe.window.text, problems)
    with problems.caught("paths.chest_imagenome"):
        find_files(params.paths.chest_imagenome)
    if params.latent.weights != FIT_VAE:
        _require_folder("latent.weights", params.latent.weights, problems)
    if params.embed.backend == "local":
        _require_folder("embed.local.path", params.embed.local.path, problems)
    if params.embed.backend == "remote" and not params.embed.remote.attestation:
        next_step = "say who allowed it, or set embed.backend: minilm"
        problems.add("embed.remote.attestation", "empty", next_step)
    return recipes


def _require_folder(setting: str, folder: str, problems: Problems) -> None:
    if not Path(folder).expanduser().is_dir():
        problems.add(setting, f"{folder} is no folder", f"set {setting} to one that is there")


def tables_lacking(name: str, tables: Sequence[TableFacts]) -> list[str]:
    """The source tables that a build of the recipe reads and that are not there, by name."""
    recipe = read_recipe(name)
    read = {
        *(table for table in RECIPE_TABLES if table not in LABELS),
        *recipe.needed_tables,
        *NEEDED.get(recipe.rules, ()),
        f"cxr_{recipe.labels.findings}",
    }
    return sorted(read - {table.name for table in tables if table.is_there})


def _plan_cohorts(
    params: Params,
    releases: Mapping[Source, Release | Database],
    recipes: Sequence[Recipe],
    tables: Sequence[TableFacts],
    problems: Problems,
) -> list[PlannedCohort]:
    """What each recipe takes, at most; one that takes nothing would stop the build."""
    bad = {table.name for table in tables if table.state not in ("ok", "missing")}
    bad |= {table.name for table in tables if not table.is_there and table.name in RECIPE_TABLES}
    cohorts = []
    for recipe in recipes:
        if len(releases) < len(SOURCES) or bad & set(tables_of_rules(recipe)):
            continue  # each of them is a problem by its own name
        with problems.caught(recipe.name, "warning"):
            require_metadata_only(recipe)
            with problems.caught(recipe.name):
                cohorts.append(plan_cohort(params, releases, recipe))
    for planned in cohorts:
        if not planned.total:
            next_step = "are these films and tables of the same patients, and whole?"
            problems.add(planned.recipe, "its rules leave no sample", next_step)
    return cohorts


def facts_of(found: Diagnosis) -> dict[str, Any]:
    """The diagnosis as JSON: counts, sizes, names of files."""
    return {
        "sources": {
            source: {
                "root": str(release.root),
                "simulated": release.simulated,
                "version": found.versions[source].title,
                "basis": found.versions[source].evidence,
                "tables": [_table_facts(table) for table in found.tables[source]],
            }
            for source, release in found.releases.items()
        },
        "films": found.films and asdict(found.films),
        "anomalies": [asdict(anomaly) for anomaly in found.anomalies],
        "recipes": {
            name: [TABLES[table].file for table in of] for name, of in found.lacking.items()
        },
        "cohorts": [
            {"recipe": c.recipe, "exact": c.is_exact, "samples": c.total, "films": len(c.films)}
            for c in found.cohorts
        ],
        "needs": [asdict(need) for need in found.needs],
        "machine": asdict(found.machine),
        "problems": [asdict(problem) for problem in found.problems.found],
        "would_run": not found.problems.failing,
    }


def _table_facts(table: TableFacts) -> dict[str, Any]:
    return {key: value for key, value in asdict(table).items() if key != "parquet"}

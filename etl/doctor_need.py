"""The disk, memory and time that a run will need, each with what it is reckoned from, and what this
machine has. Estimates: the rates were measured on simulated data, on other processors.
"""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from etl.doctor_problem import Problems
from etl.doctor_release import estimate_rows
from etl.doctor_table import TableFacts
from etl.params import Params
from etl.plan_cohort import PlannedCohort
from etl.recipe import Recipe

# Rows of the sources a second on 2 cores: a simulated hospital of 30.3 M rows (README, Speed).
INGEST_RATE = 860_000
HOURLY_RATE = 980_000  # event, cohort and window of ddl_cxr
EVENT_RATE = 250_000  # of ehrxdiff
# Bytes on disk, rounded up: builds of 1,000 simulated patients, 2.5 M rows.
PARQUET_SHARE = 0.8  # of a csv.gz
HOURLY_BYTES = 4.0  # of event, cohort and window of ddl_cxr, per row of the sources
EVENT_BYTES = 25.0  # of ehrxdiff
# Per film of 2,544 x 3,056 and core (cxrfuture bench image, docs/films.md).
FILM_SECONDS = {"scaled": 0.0145, "exact": 0.030}
KEPT_SHARE = {"none": 0.0, "png": 0.6, "levels": 0.5}  # of a film's bytes as they are in memory
LATENT_SHARE = 0.25  # mean and log-variance, 4 channels at an eighth, fp16
BASE_GB = 0.5  # of a process beside DuckDB's own limit
CGROUP = Path("/sys/fs/cgroup/memory.max")
UNITS = {
    "B": 1,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}


@dataclass(frozen=True)
class Need:
    """Of one piece of work: disk in bytes, time in seconds, and their basis."""

    work: str
    disk: float
    seconds: float
    basis: str


@dataclass(frozen=True)
class Machine:
    """What is here: cores, memory in bytes (of the container if it has a limit), free disk."""

    cores: int
    memory: int
    disk: int


def estimate_needs(
    params: Params,
    tables: Iterable[TableFacts],
    recipes: Sequence[Recipe],
    cohorts: Sequence[PlannedCohort],
) -> list[Need]:
    """Ingest, then each recipe's tables, then its films. ``cohorts`` are those of the recipes."""
    read = [table for table in tables if table.is_there and table.is_needed]
    rows = sum(_rows(table) for table in read)
    size = sum(table.size for table in read)
    known = sum(table.rows is not None or table.expected is not None for table in read)
    basis = f"{rows:,} rows ({known} of {len(read)} tables counted) at {INGEST_RATE:,}/s"
    needs = [Need("ingest", size * PARQUET_SHARE, rows / INGEST_RATE, basis)]
    of = {cohort.recipe: cohort for cohort in cohorts}
    for recipe in recipes:
        needs.append(_tables_need(recipe, rows))
        if recipe.name in of:
            needs.append(_films_need(params, recipe, of[recipe.name]))
    return needs


def _rows(table: TableFacts) -> int:
    known = table.rows if table.rows is not None else table.expected
    return estimate_rows(table.name, table.size) if known is None else known


def _tables_need(recipe: Recipe, rows: int) -> Need:
    rate = EVENT_RATE if recipe.window.events else HOURLY_RATE
    size = EVENT_BYTES if recipe.window.events else HOURLY_BYTES
    if not (recipe.window.events or recipe.window.hourly):
        return Need(f"{recipe.name}: tables", 0.0, 0.0, "reads no event table")
    return Need(f"{recipe.name}: tables", rows * size, rows / rate, f"rows at {rate:,}/s")


def _films_need(params: Params, recipe: Recipe, cohort: PlannedCohort) -> Need:
    """Images, latents and tars; a pair holds two films."""
    count, pixels = len(cohort.films), recipe.image.size**2
    held = sum(
        sum(splits.values()) * (2 if kind == "pair" else 1)
        for kind, splits in cohort.samples.items()
    )
    in_tars = KEPT_SHARE[params.shard.keep_films] + LATENT_SHARE
    disk = count * pixels * (1 + LATENT_SHARE) + held * pixels * in_tars
    workers = min(params.image.workers, os.cpu_count() or 1)
    seconds = FILM_SECONDS[recipe.image_rule.decode]
    basis = f"{count:,} films of {recipe.image.size} px, {seconds * 1000:.0f} ms a film and core"
    return Need(f"{recipe.name}: films", disk, count * seconds / workers, basis)


def look_at_machine(build: Path) -> Machine:
    """Cores, memory and the free disk where the build goes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if CGROUP.is_file() and CGROUP.read_text().strip().isdigit():
        memory = min(memory, int(CGROUP.read_text()))
    return Machine(os.cpu_count() or 1, memory, shutil.disk_usage(existing_parent(build)).free)


def existing_parent(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def compare_with_machine(
    params: Params, needs: Sequence[Need], machine: Machine, problems: Problems
) -> None:
    """Too little disk fails, beside what is built already; limits above the memory may."""
    build = params.paths.build
    if not os.access(existing_parent(build), os.W_OK):
        problems.add("build", f"{build} cannot be written", "set paths.build to a folder of yours")
    made = {need.work.partition(":")[0] for need in needs}  # ingest, and the recipes
    files = (file for name in made for file in (build / name).rglob("*") if file.is_file())
    held = sum(file.stat().st_size for file in files)
    missing = sum(need.disk for need in needs) - held
    if missing > machine.disk:
        problems.add(
            "disk",
            f"{machine.disk / 1e9:,.1f} GB free, about {missing / 1e9:,.1f} GB more needed",
            "set paths.build to a larger disk, or build fewer recipes",
        )
    for section in ("ingest", "sql"):
        limit = parse_bytes(getattr(params, section).memory_limit)
        if limit is not None and limit + BASE_GB * 1e9 > machine.memory:
            problems.add(
                f"{section}.memory_limit",
                f"{limit / 1e9:.1f} GB, and {BASE_GB} beside it, of {machine.memory / 1e9:.1f} GB",
                f"lower {section}.memory_limit: what does not fit goes to disk",
                "warning",
            )


def parse_bytes(text: str) -> float | None:
    """DuckDB's spelling of memory, such as 4GB; None for a spelling that is not known here."""
    found = re.fullmatch(r"\s*([\d.]+)\s*([A-Za-z]+)\s*", text)
    unit = UNITS.get(found[2].upper()) if found else None
    return None if found is None or unit is None else float(found[1]) * unit

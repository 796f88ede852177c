"""Stage ingest: each source file -> build/ingest/<table>.parquet, typed, sorted and checked.

Finished tables are skipped by their done records; what was not finished is made again, to the same
bytes. Order of a table and its columns: etl/mimic_schema.py.
"""

import shutil
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from pathlib import Path
from typing import Any

from cxrfuture_data.console import Advance, progress, say
from cxrfuture_data.publish import digest, read_done, write_done, write_json
from cxrfuture_data.schema import ContractError
from etl.database import Database, find_database
from etl.database_url import is_database
from etl.film_metadata import add_metadata, find_film_root
from etl.ingest_table import Job, ingest_table, read_layout
from etl.mimic_schema import OPTIONAL_TABLES, RECIPE_TABLES, TABLES
from etl.params import SIMULATED, Params
from etl.recipe import Recipe, read_recipe
from etl.sources import Release, Source, find_release, read_checksums
from etl.version import Version, disagreement, recognise_tree, require_one_version

KILOBYTE = 1024
# One table alone leaves a processor idle a quarter of the time: inflating it is serial, and so is
# writing it.
TABLES_AT_ONCE = 2
LABELS = ("cxr_chexpert", "cxr_negbio")


def run(params: Params) -> None:
    """Ingest what the recipes of the params read, or every known table that is there."""
    tables, cxr = find_tables(params), find_source(params, "mimic_cxr_jpg")
    root = find_film_root(params, cxr)
    cxr, headers = add_metadata(params, cxr)
    ingest_releases(params, [tables, cxr], {"films": str(root), "headers": headers})


def forget(params: Params) -> None:
    """Let the next run read every table again, whatever its done record says."""
    shutil.rmtree(params.build("ingest", "done"), ignore_errors=True)


def find_tables(params: Params) -> Release | Database:
    """MIMIC-IV's tables: the folder, database or simulated tree that params name."""
    if is_database(params.paths.mimic_iv):
        return find_database(params.paths.mimic_iv)
    return find_source(params, "mimic_iv")


def find_source(params: Params, source: Source) -> Release:
    """The release that params name, or the simulated one of this build."""
    path = getattr(params.paths, source)
    if path != SIMULATED:
        return find_release(source, path)
    folder = params.build("simulate", source.replace("_", "-"))
    if not folder.is_dir():
        raise ContractError(f"{folder}: no simulated tree; run `cxrfuture simulate` first")
    return find_release(source, folder)


def ingest_releases(
    params: Params,
    releases: Sequence[Release | Database],
    films: Mapping[str, Any] | None = None,
) -> None:
    """Ingest the tables of these releases. ``films``: what source.json says of MIMIC-CXR
    besides."""
    jobs = plan_jobs(params, releases)
    for release in releases:
        require_one_version(release.source, _headers(release, jobs), release.root)
    folder = params.build("ingest")
    scratch = folder / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    _remove_other_tables(folder, {job.name for job in jobs})
    kilobytes = sum(job.source_bytes // KILOBYTE for job in jobs)
    try:
        with progress("ingest", kilobytes, "kB") as advance:
            facts = finish_tables(jobs, advance)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    versions = {release.source: _recognise(release, jobs, facts) for release in releases}
    _write_summaries(folder, releases, versions, facts, films or {})


def plan_jobs(params: Params, releases: Sequence[Release | Database]) -> list[Job]:
    """The tables to ingest, every header checked before the first long read."""
    jobs = []
    wanted = wanted_tables(map(read_recipe, params.recipes))
    for release in releases:
        if isinstance(release, Database):
            jobs += _plan_database(params, release, wanted)
            continue
        sums = read_checksums(release.root)
        for name, table in TABLES.items():
            if (table.module == "cxr") != (release.source == "mimic_cxr_jpg"):
                continue
            path = release.tables.get(name)
            if path is None and name in wanted.difference(OPTIONAL_TABLES):
                _refuse_missing(name, release)
            if path is None or not (params.ingest.tables == "all" or name in wanted):
                continue
            is_inside = path.is_relative_to(release.root)  # a table made from headers is not
            expected = sums.get(path.relative_to(release.root).as_posix()) if is_inside else None
            layout = read_layout(name, path)
            jobs.append(Job(name, path, layout, expected, params.ingest, params.build("ingest")))
    return jobs


def wanted_tables(recipes: Iterable[Recipe]) -> set[str]:
    """The tables that are ingested for these recipes, those that may be missing among them."""
    needed = {table for recipe in recipes for table in recipe.needed_tables}
    return {*RECIPE_TABLES, *OPTIONAL_TABLES, *needed}


def _refuse_missing(name: str, release: Release) -> None:
    """Say what to do about a table that recipes read. One labeler's labels are enough for some."""
    table = TABLES[name]
    if name in LABELS:
        if any(other in release.tables for other in LABELS):
            return
        raise ContractError(
            f"cxr_chexpert: neither {table.stem}.csv.gz nor {TABLES['cxr_negbio'].stem}.csv.gz in"
            f" {release.root}; labels come with MIMIC-CXR-JPG only: download them (2 MB each) and,"
            " for DICOM films, set paths.films to the films and paths.mimic_cxr_jpg to the labels"
        )
    where = release.root if table.module == "cxr" else release.root / table.module
    films = ", nor DICOM films to make it from" if name == "cxr_metadata" else ""
    raise ContractError(
        f"{name}: no {table.stem}.csv.gz, .csv or .parquet in {where}{films}; download it,"
        f" or set paths.{release.source} to the folder that has it"
    )


def _plan_database(params: Params, database: Database, wanted: Collection[str]) -> list[Job]:
    jobs = []
    for name, declared in TABLES.items():
        table = database.tables.get(name)
        is_needed = name in wanted and name not in OPTIONAL_TABLES
        if table is None and is_needed and declared.module != "cxr":
            raise ContractError(
                f"{name}: no table {database.schemas[declared.module]}.{declared.stem} in"
                f" {database.root}; load it with mimic-code, or set paths.mimic_iv to the database"
                " that has it"
            )
        if table is not None and (params.ingest.tables == "all" or name in wanted):
            layout = read_layout(name, table)
            jobs.append(Job(name, table, layout, None, params.ingest, params.build("ingest")))
    return jobs


def require_table(params: Params, recipe: str, name: str) -> Path:
    """The ingested table that a recipe cannot do without, though others can."""
    path = params.build("ingest", f"{name}.parquet")
    if not path.exists():
        table = TABLES[name]
        release = "mimic_cxr_jpg" if table.module == "cxr" else "mimic_iv"
        raise ContractError(
            f"recipe {recipe} needs {table.file}, which ingest has not found"
            f" in paths.{release}; download it, name the recipe under `recipes` in params.yaml"
            " and run `cxrfuture ingest` again"
        )
    return path


def finish_tables(jobs: Sequence[Job], advance: Advance) -> dict[str, dict[str, Any]]:
    """Each table's facts, by name, in the order of ``jobs``. The largest are begun first.

    At the first error the other table that is being made stops at its next block.
    """
    is_over = threading.Event()

    def advance_while_well(count: int = 1, note: str = "") -> None:
        if is_over.is_set():
            raise InterruptedError
        advance(count, note)

    from_database = any(not isinstance(job.origin, Path) for job in jobs)
    is_serial = from_database or any(job.settings.threads == 1 for job in jobs)
    with ThreadPoolExecutor(1 if is_serial else TABLES_AT_ONCE) as pool:
        by_size = sorted(jobs, key=lambda job: job.source_bytes, reverse=True)
        made = {
            job.name: pool.submit(copy_context().run, finish_table, job, advance_while_well)
            for job in (jobs if is_serial else by_size)
        }
        try:
            for future in as_completed(made.values()):
                future.result()
        except BaseException:
            is_over.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {job.name: made[job.name].result() for job in jobs}


def finish_table(job: Job, advance: Advance) -> dict[str, Any]:
    """Make one table, unless its done record says that it is made already; its facts."""
    facts = read_finished(job)
    if facts is None:
        return _ingest(job, advance)
    advance(facts["source_bytes"] // KILOBYTE, job.name)
    return facts


def read_finished(job: Job) -> dict[str, Any] | None:
    """The facts of a table that is made from the file as it now lies there, else None."""
    facts = read_done(_record(job), job.made_from)
    if facts is None or facts["rejects"] > job.settings.max_rejects:
        return None
    is_whole = job.target.is_file() and job.target.stat().st_size == facts["bytes"]
    return facts if is_whole else None


def _ingest(job: Job, advance: Advance) -> dict[str, Any]:
    record = _record(job)
    record.unlink(missing_ok=True)
    job.target.unlink(missing_ok=True)
    made_from = job.made_from
    started = time.monotonic()
    shown = 0

    def tell(rows: int, bytes_read: int) -> None:
        nonlocal shown
        advance(bytes_read // KILOBYTE - shown, f"{job.name} {rows:,} rows")
        shown = bytes_read // KILOBYTE

    facts = ingest_table(job, tell)
    tell(facts["rows"], facts["source_bytes"])
    seconds = time.monotonic() - started
    write_done(record, made_from, facts)
    notes = "".join(f"; {note}: {count:,}" for note, count in facts["notes"].items())
    say(f"{job.name}: {facts['rows']:,} rows, {facts['rows'] / seconds:,.0f} rows/s{notes}")
    return facts


def _record(job: Job) -> Path:
    return job.build / "done" / f"{job.name}.json"


def _remove_other_tables(folder: Path, kept: set[str]) -> None:
    """Leave no table of an earlier, wider or other source behind."""
    for name in TABLES.keys() - kept:
        (folder / "done" / f"{name}.json").unlink(missing_ok=True)
        (folder / "rejects" / f"{name}.parquet").unlink(missing_ok=True)
        (folder / f"{name}.parquet").unlink(missing_ok=True)


def _write_summaries(
    folder: Path,
    releases: Sequence[Release | Database],
    versions: Mapping[Source, Version],
    facts: dict[str, dict[str, Any]],
    films: Mapping[str, Any],
) -> None:
    kept = ("rows", "rejects", "notes", "bytes", "source_bytes")
    metrics = {name: {key: fact[key] for key in kept} for name, fact in facts.items()}
    write_json(folder / "metrics.json", {"tables": metrics})
    manifest = [
        (name, fact["source_file"], fact["source_bytes"], fact["source_sha256"])
        for name, fact in sorted(facts.items())
    ]
    sources: dict[str, Any] = {
        release.source: {
            "root": str(release.root),
            "version": versions[release.source].title,
            "simulated": release.simulated,
        }
        for release in releases
    }
    if "mimic_cxr_jpg" in sources:
        sources["mimic_cxr_jpg"] |= films
    write_json(folder / "source.json", sources | {"manifest_digest": digest(manifest)})


def _headers(release: Release | Database, jobs: Sequence[Job]) -> dict[str, tuple[str, ...]]:
    """Table -> columns, of the tables of this release."""
    is_cxr = release.source == "mimic_cxr_jpg"
    return {
        job.name: job.layout.header for job in jobs if (TABLES[job.name].module == "cxr") == is_cxr
    }


def _recognise(
    release: Release | Database, jobs: Sequence[Job], facts: Mapping[str, dict[str, Any]]
) -> Version:
    """Which version the ingested tables are of; said, with all that is odd about it."""
    headers = _headers(release, jobs)
    rows = {name: facts[name]["rows"] + facts[name]["rejects"] for name in headers}
    version = recognise_tree(release, headers, rows)
    say(f"{release.source}: {version.title} (by {version.evidence})")
    for line in (disagreement(release.version, version), version.warning):
        if line is not None:
            say(f"{release.source}: {line}")
    return version

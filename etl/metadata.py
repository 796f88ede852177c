"""The tables that a doctor and a planner read first: patients, admissions, stays and films' CSVs.

They go through ingest's own reader, so what is refused here is what ingest would refuse. A table
that ingest has made is used as it is; others are made once, in a folder apart from ingest's.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from cxrfuture_data.console import progress
from cxrfuture_data.schema import ContractError
from etl.film_metadata import add_metadata
from etl.ingest import KILOBYTE, find_source, finish_table, read_finished
from etl.ingest_table import Job, read_layout
from etl.mimic_schema import TABLES
from etl.params import Params
from etl.sources import CHECKSUMS, Release, Source, read_checksums

FOLDER = ("plan", "table")
SOURCES: tuple[Source, ...] = ("mimic_iv", "mimic_cxr_jpg")
# 170 MB of csv.gz in releases 3.1 and 2.1.0.
SMALL_TABLES = (
    "diagnoses_icd",
    "patients",
    "admissions",
    "icustays",
    "transfers",
    "omr",
    "cxr_metadata",
    "cxr_chexpert",
    "cxr_negbio",
    "cxr_split",
)


def find_release_of(params: Params, source: Source) -> Release:
    """The release that params name, as ingest reads it: with a film list from DICOM headers where
    it has none."""
    release = find_source(params, source)
    return add_metadata(params, release)[0] if source == "mimic_cxr_jpg" else release


def find_releases(params: Params) -> dict[Source, Release]:
    """Both releases; a missing one is an error."""
    return {source: find_release_of(params, source) for source in SOURCES}


def source_of(name: str) -> Source:
    """Which release a table belongs to."""
    return "mimic_cxr_jpg" if TABLES[name].module == "cxr" else "mimic_iv"


def file_of(name: str) -> str:
    """A table's file as the releases spell it."""
    table = TABLES[name]
    folder = "" if table.module == "cxr" else f"{table.module}/"
    return f"{folder}{table.stem}.csv.gz"


def table_job(params: Params, release: Release, name: str) -> Job:
    """The job that ingest would have for a table of this release; its header is checked."""
    path = release.tables.get(name)
    if path is None:
        raise ContractError(
            f"{name}: no {file_of(name)} (nor .csv or .parquet) in {release.root}; download it,"
            f" or set paths.{release.source} to the folder that has it"
        )
    expected = None
    if path.is_relative_to(release.root):
        sums = release.root / CHECKSUMS
        written_at = sums.stat().st_mtime_ns if sums.is_file() else 0
        expected = _read_checksums_once(release.root, written_at).get(
            path.relative_to(release.root).as_posix()
        )
    layout = read_layout(name, path)
    return Job(name, path, layout, expected, params.ingest, params.build("ingest"))


@lru_cache(maxsize=4)
def _read_checksums_once(root: Path, written_at: int) -> dict[str, str]:
    """That of MIMIC-CXR-JPG has a line a film: 52 MB."""
    return read_checksums(root)


def read_small_table(params: Params, release: Release, name: str) -> Path:
    """A small table's Parquet, read now unless that has been done."""
    job = table_job(params, release, name)
    if read_finished(job) is None:
        job = replace(job, build=params.build(*FOLDER))
        if read_finished(job) is None:
            with progress(f"read {name}", job.path.stat().st_size // KILOBYTE, "kB") as advance:
                finish_table(job, advance)
    return job.target


def read_ingested_table(params: Params, release: Release, name: str) -> Path | None:
    """The Parquet of a table of any size if ingest has made it from this very file, else None."""
    job = table_job(params, release, name)
    return None if read_finished(job) is None else job.target

"""The tables that a doctor and a planner read first: patients, admissions, stays and films' CSVs.

They go through ingest's own reader, so what is refused here is what ingest would refuse. A table
that ingest has made is used as it is; others are made once, in a folder apart from ingest's.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from cxrfuture_data.console import progress
from cxrfuture_data.schema import ContractError
from etl.database import Database
from etl.film_metadata import add_metadata
from etl.ingest import KILOBYTE, find_source, find_tables, finish_table, read_finished
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


def find_release_of(params: Params, source: Source) -> Release | Database:
    """What params name, as ingest reads it: a database, or a release, with a film list from DICOM
    headers where it has none."""
    if source == "mimic_iv":
        return find_tables(params)
    return add_metadata(params, find_source(params, source))[0]


def find_releases(params: Params) -> dict[Source, Release | Database]:
    """Both releases; a missing one is an error."""
    return {source: find_release_of(params, source) for source in SOURCES}


def films_of(releases: Mapping[Source, Release | Database]) -> Release:
    """MIMIC-CXR-JPG, which is always files."""
    release = releases["mimic_cxr_jpg"]
    assert isinstance(release, Release)
    return release


def source_of(name: str) -> Source:
    """Which release a table belongs to."""
    return "mimic_cxr_jpg" if TABLES[name].module == "cxr" else "mimic_iv"


def table_job(params: Params, release: Release | Database, name: str) -> Job:
    """The job that ingest would have for a table of this release; its header is checked."""
    table = release.tables.get(name)
    if table is None:
        raise ContractError(
            f"{name}: no {TABLES[name].file} (nor .csv or .parquet) in {release.root}; download it,"
            f" or set paths.{release.source} to the folder that has it"
        )
    expected = _expected_sha256(release.root, table) if isinstance(release, Release) else None
    layout = read_layout(name, table)
    return Job(name, table, layout, expected, params.ingest, params.build("ingest"))


def _expected_sha256(root: Path, path: object) -> str | None:
    if not isinstance(path, Path) or not path.is_relative_to(root):
        return None  # a table made from headers
    sums = root / CHECKSUMS
    written_at = sums.stat().st_mtime_ns if sums.is_file() else 0
    return _read_checksums_once(root, written_at).get(path.relative_to(root).as_posix())


@lru_cache(maxsize=4)
def _read_checksums_once(root: Path, written_at: int) -> dict[str, str]:
    """That of MIMIC-CXR-JPG has a line a film: 52 MB."""
    return read_checksums(root)


def read_small_table(params: Params, release: Release | Database, name: str) -> Path:
    """A small table's Parquet, read now unless that has been done."""
    job = table_job(params, release, name)
    if read_finished(job) is None:
        job = replace(job, build=params.build(*FOLDER))
        if read_finished(job) is None:
            with progress(f"read {name}", job.source_bytes // KILOBYTE, "kB") as advance:
                finish_table(job, advance)
    return job.target


def read_ingested_table(params: Params, release: Release | Database, name: str) -> Path | None:
    """The Parquet of a table of any size if ingest has made it from this very file, else None."""
    job = table_job(params, release, name)
    return None if read_finished(job) is None else job.target

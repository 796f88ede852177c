"""Which release a tree is, by its rows, and how many rows and bytes each of its tables then has."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from cxrfuture_data.settings import read_yaml
from etl.database import Database
from etl.ingest import ROWS_OF_VERSION
from etl.sources import UNKNOWN, Release

# Compressed megabytes of MIMIC-IV 3.1's largest tables (specs peers 5.1).
MEGABYTES = {
    "chartevents": 3300,
    "labevents": 2400,
    "emar_detail": 713,
    "emar": 773,
    "poe": 635,
    "prescriptions": 578,
    "pharmacy": 501,
    "inputevents": 382,
    "ingredientevents": 297,
    "microbiologyevents": 112,
    "datetimeevents": 60,
    "outputevents": 47,
    "transfers": 44,
    "omr": 42,
    "diagnoses_icd": 32,
    "procedureevents": 22,
    "admissions": 19,
}
NEWEST = "3.1"
LARGE = 10_000_000  # bytes; smaller tables are read whole


def recognise_version(release: Release | Database, rows: Mapping[str, int]) -> tuple[str, str]:
    """The version of a release and what says so. ``rows`` of the tables that were counted.

    The seam for etl.version: the only place here that decides on a version.
    """
    if release.simulated:
        return release.version, "SIMULATED.json"
    if release.source == "mimic_iv":
        key = (rows.get("patients", 0), rows.get("admissions", 0))
        if key in ROWS_OF_VERSION:
            return ROWS_OF_VERSION[key], "rows of patients and admissions"
    elif rows.get("cxr_metadata") == expected_rows("mimic_cxr_jpg", "2.1.0")["cxr_metadata"]:
        root = Path(release.root)
        is_new = "cxr_radiologist" in release.tables or (root / "IMAGE_FILENAMES").exists()
        return ("2.1.0" if is_new else "2.0.0"), "rows of the film list, files of 2.1.0"
    if release.version != UNKNOWN:
        return release.version, "the folder's name alone"
    return UNKNOWN, "neither rows nor the folder's name"


def expected_rows(source: str, version: str) -> dict[str, int]:
    """Table -> rows in that version; empty for one we have no counts of."""
    path = Path(str(files("etl").joinpath("release_rows.yaml")))
    return read_yaml(path)[source].get(version, {})


def expected_bytes(name: str, rows: int) -> float | None:
    """Of the csv.gz of a large table with so many rows, as in 3.1; None for others."""
    if name not in MEGABYTES:
        return None
    size = rows * MEGABYTES[name] * 1e6 / expected_rows("mimic_iv", NEWEST)[name]
    return size if size > LARGE else None


def estimate_rows(name: str, size: int) -> int:
    """Rows of a table's csv.gz of so many bytes, as in 3.1."""
    megabytes = MEGABYTES.get(name)
    if megabytes is None:
        return 0
    return round(size * expected_rows("mimic_iv", NEWEST)[name] / (megabytes * 1e6))

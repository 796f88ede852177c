"""Which release a tree is, by its rows, and how many rows and bytes each of its tables then has."""

from collections.abc import Mapping
from contextlib import suppress

from cxrfuture_data.schema import ContractError
from etl.database import Database
from etl.ingest_table import read_layout
from etl.sources import Release
from etl.version import Version, recognise_tree
from etl.version_schema import expected_rows

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


def recognise_version(release: Release | Database, rows: Mapping[str, int]) -> Version:
    """The version of a release and what says so. ``rows`` of the tables that were counted."""
    columns = {}
    for name, path in release.tables.items():
        with suppress(ContractError):  # a damaged table is a problem already, and says nothing
            columns[name] = read_layout(name, path).header
    return recognise_tree(release, columns, rows)


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

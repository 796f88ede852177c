"""One declared schema for each version of MIMIC-IV and MIMIC-CXR-JPG, and the rows of its tables.

Columns of 2.0 and 2.1 (none of provider and caregiver ids), 2.2 and 3.x: mimic-code's
mimic-iv/buildmimic/postgres/create.sql at f4fe248a, 40f4dd60, db74e5d4 and b52db56c. Capitals and
words of 2.x: the open demo, which is of 2.2. MIMIC-CXR-JPG: specs peers 4.2.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from cxrfuture_data.settings import read_yaml
from etl.mimic_schema import TABLES

DEMO = "demo-2.2"
FILE_NAMES = "IMAGE_FILENAMES"
TEST_SET = "mimic-cxr-2.1.0-test-set-labeled.csv"

_CAREGIVER = (
    "chartevents",
    "datetimeevents",
    "ingredientevents",
    "inputevents",
    "outputevents",
    "procedureevents",
)
_ORDER_PROVIDER = ("labevents", "microbiologyevents", "poe", "prescriptions")
_NO_IDS = {
    "admissions": frozenset({"admit_provider_id"}),
    "emar": frozenset({"enter_provider_id"}),
    **dict.fromkeys(_ORDER_PROVIDER, frozenset({"order_provider_id"})),
    **dict.fromkeys(_CAREGIVER, frozenset({"caregiver_id"})),
}
_NO_ID_TABLES = frozenset({"provider", "caregiver"})
_CAPITALS = {
    "procedureevents": {"originalamount": "ORIGINALAMOUNT", "originalrate": "ORIGINALRATE"}
}
# 2.x says whether a patient speaks English, and no more; and knows three kinds of insurance.
_WORDS = {
    "language": {"English": "ENGLISH"}
    | dict.fromkeys(("Spanish", "Russian", "Chinese", "Portuguese"), "?"),
    "insurance": {"Private": "Other", "Self-pay": "Other"},
}


@dataclass(frozen=True)
class Schema:
    """How one version's files differ from the tables of etl/mimic_schema.py."""

    name: str
    no_tables: frozenset[str] = frozenset()
    no_columns: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Table -> columns it lacks."""
    spelled: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Table -> column -> its spelling, where that is another."""
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Column of admissions -> value of 3.1 -> value of this version. Only simulate reads it."""

    def columns(self, table: str) -> tuple[str, ...]:
        """Names of etl/mimic_schema.py of the columns that this version has, in file order."""
        lacked = self.no_columns.get(table, frozenset())
        return tuple(column for column in TABLES[table].columns if column not in lacked)

    def header(self, table: str) -> tuple[str, ...]:
        """The same as the files spell them."""
        spelled = self.spelled.get(table, {})
        return tuple(spelled.get(column, column) for column in self.columns(table))

    def fits(self, table: str, columns: Collection[str]) -> bool:
        """Whether the table of a file with these columns (any case) could be this version's."""
        if table in self.no_tables:
            return False
        found = {column.lower() for column in columns}
        return found == {column.lower() for column in self.columns(table)}


MIMIC_IV = {
    "2.0": Schema("2.0", _NO_ID_TABLES, _NO_IDS, _CAPITALS, _WORDS),
    "2.1": Schema("2.1", _NO_ID_TABLES, _NO_IDS, _CAPITALS, _WORDS),
    "2.2": Schema("2.2", spelled=_CAPITALS, words=_WORDS),
    "3.0": Schema("3.0"),
    "3.1": Schema("3.1"),
}
MIMIC_CXR_JPG = {
    "2.0.0": Schema("2.0.0", frozenset({"cxr_radiologist"})),
    "2.1.0": Schema("2.1.0"),
}
SCHEMAS: dict[str, dict[str, Schema]] = {"mimic_iv": MIMIC_IV, "mimic_cxr_jpg": MIMIC_CXR_JPG}


def expected_rows(source: str, version: str) -> dict[str, int]:
    """Table -> rows in that version; empty for one we have no counts of, such as 3.0."""
    rows: dict[str, int] = _release_rows()[source].get(version, {})
    return rows


@cache
def _release_rows() -> dict[str, Any]:
    return read_yaml(Path(str(files("etl").joinpath("release_rows.yaml"))))


def lacked_columns(table: str) -> frozenset[str]:
    """Columns of a table, in lower case, that some version does not have."""
    return frozenset(_NO_IDS.get(table, ()))

"""Known anomalies of MIMIC, counted: files of sql/doctor, each of which selects the odd rows.

Counts alone leave here. What our rules do about each is said beside it (specs peers 2.5, 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etl.params import Params
from etl.sqlfile import offending_rows, open_sql

# File of sql/doctor -> the tables it reads, and what a build does with such rows.
ANOMALIES: dict[str, tuple[tuple[str, ...], str]] = {
    "discharge_before_admission": (("admissions",), "left out unless published"),
    "death_without_time": (("admissions",), "dod decides, by day"),
    "death_after_discharge": (("admissions",), "counts as a death in hospital"),
    "death_on_another_day": (("admissions", "patients"), "deathtime decides"),
    "admission_of_unknown_patient": (("admissions", "patients"), "left out"),
    "stay_of_unknown_admission": (("icustays", "admissions"), "left out"),
    "stay_of_another_patient": (("icustays", "admissions"), "left out"),
    "transfer_of_unknown_admission": (("transfers", "admissions"), "not read"),
    "transfer_of_another_patient": (("transfers", "admissions"), "not read"),
    "diagnosis_of_unknown_admission": (("diagnoses_icd", "admissions"), "left out"),
    "lab_without_admission": (("labevents",), "joined by time, not by id"),
    "lab_of_unknown_admission": (("labevents", "admissions"), "joined by time, not by id"),
    "film_without_view": (("cxr_metadata",), "left out where a view is asked for"),
    "film_without_time": (("cxr_metadata",), "left out"),
    "film_of_unknown_patient": (("cxr_metadata", "patients"), "left out of stays"),
    "study_at_two_times": (("cxr_metadata",), "each film by its own time"),
    "study_without_labels": (("cxr_metadata", "cxr_chexpert"), "left out where labels are needed"),
    "study_without_any_finding": (("cxr_chexpert",), "all labels null"),
}


@dataclass(frozen=True)
class Anomaly:
    """``count`` is None where a table has not been read; ``waits_for`` says which."""

    name: str
    count: int | None
    waits_for: str
    treatment: str


def count_anomalies(params: Params, tables: Mapping[str, Path]) -> list[Anomaly]:
    """Count what can be counted from the Parquet ``tables``, by table name."""
    found = []
    for name, (needed, treatment) in ANOMALIES.items():
        missing = [table for table in needed if table not in tables]
        count = None
        if not missing:
            with open_sql(params.sql, params.build("plan", ".spill")) as connection:
                there = {table: tables[table] for table in needed}
                count = offending_rows(connection, f"doctor/{name}", there)
        found.append(Anomaly(name, count, missing[0] if missing else "", treatment))
    return found

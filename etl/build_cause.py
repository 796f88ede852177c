"""Which filter took the films, stays and samples that one of two builds lacks.

The other build's cohort/dropped.parquet names the ids that each filter dropped. A sample went at
the first filter that dropped it, one of its films, its stay or its admission; a patient at the last
that dropped anything of theirs. What no filter dropped is looked up in the ingested tables.
"""

from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from etl.build_change import Compared, columns_of, equal, rows_of
from etl.dropped import FILE
from etl.sqlfile import scan

OF_SAMPLES = ("patient", "film")  # there as long as any sample is
NEVER = "dropped by no filter: never a candidate there"
SAMPLE_WENT = "dropped by no filter: the samples that held it went"
NOT_INGESTED = "not among the ingested tables: {}"
# Table of ingest -> its id, and those of a lost row that must be in it.
SOURCES = {
    "cxr_metadata": ("dicom_id", ("dicom_id", "target_dicom_id")),
    "icustays": ("stay_id", ("stay_id",)),
    "admissions": ("hadm_id", ("hadm_id",)),
    "patients": ("subject_id", ("subject_id",)),
}
_IDS = ("subject_id", "hadm_id", "stay_id", "dicom_id", "target_dicom_id", "prediction_at")
# What a lost row has of an id that the dropped row has too must be equal.
_SAME = " AND ".join(
    f"(gone.{name} IS NULL OR dropped.{name} IS NULL OR gone.{name} = dropped.{name})"
    for name in ("hadm_id", "stay_id", "prediction_at")
)
_NO_FILM = "dropped.dicom_id IS NULL"
_ONE_FILM = "dropped.target_dicom_id IS NULL"
_MATCHES = (
    "gone.dicom_id = dropped.dicom_id AND gone.target_dicom_id = dropped.target_dicom_id",
    f"gone.dicom_id = dropped.dicom_id AND {_ONE_FILM}",
    f"gone.target_dicom_id = dropped.dicom_id AND {_ONE_FILM}",
    f"gone.stay_id = dropped.stay_id AND {_NO_FILM}",
    f"gone.hadm_id = dropped.hadm_id AND dropped.stay_id IS NULL AND {_NO_FILM}",
)
_OF_PATIENT = ("gone.subject_id = dropped.subject_id",)


@dataclass(frozen=True)
class Cause:
    """``rows`` of ``table`` are in one build only, as the other's filter took them: ``direction``
    is lost (the second's) or gained (the first's). ``unit`` is empty where no filter did."""

    table: str
    direction: str
    unit: str
    reason: str
    rows: int


def find_causes(
    connection: DuckDBPyConnection, compared: Compared, before: Path, after: Path
) -> list[Cause]:
    """Of the rows lost, then of those gained, the most frequent cause first."""
    sides = {"before": before, "after": after}
    causes = []
    for direction, (has, lacks) in {
        "lost": ("before", "after"),
        "gained": ("after", "before"),
    }.items():
        rows = {side: rows_of(compared, side, build) for side, build in sides.items()}
        columns = columns_of(connection, rows[has])
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE gone AS SELECT ROW_NUMBER() OVER () AS number,"
            f" {_select_ids(compared, columns, has)} FROM {rows[has]} AS {has}"
            f" ANTI JOIN {rows[lacks]} AS {lacks} ON {equal(compared.keys)}"
        )
        counted = connection.execute(_count(compared, sides[lacks])).fetchall()
        causes += [Cause(compared.table, direction, *row) for row in counted]
    return causes


def _select_ids(compared: Compared, columns: list[str], side: str) -> str:
    """The ids of a row; a stay's previous film is no part of what it is."""
    names = {"dicom_id": "previous_dicom_id"} if compared.table == "pair" else {}
    found = ((name, names.get(name, name)) for name in _IDS)
    return ", ".join(
        f"{f'{side}.{column}' if column in columns else 'NULL'} AS {name}" for name, column in found
    )


def _count(compared: Compared, build: Path) -> str:
    """Rows of ``gone`` per unit and reason of the filter of ``build`` that took them."""
    is_patient = compared.table == "patient"
    pick = "MAX" if is_patient else "MIN"
    found = " UNION ALL ".join(
        "SELECT gone.number, dropped.position, dropped.unit, dropped.reason"
        f" FROM gone INNER JOIN dropped ON {match} AND {_SAME}"
        for match in (_OF_PATIENT if is_patient else _MATCHES)
    )
    # The last filter of one kind of sample takes none of another kind.
    own = "TRUE" if compared.table in OF_SAMPLES else f"sample = '{compared.table}'"
    return (
        f"WITH dropped AS (SELECT * FROM {scan(build / 'cohort' / FILE)}"
        f" WHERE sample IS NULL OR {own})"
        f", first AS (SELECT number, {pick}("
        "{'position': position, 'unit': unit, 'reason': reason}) AS cause"
        f" FROM ({found}) GROUP BY number)"
        " SELECT COALESCE(first.cause.unit, '') AS unit"
        f", COALESCE(first.cause.reason, {_otherwise(compared, build)}) AS reason, COUNT(*) AS rows"
        " FROM gone LEFT JOIN first USING (number) GROUP BY ALL ORDER BY rows DESC, unit, reason"
    )


def _otherwise(compared: Compared, build: Path) -> str:
    """Why a row is not there that no filter dropped."""
    cases = []
    for table, (name, ids) in SOURCES.items():
        path = build.parent / "ingest" / f"{table}.parquet"
        if path.exists():
            there = f"(SELECT {name} FROM {scan(path)} WHERE {name} IS NOT NULL)"
            missing = " OR ".join(
                f"(gone.{column} IS NOT NULL AND gone.{column} NOT IN {there})" for column in ids
            )
            cases.append(f"WHEN {missing} THEN '{NOT_INGESTED.format(name)}'")
    last = SAMPLE_WENT if compared.table in OF_SAMPLES else NEVER
    return f"CASE {' '.join(cases)} ELSE '{last}' END" if cases else f"'{last}'"

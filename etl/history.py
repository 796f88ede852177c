"""What was known of a sample's patient before it: body mass index, comorbidities."""

from pathlib import Path

from duckdb import DuckDBPyConnection

from etl.sqlfile import bind_tables, create_table, write_parquet

TABLES = ("charlson_code", "coded_comorbidity", "sample_as_of")


def write_history(connection: DuckDBPyConnection, omr: Path, folder: Path) -> None:
    """Write history.parquet for the cohort in ``folder``: kind, key, bmi (kg/m2),
    earlier_admissions, comorbidities (a list of names; docs/future.md).

    Reads the tables ``admissions`` and ``diagnoses_icd``, the cohort's pair and stay.parquet, and
    ``omr``, which not every release has.
    """
    bind_tables(connection, {name: folder / f"{name}.parquet" for name in ("pair", "stay")})
    if omr.exists():
        bind_tables(connection, {"omr": omr})
    else:
        create_table(connection, "omr", "cohort/future/no_omr")
    for table in TABLES:
        create_table(connection, table, f"cohort/future/{table}")
    write_parquet(connection, folder / "history.parquet", "cohort/future/history")

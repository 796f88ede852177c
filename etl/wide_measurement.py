"""Measurements of the recipe `future`: the set wide, moments and what runs (docs/variables.md)."""

from pathlib import Path

from duckdb import DuckDBPyConnection

from cxrfuture_data.publish import write_json
from etl.event_text import STAGE
from etl.ledger import Drop
from etl.recipe import FutureRecipe
from etl.sqlfile import Counted, count_drops, count_rows, create_table, write_kept_tables

# Source -> the table that its rows are kept in, in the order they build on each other.
SOURCES = {
    "chartevents": "wide_chart",
    "gcs_total": "wide_total",
    "labevents": "wide_lab",
    "outputevents": "wide_output",
    "inputevents": "wide_input",
}
TABLES = ("chartevents", "labevents", "inputevents", "outputevents")
# What the sources are read by.
LISTS = (
    "wide_variable",
    "wide_item",
    "pressor",
    "rate_unit",
    "lab_admission",
    "arterial_specimen",
)


def write_wide_measurements(
    connection: DuckDBPyConnection, folder: Path, recipe: FutureRecipe
) -> list[Drop]:
    """Write measurement.parquet, of no row where the recipe has no hourly record, and metrics.json;
    returns what was dropped. Reads the table ``filmed_admission``; each source is read once for its
    rows, and twice by narrow columns."""
    drops: list[Drop] = []
    tables = ["no_measurement"]
    labs = 0
    if recipe.window.hourly:
        for name in LISTS:
            create_table(connection, name, f"event/future/{name}")
        labs = count_rows(connection, "lab_admission")
        for source, table in SOURCES.items():
            drops += _create_source(connection, source, table)
        tables = list(SOURCES.values())
    else:
        create_table(connection, "no_measurement", "event/future/no_measurement")
    write_kept_tables(
        connection, folder / "measurement.parquet", "event/future/measurement", tables
    )
    for table in tables:
        connection.execute(f"DROP TABLE {table}")
    write_json(folder / "metrics.json", {"labs_given_an_admission_by_time": labs})
    return drops


def _create_source(connection: DuckDBPyConnection, source: str, table: str) -> list[Drop]:
    """Keep a source's rows, dropped ones too; what goes before them is only counted."""
    name = f"event/future/measurement/{source}"
    counted = Counted(STAGE, f"{source} row")
    create_table(connection, table, name)
    drops = []
    if source in TABLES:
        drops += count_drops(connection, counted, f"event/future/needed/{source}")
    return drops + count_drops(connection, counted, name, table=table)

"""Tables -> measurements in the contract's units, and events as text."""

from collections.abc import Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection

from cxrfuture_data.publish import write_json
from cxrfuture_data.schema import VARIABLES
from etl.event_text import STAGE, require_text_tables, text_tables, write_events
from etl.ledger import Drop, write_ledger
from etl.params import Params
from etl.recipe import FutureRecipe, Recipe
from etl.sqlfile import (
    Counted,
    bind_tables,
    count_drops,
    count_rows,
    create_table,
    open_sql,
    say_rows,
    write_kept,
)
from etl.wide_measurement import TABLES as WIDE_TABLES
from etl.wide_measurement import write_wide_measurements

# What becomes measurements, and the tables that choose them, in the order they build on each other.
MEASURED_TABLES = ("chartevents", "labevents", "gcs_total")
MEASUREMENT_TABLES = {
    "admission": "cohort/admission",
    "all_stay": "cohort/benchmark/all_stay",
    "measured_stay": "event/measured_stay",
    "charted_category": "event/charted_category",
    "variable_item": "event/variable_item",
    "plausible_range": "event/plausible_range",
    "measured_item": "event/measured_item",
    "lab_admission": "event/lab_admission",
    "gcs_component": "event/gcs_component",
}
# Rules that go before those of a file in event/measurement, in a file of their own.
NEEDED = ("event/needed/chartevents",)


def run(params: Params, recipe: Recipe) -> None:
    """Write measurement, event and text.parquet; those a recipe does not ask for are empty."""
    require_text_tables(params, recipe)
    folder = params.build(recipe.name, STAGE)
    with open_sql(params.sql, folder / ".spill") as connection:
        bind_tables(connection, source_tables(params, recipe))
        if recipe.window.events or isinstance(recipe, FutureRecipe):
            create_filmed_admission(connection, recipe)
        if isinstance(recipe, FutureRecipe):
            drops = write_wide_measurements(connection, folder, recipe)
        else:
            drops = _write_measurements(connection, folder, recipe)
        drops += write_events(connection, params, recipe)
    write_ledger(folder, drops)
    say_rows(folder, ("measurement", "event", "text"))


def source_tables(params: Params, recipe: Recipe) -> dict[str, Path]:
    """The files that the stage reads, by the names the SQL knows them by."""
    names = ["admissions", "cxr_metadata"]
    if recipe.window.hourly:
        names += ["patients", "icustays", "chartevents", "labevents"]
    if recipe.window.hourly and isinstance(recipe, FutureRecipe):
        names += WIDE_TABLES
    tables = {name: params.build("ingest", f"{name}.parquet") for name in names}
    return tables | text_tables(params, recipe)


def create_filmed_admission(connection: DuckDBPyConnection, recipe: Recipe) -> None:
    """The admissions that samples may come from. EHRXDiff's pairs need two films; a stay of
    `future` one, or none where a list of predictions is given."""
    name, minimum_films = "event/filmed_admission", 2
    if isinstance(recipe, FutureRecipe):
        name, minimum_films = "event/future/filmed_admission", int(not recipe.cohort.index)
    parameters = {**recipe.parameters, "minimum_films": minimum_films}
    create_table(connection, "filmed_admission", name, parameters)


def _write_measurements(connection: DuckDBPyConnection, folder: Path, recipe: Recipe) -> list[Drop]:
    labs = 0
    tables: Sequence[str] = MEASURED_TABLES if recipe.window.hourly else ()
    if tables:
        _create_contract_category(connection)
        # Stays without a film are samples where pairing is partial.
        minimum_films = 0 if recipe.parameters.get("pairing") == "partial" else 1
        parameters = {**recipe.parameters, "minimum_films": minimum_films}
        for table, name in MEASUREMENT_TABLES.items():
            create_table(connection, table, name, parameters)
        labs = count_rows(connection, "lab_admission")
    names = [f"event/measurement/{table}" for table in tables]
    write_kept(
        connection,
        folder / "measurement.parquet",
        "event/measurement",
        names or ["event/no_measurement"],
        recipe.parameters,
    )
    write_json(folder / "metrics.json", {"labs_given_an_admission_by_time": labs})
    return _count(connection, [*NEEDED[: len(tables)], *names], recipe)


def _count(connection: DuckDBPyConnection, names: Sequence[str], recipe: Recipe) -> list[Drop]:
    drops = []
    for name in names:
        counted = Counted(STAGE, f"{name.rsplit('/', 1)[1]} row")
        drops += count_drops(connection, counted, name, parameters=recipe.parameters)
    return drops


def _create_contract_category(connection: DuckDBPyConnection) -> None:
    """The categories of the contract, as a table the SQL can join."""
    connection.execute(
        "CREATE TEMP TABLE contract_category"
        " (variable contract_variable, category VARCHAR, position INTEGER)"
    )
    rows = [
        (variable.name, category, position)
        for variable in VARIABLES
        for position, category in enumerate(variable.categories)
    ]
    connection.executemany("INSERT INTO contract_category VALUES (?, ?, ?)", rows)

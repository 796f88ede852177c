"""What was measured and what happened in each pair's and stay's window."""

from pathlib import Path

from duckdb import DuckDBPyConnection

from etl.ledger import Drop, write_ledger
from etl.params import Params
from etl.published_hours import create_pair_edges
from etl.recipe import Recipe
from etl.sqlfile import (
    Counted,
    bind_tables,
    count_drops,
    count_rows,
    create_table,
    open_sql,
    say_rows,
    write_parquet,
)

STAGE = "window"
TABLES = (
    "sample_window",
    "window_admission",
    "windowed_measurement",
    "window_origin",
    "hourly_value",
    "windowed_event",
    "event_count",
)
INPUTS = {
    "cohort": ("pair", "pair_admission", "stay", "all_stay"),
    "event": ("measurement", "event"),
}
OUTPUTS = ("window", "hourly", "window_event")


def run(params: Params, recipe: Recipe) -> None:
    """Write window, hourly and window_event.parquet, and ledger.json."""
    folder = params.build(recipe.name, STAGE)
    parameters = recipe.parameters
    with open_sql(params.sql, folder / ".spill") as connection:
        bind_tables(connection, source_tables(params, recipe))
        create_pair_edges(connection, recipe)
        for table in TABLES:
            create_table(connection, table, f"window/{table}", parameters)
        for name in OUTPUTS:
            write_parquet(connection, folder / f"{name}.parquet", f"window/{name}", parameters)
        drops = _count(connection, recipe)
    write_ledger(folder, drops)
    say_rows(folder, OUTPUTS)


def source_tables(params: Params, recipe: Recipe) -> dict[str, Path]:
    """The files that the stage reads, by the names the SQL knows them by."""
    return {
        name: params.build(recipe.name, stage, f"{name}.parquet")
        for stage, names in INPUTS.items()
        for name in names
    }


def _count(connection: DuckDBPyConnection, recipe: Recipe) -> list[Drop]:
    drops = []
    if recipe.window.hourly:
        drops.append(_count_overtaken(connection))
    if recipe.window.events:
        counted = Counted(STAGE, "event of a window")
        drops += count_drops(connection, counted, "window/windowed_event", table="windowed_event")
    return drops


def _count_overtaken(connection: DuckDBPyConnection) -> Drop:
    rows = connection.execute("SELECT COALESCE(SUM(measurements), 0)::BIGINT FROM hourly_value")
    before = rows.fetchall()[0][0]
    return Drop(
        STAGE,
        "measurement of a window",
        "a later or larger value in the same hour",
        before,
        before - count_rows(connection, "hourly_value"),
    )

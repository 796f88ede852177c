"""What was measured and what happened in each pair's and stay's window."""

import math
from pathlib import Path

from duckdb import DuckDBPyConnection

from etl.ledger import Drop, write_ledger
from etl.params import Params
from etl.part import rate_of
from etl.published_hours import create_pair_edges
from etl.recipe import Recipe
from etl.sqlfile import (
    Counted,
    add_rows,
    bind_tables,
    count_drops,
    count_rows,
    create_table,
    open_sql,
    say_rows,
    write_parquet,
    write_table,
)

STAGE = "window"
# What is measured is taken apart for so many windows at a time: all windows hold a measurement
# several times over, too much for the memory of a small machine.
WINDOWS_PER_PART = 4096
PART_TABLES = ("windowed_measurement", "window_origin", "hourly_value")
# What stays of each part, and the file that says how.
KEPT = {"measured_window": "window/measured_window", "hourly": "window/hourly"}
EVENT_TABLES = ("window_admission", "windowed_event", "event_count")
INPUTS = {
    "cohort": ("pair", "pair_admission", "stay", "all_stay"),
    "event": ("measurement", "event"),
}
OUTPUTS = ("window", "hourly", "window_event")


def run(params: Params, recipe: Recipe) -> None:
    """Write window, hourly and window_event.parquet, and ledger.json."""
    folder = params.build(recipe.name, STAGE)
    with open_sql(params.sql, folder / ".spill") as connection:
        bind_tables(connection, source_tables(params, recipe))
        create_windows(connection, recipe)
        write_table(connection, folder / "hourly.parquet", "hourly", "window/hourly")
        for name in ("window", "window_event"):
            path = folder / f"{name}.parquet"
            write_parquet(connection, path, f"window/{name}", recipe.parameters)
        drops = _count(connection, recipe)
    write_ledger(folder, drops)
    say_rows(folder, OUTPUTS)


def create_windows(connection: DuckDBPyConnection, recipe: Recipe) -> None:
    """Make every table that the outputs are written from, ``hourly`` among them."""
    parameters = recipe.parameters
    create_pair_edges(connection, recipe)
    create_table(connection, "numbered_window", "window/sample_window", parameters)
    _measure_in_parts(connection, recipe)
    connection.execute("ALTER TABLE numbered_window RENAME TO sample_window")
    for table in EVENT_TABLES:
        create_table(connection, table, f"window/{table}", parameters)


def source_tables(params: Params, recipe: Recipe) -> dict[str, Path]:
    """The files that the stage reads, by the names the SQL knows them by."""
    return {
        name: params.build(recipe.name, stage, f"{name}.parquet")
        for stage, names in INPUTS.items()
        for name in names
    }


def _measure_in_parts(connection: DuckDBPyConnection, recipe: Recipe) -> None:
    """Make the tables of KEPT; a part holds windows of neighbouring patients, as the files do."""
    connection.execute(
        "CREATE TEMP TABLE window_part AS SELECT window_number"
        ", (ROW_NUMBER() OVER (ORDER BY subject_id, window_number) - 1) // $windows AS part"
        " FROM numbered_window",
        {"windows": WINDOWS_PER_PART},
    )
    windows = count_rows(connection, "numbered_window") if recipe.window.hourly else 0
    with rate_of(STAGE, windows, 0, "windows") as advance:
        for part in range(max(1, math.ceil(windows / WINDOWS_PER_PART))):
            _measure_part(connection, recipe, part)
            advance(min(WINDOWS_PER_PART, windows - part * WINDOWS_PER_PART))


def _measure_part(connection: DuckDBPyConnection, recipe: Recipe, part: int) -> None:
    connection.execute(
        "CREATE TEMP TABLE sample_window AS SELECT numbered_window.* FROM numbered_window"
        " INNER JOIN window_part USING (window_number) WHERE part = $part",
        {"part": part},
    )
    for table in PART_TABLES:
        create_table(connection, table, f"window/{table}", recipe.parameters)
    for table, name in KEPT.items():
        add_rows(connection, table, name, recipe.parameters)
    for table in ("sample_window", *PART_TABLES):
        connection.execute(f"DROP TABLE {table}")


def _count(connection: DuckDBPyConnection, recipe: Recipe) -> list[Drop]:
    drops = []
    if recipe.window.hourly:
        drops.append(_count_overtaken(connection))
    if recipe.window.events:
        counted = Counted(STAGE, "event of a window")
        drops += count_drops(connection, counted, "window/windowed_event", table="windowed_event")
    return drops


def _count_overtaken(connection: DuckDBPyConnection) -> Drop:
    """Of what is measured in the windows, what became no hourly value."""
    counted = connection.execute(
        "SELECT CAST(COALESCE(SUM(measurements), 0) AS BIGINT)"
        ", CAST(COALESCE(SUM(hourly_values), 0) AS BIGINT) FROM measured_window"
    )
    before, after = counted.fetchall()[0]
    return Drop(
        STAGE,
        "measurement of a window",
        "a later or larger value in the same hour",
        before,
        before - after,
    )

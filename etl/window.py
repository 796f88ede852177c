"""What was measured and what happened in each pair's and stay's window."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from etl.ledger import Drop, write_ledger
from etl.params import Params
from etl.part import rate_of
from etl.published_hours import create_pair_edges
from etl.recipe import FutureRecipe, Recipe
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
INPUTS = {
    "cohort": ("pair", "pair_admission", "stay", "all_stay"),
    "event": ("measurement", "event"),
}
OUTPUTS = ("window", "hourly", "window_event")


@dataclass(frozen=True)
class Files:
    """The files below sql/ that each table is made from, in the order they build on each other."""

    sample_window: str
    part: Mapping[str, str]  # of each part, dropped with it
    kept: Mapping[str, str]  # what stays of each part
    events: Mapping[str, str]
    window: str
    window_event: str


PUBLISHED = Files(
    sample_window="window/sample_window",
    part={
        name: f"window/{name}" for name in ("windowed_measurement", "window_origin", "hourly_value")
    },
    kept={name: f"window/{name}" for name in ("measured_window", "hourly")},
    events={
        name: f"window/{name}" for name in ("window_admission", "windowed_event", "event_count")
    },
    window="window/window",
    window_event="window/window_event",
)
FUTURE = Files(
    sample_window="window/future/sample_window",
    part={name: f"window/future/{name}" for name in ("windowed_measurement", "hourly_value")},
    kept={name: f"window/future/{name}" for name in ("measured_window", "hourly")},
    events={
        "window_admission": "window/window_admission",
        "windowed_event": "window/future/windowed_event",
        "event_count": "window/event_count",
    },
    window="window/future/window",
    window_event="window/future/window_event",
)


def files_of(recipe: Recipe) -> Files:
    return FUTURE if isinstance(recipe, FutureRecipe) else PUBLISHED


def run(params: Params, recipe: Recipe) -> None:
    """Write window, hourly and window_event.parquet, and ledger.json."""
    folder = params.build(recipe.name, STAGE)
    with open_sql(params.sql, folder / ".spill") as connection:
        bind_tables(connection, source_tables(params, recipe))
        create_windows(connection, recipe)
        files = files_of(recipe)
        write_table(connection, folder / "hourly.parquet", "hourly", files.kept["hourly"])
        for name, file in {"window": files.window, "window_event": files.window_event}.items():
            write_parquet(connection, folder / f"{name}.parquet", file, recipe.parameters)
        drops = _count(connection, recipe)
    write_ledger(folder, drops)
    say_rows(folder, OUTPUTS)


def create_windows(connection: DuckDBPyConnection, recipe: Recipe) -> None:
    """Make every table that the outputs are written from, ``hourly`` among them."""
    parameters, files = recipe.parameters, files_of(recipe)
    if isinstance(recipe, FutureRecipe):
        create_table(connection, "wide_variable", "event/future/wide_variable")
    else:
        create_pair_edges(connection, recipe)
    create_table(connection, "numbered_window", files.sample_window, parameters)
    _measure_in_parts(connection, recipe)
    connection.execute("ALTER TABLE numbered_window RENAME TO sample_window")
    for table, name in files.events.items():
        create_table(connection, table, name, parameters)


def source_tables(params: Params, recipe: Recipe) -> dict[str, Path]:
    """The files that the stage reads, by the names the SQL knows them by."""
    return {
        name: params.build(recipe.name, stage, f"{name}.parquet")
        for stage, names in INPUTS.items()
        for name in names
    }


def _measure_in_parts(connection: DuckDBPyConnection, recipe: Recipe) -> None:
    """Make the tables that are kept. A part holds windows of neighbouring patients, as files do."""
    connection.execute(
        "CREATE TEMP TABLE window_part AS SELECT window_number"
        ", (ROW_NUMBER() OVER (ORDER BY subject_id, window_number) - 1) // $windows AS part"
        " FROM numbered_window",
        {"windows": WINDOWS_PER_PART},
    )
    files = files_of(recipe)
    windows = count_rows(connection, "numbered_window") if recipe.window.hourly else 0
    with rate_of(STAGE, windows, 0, "windows") as advance:
        for part in range(max(1, math.ceil(windows / WINDOWS_PER_PART))):
            _measure_part(connection, recipe, files, part)
            advance(min(WINDOWS_PER_PART, windows - part * WINDOWS_PER_PART))


def _measure_part(connection: DuckDBPyConnection, recipe: Recipe, files: Files, part: int) -> None:
    connection.execute(
        "CREATE TEMP TABLE sample_window AS SELECT numbered_window.* FROM numbered_window"
        " INNER JOIN window_part USING (window_number) WHERE part = $part",
        {"part": part},
    )
    for table, name in files.part.items():
        create_table(connection, table, name, recipe.parameters)
    for table, name in files.kept.items():
        add_rows(connection, table, name, recipe.parameters)
    for table in ("sample_window", *files.part):
        connection.execute(f"DROP TABLE {table}")


def _count(connection: DuckDBPyConnection, recipe: Recipe) -> list[Drop]:
    drops = []
    if recipe.window.hourly:
        if isinstance(recipe, FutureRecipe):
            drops += count_unused(connection)
        else:
            drops.append(_count_overtaken(connection))
    if recipe.window.events:
        counted = Counted(STAGE, "event of a window")
        drops += count_drops(
            connection, counted, files_of(recipe).events["windowed_event"], table="windowed_event"
        )
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


def count_unused(connection: DuckDBPyConnection) -> list[Drop]:
    """Of what is measured in the windows of `future`, what became no hourly value."""
    counted = connection.execute(
        "SELECT CAST(COALESCE(SUM(measurements), 0) AS BIGINT)"
        ", CAST(COALESCE(SUM(ran_before), 0) AS BIGINT)"
        ", CAST(COALESCE(SUM(overtaken), 0) AS BIGINT) FROM measured_window"
    )
    before, ran_before, overtaken = counted.fetchall()[0]
    unit = "measurement of a window"
    return [
        Drop(STAGE, unit, "known in the window, but ended before its start", before, ran_before),
        Drop(STAGE, unit, "a later value in the same hour", before - ran_before, overtaken),
    ]

"""Hours since ICU admission as DDL-CXR's code compares them: floats that went through a csv file.

The authors write hours with all their digits and read them with pandas, whose parser is off by the
last bit in one of six. Hours are then subtracted and cut to whole ones, and compared with a film's
time in other arithmetic, so the last bit decides which hour a value is in and whether one charted
in the very second of a film belongs to the window (specs ddl-cxr 3.6, 5.2). Found by comparison
with pandas 2.0.3, whose reading of 200,000 such hours this repeats.
"""

from collections.abc import Iterable

import pyarrow as pa
from duckdb import DuckDBPyConnection

from etl.recipe import Recipe

MOST_DIGITS = 17  # pandas' parser reads no more, a leading zero included

_SECONDS_OF_EDGES = """
    SELECT DISTINCT UNNEST([
        DATE_DIFF('second', intime, start_at), DATE_DIFF('second', intime, end_at)
    ]) AS seconds
    FROM ({windows})
"""
_SECONDS_OF_MEASUREMENTS = """
    SELECT DISTINCT DATE_DIFF('second', sample_window.intime, measurement.event_at) AS seconds
    FROM windowed_measurement AS measurement
    INNER JOIN sample_window ON measurement.window_number = sample_window.window_number
"""


def read_back(hours: float) -> float:
    """What pandas' csv reader makes of a float that was written with all its digits."""
    text, _, power = repr(abs(hours)).partition("e")
    whole, _, fraction = text.partition(".")
    number, digits, exponent = 0.0, 0, int(power or 0)
    for place, digit in enumerate(whole + fraction):
        if digits < MOST_DIGITS:
            number = number * 10.0 + int(digit)
            digits += 1
            exponent -= place >= len(whole)
        else:
            exponent += place < len(whole)
    number = number * 10.0**exponent if exponent > 0 else number / 10.0**-exponent
    return -number if hours < 0 else number


def charted_hours(seconds: int) -> float:
    """Hours since ICU admission of a measurement, as read from an episode's csv file."""
    return read_back(seconds / 60.0 / 60)


def film_hours(seconds: int) -> float:
    """Hours since ICU admission of a film."""
    return seconds / 86400 * 24


def edges(seconds: int) -> dict[str, bool | int]:
    """Whether a measurement in the very second of a film belongs to the window that starts, or
    ends, with it: when hours are counted (length), and when the window is cut (window)."""
    charted, film = charted_hours(seconds), film_hours(seconds)
    return {
        "seconds": seconds,
        "in_length_at_start": charted >= film,
        "in_length_at_end": charted <= film,
        "in_window_at_start": charted >= read_back(film),
        "in_window_at_end": charted <= read_back(film),
    }


def create_candidate_edges(connection: DuckDBPyConnection, recipe: Recipe) -> None:
    """``published_edge`` of the pairs that cohort considers."""
    windows = "SELECT intime, previous_at AS start_at, target_at AS end_at FROM pair_candidate"
    create_edges(connection, recipe, windows)


def create_pair_edges(connection: DuckDBPyConnection, recipe: Recipe) -> None:
    """``published_edge`` of the pairs that cohort kept."""
    windows = """
        SELECT all_stay.intime, pair.window_start_at AS start_at, pair.window_end_at AS end_at
        FROM pair INNER JOIN all_stay ON pair.stay_id = all_stay.stay_id
    """
    create_edges(connection, recipe, windows)


def create_edges(connection: DuckDBPyConnection, recipe: Recipe, windows: str) -> None:
    """The table ``published_edge``, empty where exact times are in force.

    ``windows`` selects intime, start_at and end_at.
    """
    query = _SECONDS_OF_EDGES.format(windows=windows)
    rows = [edges(seconds) for seconds in _seconds(connection, recipe, query)]
    types = {"seconds": pa.int64()} | dict.fromkeys(list(edges(0))[1:], pa.bool_())
    _create(connection, "published_edge", pa.Table.from_pylist(rows, pa.schema(types)))


def create_hours(connection: DuckDBPyConnection, recipe: Recipe) -> None:
    """The table ``published_hour`` of the measurements in ``windowed_measurement``, or empty."""
    seconds = list(_seconds(connection, recipe, _SECONDS_OF_MEASUREMENTS))
    columns = {"seconds": seconds, "hours": [charted_hours(second) for second in seconds]}
    types = {"seconds": pa.int64(), "hours": pa.float64()}
    _create(connection, "published_hour", pa.table(columns, pa.schema(types)))


def _seconds(connection: DuckDBPyConnection, recipe: Recipe, query: str) -> Iterable[int]:
    if recipe.parameters["exact_hours"]:
        return []
    return [row[0] for row in connection.execute(query).fetchall() if row[0] is not None]


def _create(connection: DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    connection.register("computed", rows)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * FROM computed")
    connection.unregister("computed")

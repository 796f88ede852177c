"""DuckDB's errors that a user can do something about, in one line."""

import re
from pathlib import Path

import duckdb

from cxrfuture_data.schema import ContractError
from etl.params import SqlParams

# What the system says of a file that cannot be written, and what to do then.
ADVICE = {
    "No space left on device": "free some, or set paths.build to a larger disk",
    "Disk quota exceeded": "free some, or set paths.build to a larger disk",
    "Read-only file system": "set paths.build to a folder that can be written",
    "Permission denied": "set paths.build to a folder that is yours to write",
}
AGAIN = "; nothing finished is lost, run it again then"


def explain(error: duckdb.Error, params: SqlParams, spill: Path) -> ContractError | None:
    """The error that names the file and the next step; None of one that is ours to mend."""
    said = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        if "max_temp_directory_size" in said:
            return ContractError(
                f"{spill}: no space left to spill to; free some, set paths.build to a larger disk,"
                f" or raise sql.memory_limit ({params.memory_limit}){AGAIN}"
            )
        return ContractError(
            f"sql.memory_limit: {params.memory_limit} is not enough; raise it, or lower sql.threads"
        )
    for cause, advice in ADVICE.items():
        if isinstance(error, duckdb.IOException) and cause in said:
            path = re.search(r'"([^"]*/[^"]*)"', said.replace('\\"', '"'))
            return ContractError(f"{path[1] if path else spill}: {cause}; {advice}{AGAIN}")
    return None

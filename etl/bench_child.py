"""One piece of a bench's work in a child process of its own, and what it took.

A child starts from nothing, so its peak memory is its own and its seconds hold Python's start.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb

from cxrfuture_data.schema import ContractError
from etl.database_url import is_database, show_url
from etl.mimic_schema import TABLES
from etl.params import Params
from etl.recipe import RULES, Recipe
from etl.sources import Release, find_release

BARE_COPY = "bare copy"
INGEST = "ingest"
STAGES = ("event", "cohort", "window")


@dataclass(frozen=True)
class Work:
    """What a child does: the bare copy, ingest or a stage of ``recipe``, in the params' build."""

    name: str
    params: Params
    releases: Sequence[Release]
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Cost:
    """What a child took: seconds, seconds of all processors together, and megabytes at most."""

    seconds: float
    processor: float
    peak_mb: float


def choose_releases(
    params: Params, mimic_iv: Path | None, mimic_cxr_jpg: Path | None
) -> list[Release]:
    """Those in the folders; without folders those of params."""
    if mimic_iv is None and mimic_cxr_jpg is None:
        ingest = stage_module(INGEST)
        return [
            ingest.find_source(params, "mimic_iv"),
            ingest.find_source(params, "mimic_cxr_jpg"),
        ]
    if mimic_iv is None:
        raise ContractError("--mimic-cxr-jpg was given alone; give --mimic-iv too")
    releases = [find_release("mimic_iv", mimic_iv)]
    if mimic_cxr_jpg is not None:
        releases.append(find_release("mimic_cxr_jpg", mimic_cxr_jpg))
    return releases


def move_build(params: Params, folder: Path) -> Params:
    """The same params, building in ``folder``."""
    return params.model_copy(
        update={"paths": params.paths.model_copy(update={"build": folder.resolve()})}
    )


def run_child(work: Work) -> Cost:
    """Do it in a child. One that fails is no measurement: its last line is the error."""
    params = work.params.model_dump(mode="json")
    if is_database(params["paths"]["mimic_iv"]):  # anyone on the machine may read a command line
        params["paths"]["mimic_iv"] = show_url(params["paths"]["mimic_iv"])
    order = {
        "name": work.name,
        "params": params,
        "roots": {release.source: str(release.root) for release in work.releases},
        "recipe": work.recipe and work.recipe.model_dump(mode="json"),
    }
    started = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "etl.bench_child", json.dumps(order)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        last = said.decode().strip().splitlines()[-1:] or [f"exit {child.returncode}"]
        raise ContractError(f"{work.name} failed: {last[0]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def sum_costs(costs: Sequence[Cost]) -> Cost:
    """Of children one after the other."""
    return Cost(
        sum(cost.seconds for cost in costs),
        sum(cost.processor for cost in costs),
        max(cost.peak_mb for cost in costs),
    )


def summarize(costs: Sequence[Cost]) -> dict[str, Any]:
    """The rounds of one piece of work: medians, the least seconds, the highest peak."""
    seconds = [cost.seconds for cost in costs]
    return {
        "seconds": seconds,
        "median": statistics.median(seconds),
        "least": min(seconds),
        "processor": statistics.median(cost.processor for cost in costs),
        "peak_mb": max(cost.peak_mb for cost in costs),
    }


def _copy_bare(work: Work) -> None:
    """DuckDB's own copy, file after file: no checks, no order, no row numbers."""
    params = work.params
    folder = params.build("bare")
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{params.ingest.memory_limit}'")
        if params.ingest.threads:
            connection.execute(f"SET threads = {params.ingest.threads}")
        for job in stage_module(INGEST).plan_jobs(params, work.releases):
            target = folder / f"{job.name}.parquet"
            if job.path.suffix == ".parquet":
                read = "read_parquet($path)"
            else:
                types = {name.lower(): kind for name, kind in TABLES[job.name].columns.items()}
                columns = ", ".join(f"'{c}': '{types[c.lower()]}'" for c in job.layout.columns)
                read = f"read_csv($path, header = true, columns = {{{columns}}})"
            connection.execute(
                f"COPY (SELECT * FROM {read}) TO '{target}' (FORMAT parquet)",
                {"path": str(job.path)},
            )


def _do(work: Work) -> None:
    if work.name == BARE_COPY:
        _copy_bare(work)
    elif work.name == INGEST:
        stage_module(INGEST).ingest_releases(work.params, work.releases)
    else:
        stage_module(work.name).run(work.params, work.recipe)


def stage_module(stage: str) -> Any:
    """A stage's module, imported only where it runs: a child pays for no other's imports."""
    return import_module(f"etl.{stage}")


def _read_order(order: dict[str, Any]) -> Work:
    value = order["recipe"]
    return Work(
        order["name"],
        Params.model_validate(order["params"]),
        [find_release(source, root) for source, root in order["roots"].items()],
        value and RULES[value["rules"]].model_validate(value),
    )


if __name__ == "__main__":
    _do(_read_order(json.loads(sys.argv[1])))

"""Bench of ingest: our time and memory against DuckDB's bare copy of the same files to Parquet.

Each run is a child process of its own; the two take turns, so both meet the same weather.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from cxrfuture_data.schema import ContractError
from etl.ingest import find_source, ingest_releases, plan_jobs
from etl.mimic_schema import TABLES
from etl.params import Params
from etl.sources import Release, find_release

WAYS = ("ingest", "bare copy")


def run_ingest_bench(
    params: Params,
    mimic_iv: Path | None = None,
    mimic_cxr_jpg: Path | None = None,
    rounds: int = 3,
    as_json: bool = False,
) -> None:
    """Print seconds, their ratio and peak memory. Without folders, those of params are read.

    With ``mimic_iv`` alone, only its tables are.
    """
    result = bench_ingest(params, mimic_iv, mimic_cxr_jpg, rounds)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    table = Table("", "seconds, median", "least", "processor seconds", "peak memory, MB")
    for way in WAYS:
        facts = result[way]
        seconds = (f"{facts[key]:.2f}" for key in ("median", "least", "processor"))
        table.add_row(way, *seconds, f"{facts['peak_mb']:,.0f}")
    console = Console()
    console.print(table)
    console.print(
        f"{result['tables']} tables, {result['source_mb']:,.1f} MB, {rounds} rounds in turn:"
        f" ingest takes {result['ratio']:.2f} of the bare copy's time (medians)"
    )


def bench_ingest(
    params: Params, mimic_iv: Path | None, mimic_cxr_jpg: Path | None, rounds: int
) -> dict[str, Any]:
    """Measure; ``ratio`` is ours over DuckDB's, of medians."""
    releases = _releases(params, mimic_iv, mimic_cxr_jpg)
    jobs = plan_jobs(params, releases)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    usages: dict[str, list[resource.struct_rusage]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            took, usage = _run_child(way, params, releases)
            seconds[way].append(took)
            usages[way].append(usage)
    result: dict[str, Any] = {
        way: {
            "seconds": seconds[way],
            "median": statistics.median(seconds[way]),
            "least": min(seconds[way]),
            "processor": statistics.median(use.ru_utime + use.ru_stime for use in usages[way]),
            "peak_mb": max(use.ru_maxrss for use in usages[way]) / 1024,
        }
        for way in WAYS
    }
    return result | {
        "ratio": result["ingest"]["median"] / result["bare copy"]["median"],
        "tables": len(jobs),
        "source_mb": sum(job.path.stat().st_size for job in jobs) / 1e6,
    }


def _releases(params: Params, mimic_iv: Path | None, mimic_cxr_jpg: Path | None) -> list[Release]:
    if mimic_iv is None and mimic_cxr_jpg is None:
        return [find_source(params, "mimic_iv"), find_source(params, "mimic_cxr_jpg")]
    if mimic_iv is None:
        raise ContractError("--mimic-cxr-jpg was given alone; give --mimic-iv too")
    releases = [find_release("mimic_iv", mimic_iv)]
    if mimic_cxr_jpg is not None:
        releases.append(find_release("mimic_cxr_jpg", mimic_cxr_jpg))
    return releases


def _run_child(
    way: str, params: Params, releases: list[Release]
) -> tuple[float, resource.struct_rusage]:
    """Seconds of one child, start of Python included, and what it used."""
    with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as folder:
        there = params.model_copy(
            update={"paths": params.paths.model_copy(update={"build": Path(folder)})}
        )
        order = {
            "way": way,
            "params": there.model_dump(mode="json"),
            "roots": {release.source: str(release.root) for release in releases},
        }
        started = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-m", "etl.bench", json.dumps(order)],
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
    if child.returncode:
        raise ContractError(f"{way} failed: {said.decode().strip().splitlines()[-1]}")
    return seconds, usage


def _copy_bare(params: Params, releases: list[Release]) -> None:
    """DuckDB's own copy, file after file: no checks, no order, no row numbers."""
    folder = params.build("bare")
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{params.ingest.memory_limit}'")
        if params.ingest.threads:
            connection.execute(f"SET threads = {params.ingest.threads}")
        for job in plan_jobs(params, releases):
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


def _child(order: dict[str, Any]) -> None:
    params = Params.model_validate(order["params"])
    releases = [find_release(source, root) for source, root in order["roots"].items()]
    if order["way"] == "ingest":
        ingest_releases(params, releases)
    else:
        _copy_bare(params, releases)


if __name__ == "__main__":
    _child(json.loads(sys.argv[1]))

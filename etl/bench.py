"""Bench of ingest: our time and memory against DuckDB's bare copy of the same files to Parquet.

Each run is a child process of its own; the two take turns, so both meet the same weather.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from etl.bench_child import (
    BARE_COPY,
    INGEST,
    Cost,
    Work,
    choose_releases,
    move_build,
    run_child,
    summarize,
)
from etl.ingest import plan_jobs
from etl.params import Params

WAYS = (INGEST, BARE_COPY)


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
    releases = choose_releases(params, mimic_iv, mimic_cxr_jpg)
    jobs = plan_jobs(params, releases)
    costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as folder:
                there = move_build(params, Path(folder))
                costs[way].append(run_child(Work(way, there, releases)))
    result: dict[str, Any] = {way: summarize(costs[way]) for way in WAYS}
    return result | {
        "ratio": result[INGEST]["median"] / result[BARE_COPY]["median"],
        "tables": len(jobs),
        "source_mb": sum(job.path.stat().st_size for job in jobs) / 1e6,
    }

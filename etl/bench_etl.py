"""Bench of ingest, event, cohort and window against DuckDB's bare copy of the same files.

Each is a child process of its own; in every round the bare copy goes first, then the stages in
their order. A row is a record of a table: ingest reads the rows of the tables that it makes and
those it rejects; a later stage reads the tables that it opens, each counted once, though it may
scan one twice; what is written are the rows of the stage's Parquet files. The total reads the rows
of the sources.
"""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cxrfuture_data.schema import ContractError
from etl.bench_child import (
    BARE_COPY,
    INGEST,
    STAGES,
    Cost,
    Work,
    choose_releases,
    move_build,
    run_child,
    stage_module,
    sum_costs,
    summarize,
)
from etl.ingest import plan_jobs
from etl.params import Params
from etl.recipe import Recipe
from etl.shard_facts import read_json
from etl.simulate import SimulateOptions, simulate
from etl.sources import Release

COLUMNS = ("rows read", "written", "seconds", "processor", "rows/s", "peak MB")
LIMITS = ("memory_limit", "threads")
# All tables of MIMIC-IV 3.1 together (specs peers 5.1).
FULL_ROWS = 886_000_000
# Rows a simulated patient has in the seven event tables that recipes read, counted over 96 of seed
# 20: 224,775.
EVENT_ROWS_PER_PATIENT = 2341
SEED = 20


def run_etl_bench(
    params: Params,
    recipe: Recipe,
    mimic_iv: Path | None = None,
    mimic_cxr_jpg: Path | None = None,
    rounds: int = 3,
    as_json: bool = False,
) -> None:
    """Print what each stage took. Without folders, those of params are read."""
    if mimic_iv is not None and mimic_cxr_jpg is None:
        raise ContractError("--mimic-iv was given alone; a cohort needs --mimic-cxr-jpg too")
    releases = choose_releases(params, mimic_iv, mimic_cxr_jpg)
    result = bench_etl(params, recipe, releases, rounds)
    result["extrapolation"] = extrapolate(result)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    console = Console()
    console.print(_table(result))
    limits = ", ".join(
        f"{name} {value or 'every core'}" for name, value in result["limits"].items()
    )
    console.print(
        f"{recipe.name}: {result['tables']} tables, {result['source_mb']:,.1f} MB, {rounds} rounds,"
        f" medians; {limits}.\nThe four stages take {result['ratio']:.2f} of the bare copy's time"
        f" and {result['processor_ratio']:.2f} of its processor time;"
        f" ingest alone {result['ingest_ratio']:.2f}."
    )
    console.print(_say_extrapolated(result["extrapolation"]))


def run_rows_bench(
    params: Params, recipe: Recipe, rows: int, rounds: int = 3, as_json: bool = False
) -> None:
    """The same of a simulated hospital with about ``rows`` rows in the event tables, and a list of
    films without films."""
    with tempfile.TemporaryDirectory(prefix="cxrfuture-hospital-") as folder:
        out = Path(folder)
        simulate(
            SimulateOptions(
                out=out,
                patients=max(1, round(rows / EVENT_ROWS_PER_PATIENT)),
                seed=SEED,
                image_size=params.simulate.image_size,
                render=False,
            )
        )
        trees = (out / "mimic-iv", out / "mimic-cxr-jpg")
        run_etl_bench(params, recipe, *trees, rounds, as_json)


def extrapolate(result: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each stage at FULL_ROWS, were they linear in the rows that ingest reads."""
    rows = result["total"]["rows_read"]
    stages = {name: facts["median"] * FULL_ROWS / rows for name, facts in result["stages"].items()}
    return {
        "rows": FULL_ROWS,
        "from_rows": rows,
        "is_extrapolated": "linear in rows, not measured",
        "seconds": stages | {"total": sum(stages.values())},
    }


def _say_extrapolated(found: dict[str, Any]) -> str:
    minutes = ", ".join(f"{name} {s / 60:,.1f}" for name, s in found["seconds"].items())
    return (
        f"Extrapolated from {found['from_rows']:,} rows to {found['rows'] / 1e6:,.0f} M, linear in"
        f" rows and not measured, in minutes: {minutes}. Start-up counts too: take"
        " many rows. Memory is not extrapolated."
    )


def bench_etl(
    params: Params, recipe: Recipe, releases: list[Release], rounds: int
) -> dict[str, Any]:
    """Measure. Ratios are ours over the bare copy's, of medians; ``total`` is of all stages."""
    names = (INGEST, *STAGES)
    costs: dict[str, list[Cost]] = {name: [] for name in (BARE_COPY, *names)}
    rows: dict[str, dict[str, int]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as folder:
            there = move_build(params, Path(folder))
            for name in costs:
                costs[name].append(run_child(Work(name, there, releases, recipe)))
            rows = {name: _count_rows(name, there, recipe) for name in names}
    stages = {name: _with_speed(summarize(costs[name]), rows[name]) for name in names}
    rounds_of = zip(*(costs[name] for name in names), strict=True)
    source_rows = {"rows_read": rows[INGEST]["rows_read"]}
    total = _with_speed(summarize([sum_costs(of_round) for of_round in rounds_of]), source_rows)
    bare = summarize(costs[BARE_COPY])
    jobs = plan_jobs(params, releases)
    return {
        BARE_COPY: bare,
        "stages": stages,
        "total": total,
        "ratio": total["median"] / bare["median"],
        "processor_ratio": total["processor"] / bare["processor"],
        "ingest_ratio": stages[INGEST]["median"] / bare["median"],
        "limits": {
            f"{section}.{limit}": getattr(getattr(params, section), limit)
            for section in ("ingest", "sql")
            for limit in LIMITS
        },
        "tables": len(jobs),
        "source_mb": sum(job.path.stat().st_size for job in jobs) / 1e6,
    }


def _with_speed(facts: dict[str, Any], rows: dict[str, int]) -> dict[str, Any]:
    return facts | rows | {"rows_per_second": rows["rows_read"] / facts["median"]}


def _count_rows(name: str, params: Params, recipe: Recipe) -> dict[str, int]:
    if name == INGEST:
        written = _rows(params.build(INGEST).glob("*.parquet"))
        tables = read_json(params.build(INGEST, "metrics.json"))["tables"].values()
        return {
            "rows_read": written + sum(table["rejects"] for table in tables),
            "rows_written": written,
        }
    return {
        "rows_read": _rows(stage_module(name).source_tables(params, recipe).values()),
        "rows_written": _rows(params.build(recipe.name, name).glob("*.parquet")),
    }


def _rows(paths: Iterable[Path]) -> int:
    return sum(pq.read_metadata(path).num_rows for path in paths)


def _table(result: dict[str, Any]) -> Table:
    table = Table("", *COLUMNS, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name, facts in result["stages"].items():
        table.add_row(name, *_cells(facts))
    table.add_row("total", *_cells(result["total"]), end_section=True)
    table.add_row(BARE_COPY, *_cells(result[BARE_COPY]))
    return table


def _cells(facts: dict[str, Any]) -> list[str]:
    seconds = [f"{facts[key]:.2f}" for key in ("median", "processor")]
    read, written, speed = (
        f"{facts[key]:,.0f}" if key in facts else ""
        for key in ("rows_read", "rows_written", "rows_per_second")
    )
    return [read, written, *seconds, speed, f"{facts['peak_mb']:,.0f}"]

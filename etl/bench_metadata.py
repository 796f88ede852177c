"""Bench of `doctor` and `plan` on simulated metadata of full size.

Both commands run in processes of their own, twice: doctor first reads the small tables from their
files; plan, and the second round, find them read.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table as Printed

from cxrfuture_data.schema import ContractError
from etl.bench_child import Cost
from etl.bench_metadata_tables import Size, write_metadata
from etl.params import Params

COMMANDS = ("doctor", "plan")


def run_metadata_bench(params: Params, recipes: list[str], *, as_json: bool = False) -> None:
    """Write the trees, time both commands, print seconds and peak memory."""
    with tempfile.TemporaryDirectory(prefix="cxrfuture-bench-") as name:
        folder = Path(name)
        started = time.monotonic()
        _write_in_child(folder)
        simulated = time.monotonic() - started
        params_file = _write_params(params, recipes, folder)
        costs = {
            f"{command}, {state}": run_command(command, params_file)
            for state in ("first", "again")
            for command in COMMANDS
        }
    result = {
        "recipes": recipes,
        "simulated_in_seconds": simulated,
        "commands": {
            name: {"seconds": cost.seconds, "processor": cost.processor, "peak_mb": cost.peak_mb}
            for name, cost in costs.items()
        },
    }
    if as_json:
        print(json.dumps(result, indent=1))
        return
    table = Printed("", "seconds", "processor seconds", "peak memory, MB")
    for name, cost in costs.items():
        table.add_row(name, f"{cost.seconds:.1f}", f"{cost.processor:.1f}", f"{cost.peak_mb:,.0f}")
    console = Console()
    console.print(table)
    console.print(
        f"SIMULATED metadata of full size: 377,110 films, 364,627 patients; {len(recipes)} recipes"
        f" ({', '.join(recipes)}); {os.cpu_count()} cores; written in {simulated:.0f} s.",
        highlight=False,
    )


def _write_in_child(folder: Path) -> None:
    """A child's peak memory counts what its parent held when it was started, so this process must
    hold little."""
    writer = multiprocessing.get_context("spawn").Process(
        target=write_metadata, args=(folder, Size(), 20)
    )
    writer.start()
    writer.join()
    if writer.exitcode:
        raise ContractError(f"writing the metadata failed: exit {writer.exitcode}")


def run_command(command: str, params_file: Path) -> Cost:
    """One command in a process of its own. Doctor may find what is wrong: exit code 1."""
    started = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "cxrfuture", command, "--params", str(params_file), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if not said.strip():
        raise ContractError(f"{command} failed: exit {child.returncode}; run it by itself")
    seconds = time.monotonic() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _write_params(params: Params, recipes: list[str], folder: Path) -> Path:
    value = params.model_dump(mode="json")
    value["recipes"] = recipes
    value["paths"] = {
        "mimic_iv": str(folder / "mimic-iv"),
        "mimic_cxr_jpg": str(folder / "mimic-cxr-jpg"),
        "chest_imagenome": "",
        "build": str(folder / "build"),
    }
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(value))
    return path

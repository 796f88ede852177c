"""Where a build stands: each stage of dvc.yaml built, stale (and why), running, partial or missing.

What is looked at: dvc.lock beside params.yaml, dvc.yaml and the code that it names, which is
hashed; of the build only what lies there, how many files and bytes. `dvc status` hashes all.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrfuture_data.schema import ContractError
from etl.environment import ENVIRONMENT
from etl.flow_pipeline import (
    PARAMS,
    PIPELINE,
    Sums,
    read_lock,
    read_stages,
    read_yaml_fast,
    value_of,
)
from etl.flow_state import SIMULATED, Judge, Standing, State, busy_outputs


@dataclass(frozen=True)
class Flow:
    """``sources``: whose tables and films. ``warning``: of a lock file that cannot be read."""

    root: Path
    standings: tuple[Standing, ...]
    sources: dict[str, str]
    hashed_bytes: int
    warning: str = ""

    def of_state(self, *states: State) -> list[Standing]:
        return [standing for standing in self.standings if standing.state in states]


def find_root(folder: Path) -> Path | None:
    """The project that a folder lies in: the nearest one above with dvc.yaml and params.yaml."""
    for place in (folder, *folder.parents):
        if (place / PIPELINE).exists() and (place / PARAMS).exists():
            return place
    return None


def read_flow(root: Path, params_file: str | Path = PARAMS) -> Flow:
    """Every stage of a project and how it stands."""
    params = read_yaml_fast(root / params_file)
    stages = read_stages(root, params)
    warning = ""
    try:
        lock = read_lock(root)
    except ContractError as error:
        lock, warning = {}, f"{error}; remove it, and DVC asks every stage again"
    sources = sources_of(params)
    judge = Judge(root, params, lock, busy_outputs(root), Sums(root), stages, sources)
    standings = tuple(judge.judge(stage) for stage in stages)
    return Flow(root, standings, sources, judge.sums.bytes, warning)


def sources_of(params: Mapping[str, Any]) -> dict[str, str]:
    """The folders of MIMIC, or `simulate`, as a stage would read them."""
    found = {}
    for key in ("mimic_iv", "mimic_cxr_jpg"):
        setting = value_of(params, f"paths.{key}")
        found[key] = os.environ.get(ENVIRONMENT[key]) or str(setting)
    return found


def next_command(flow: Flow) -> tuple[str, str]:
    """The command that comes next, and what it does."""
    running = flow.of_state("running")
    if running:
        return "cxrfuture", f"again, to see how {running[0].stage.name} goes on"
    if not flow.of_state("built", "stale", "unrecorded", "partial"):
        if set(flow.sources.values()) == {SIMULATED}:
            return "dvc repro", "simulates a small hospital and builds everything, in minutes"
        return "cxrfuture doctor", "what is there, and whether `dvc repro` would go through"
    if flow.of_state("stale", "unrecorded", "partial", "missing"):
        return "dvc repro", "makes what is not built; stop it when you like, and run it again"
    return "cxrfuture summary", "what the build holds, and where to look"

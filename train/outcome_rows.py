"""The rows of an evaluation of outcomes: what the runs below their folders predicted.

Shapes: S runs of a row and outcome, one a seed; N stays of a split, or those that all rows have;
K labels; M modalities.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from cxrfuture_data import ContractError
from cxrfuture_data.sample import Array
from cxrfuture_data.split import Split
from train.calibrate import Platt
from train.checkpoint import ASIDE_FILE
from train.predicted import Predicted, read_predicted
from train.run_log import CONFIG_FILE

# Settings of a row's runs of one outcome: each begins with encoders of its own seed.
MAY_DIFFER = ("start_film", "start_record")


@dataclass(frozen=True, eq=False)
class Run:
    path: Path
    predicted: Predicted

    def facts(self) -> dict[str, Any]:
        """Which run it is."""
        said = self.predicted
        return {"run": str(self.path), "seed": said.seed, "steps": said.steps}


@dataclass(frozen=True, eq=False)
class Answers:
    """What the runs of a row say of one outcome, of the same N stays. ``attention``: (S, N, M)."""

    runs: Sequence[Run]
    settings: Mapping[str, Any]  # of the first run, and of its generator
    logits: Array  # (S, N, K) float64
    probability: Array  # (S, N, K) calibrated
    uncalibrated: Array  # (S, N, K)
    attention: Array | None

    @property
    def modalities(self) -> Sequence[str]:
        """M names."""
        return self.runs[0].predicted.modalities


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of an outcome, over the stays that all of them have: ``at`` in the split."""

    at: Array  # (N,) int64
    rows: Mapping[str, Answers]


def read_tables(folders: Sequence[Path], split: Split) -> dict[str, Table]:
    """By outcome. Folders of one name are one row: a study has one a seed and model."""
    named: dict[str, list[Path]] = {}
    for folder in folders:
        named.setdefault(folder.name, []).append(folder)
    found: dict[str, dict[str, list[Run]]] = {}
    for name, same in named.items():
        for run in _read_runs(same, split.name):
            found.setdefault(run.predicted.outcome, {}).setdefault(name, []).append(run)
    return {outcome: _join(rows, split) for outcome, rows in sorted(found.items())}


def _read_runs(folders: Sequence[Path], split: str) -> list[Run]:
    configs = [path for folder in folders for path in sorted(folder.rglob(CONFIG_FILE))]
    paths = [path.parent for path in configs if not (path.parent / ASIDE_FILE).exists()]
    if not paths:
        raise ContractError(f"{folders[0]}: no run below it; a row is a folder of runs of `train`")
    runs = [Run(path, read_predicted(path, split)) for path in paths]
    first: dict[str, Run] = {}
    seen: dict[tuple[str, int], Path] = {}
    for run in runs:
        alike = first.setdefault(run.predicted.outcome, run)
        names = _differences(alike.predicted.settings, run.predicted.settings)
        if names:
            raise ContractError(
                f"{run.path}: its {names[0]} is not that of {alike.path}; the runs of a row and "
                "outcome differ in seed alone, so give these a folder of their own"
            )
        which = run.predicted.outcome, run.predicted.seed
        if which in seen:
            raise ContractError(f"{run.path}: of the seed of {seen[which]}; delete one of the two")
        seen[which] = run.path
    return sorted(runs, key=lambda run: run.predicted.seed)


def _differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    names = (first.keys() | other.keys()) - set(MAY_DIFFER)
    return sorted(name for name in names if first.get(name) != other.get(name))


def _join(rows: Mapping[str, Sequence[Run]], split: Split) -> Table:
    keys = split.columns["key"]
    places = [_places(run, keys) for runs in rows.values() for run in runs]
    is_common = np.all(places, axis=0) if places else np.zeros(len(keys), np.bool_)
    at = np.flatnonzero(is_common)
    if len(at) == 0:
        raise ContractError("outcomes: no stay is in all rows; give them in several calls")
    return Table(at, {name: _answers(runs, keys[at], split.name) for name, runs in rows.items()})


def _places(run: Run, keys: Array) -> Array:
    """(N,) bool: of which of a split's samples it says something."""
    is_said = np.isin(keys, run.predicted.keys)
    if is_said.sum() != len(run.predicted.keys):
        raise ContractError(
            f"{run.path}: predictions of other samples than the dataset's; give the dataset that "
            "it was trained on, or predict again"
        )
    return is_said


def _answers(runs: Sequence[Run], keys: Array, split: str) -> Answers:
    logits, probability, attention = [], [], []
    for run in runs:
        said = run.predicted
        order = np.argsort(said.keys)
        row = order[np.searchsorted(said.keys, keys, sorter=order)]
        logits.append(said.logits[row].astype(np.float64))  # (N, K)
        probability.append(Platt(said.slope, said.offset).probability(logits[-1]))
        if said.attention is not None:
            attention.append(said.attention[row])
    return Answers(
        runs=runs,
        settings=_settings(runs[0], split),
        logits=np.stack(logits),
        probability=np.stack(probability),
        uncalibrated=expit(np.stack(logits)),
        attention=np.stack(attention) if len(attention) == len(runs) else None,
    )


def _settings(run: Run, split: str) -> dict[str, Any]:
    """Those of the run, and as ``generator`` those of the run that drew its latents, if any."""
    settings = run.predicted.settings
    folder = settings.get("generated")
    if folder is None:
        return settings
    records = sorted(Path(folder).glob(f"stay-{split}-*.json"))
    if not records:
        return settings
    return settings | {"generator": json.loads(records[0].read_text())["settings"]}

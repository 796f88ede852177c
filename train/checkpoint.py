"""Checkpoints of a training run: safetensors and JSON, complete or absent.

A folder ``checkpoint-<step>`` appears by rename when all its files are written, so the newest one
is always whole; ``best`` is written the same way. Nothing in it is a pickle. The autoencoder's
(train/vae_run.py) are written by the same functions.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cxrfuture_data.console import say
from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings, parse_settings

MODEL_FILE = "model.safetensors"
AVERAGE_FILE = "average.safetensors"
OPTIMISER_FILE = "optimiser.safetensors"
STATE_FILE = "state.json"
BEST = "best"
ASIDE_FILE = "moved_aside"  # in a run that another one took the place of
KEPT = 2  # the newest; a run of the paper's size writes 2 GB each


class State(Settings):
    """``made_from`` is a digest of settings, seed and dataset; ``best`` is the best of
    what selects at looks at validation samples so far, seen after ``best_steps``."""

    steps: int
    made_from: str
    seed: int
    best: float | None
    best_steps: int
    settings: dict[str, Any]


@dataclass
class Trained:
    """What training changes. ``average`` holds averaged weights by name."""

    model: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    best: float | None = None
    best_steps: int = 0


def save(out: Path, state: State, trained: Trained) -> Path:
    """Publish ``out/checkpoint-<steps>`` and drop all but the newest two."""
    files = {
        MODEL_FILE: dict(trained.model.state_dict()),
        AVERAGE_FILE: trained.average,
        OPTIMISER_FILE: moments(trained.model, trained.optimiser),
    }
    return publish_checkpoint(out, state.steps, files, state)


def save_best(out: Path, state: State, trained: Trained) -> None:
    """Publish ``out/best``, without the optimiser."""
    files = {MODEL_FILE: dict(trained.model.state_dict()), AVERAGE_FILE: trained.average}
    _publish_folder(out / BEST, files, state)


def publish_checkpoint(
    out: Path, steps: int, files: Mapping[str, Mapping[str, Tensor]], state: Settings
) -> Path:
    """Publish the files and the record, and drop all but the newest two checkpoints."""
    folder = out / f"checkpoint-{steps:06d}"
    _publish_folder(folder, files, state)
    for old in checkpoints(out)[:-KEPT]:
        shutil.rmtree(old)
    return folder


def _publish_folder(
    folder: Path, files: Mapping[str, Mapping[str, Tensor]], state: Settings
) -> None:
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, tensors in files.items():
        _write(part / name, tensors)
    write_json(part / STATE_FILE, state.model_dump(mode="json"))
    if folder.exists():
        shutil.rmtree(folder)
    part.replace(folder)


def checkpoints(out: Path) -> list[Path]:
    """The complete checkpoints below ``out``, oldest first."""
    found = [path for path in out.glob("checkpoint-*") if path.name[11:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[11:]))


def choose_checkpoint(run: Path) -> Path:
    """Of a run: its best, or the newest if no validation sample was looked at; or a checkpoint as
    it is named."""
    if (run / STATE_FILE).exists():
        return run
    if (run / BEST / STATE_FILE).exists():
        return run / BEST
    found = checkpoints(run)
    if not found:
        raise ContractError(f"{run}: no checkpoint; train it first: cxrfuture train")
    return found[-1]


S = TypeVar("S", bound=Settings)


def read_record(kind: type[S], folder: Path) -> S:
    """The record of a checkpoint, of the kind its trainer writes."""
    path = folder / STATE_FILE
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ContractError(f"{path}: not a checkpoint's record; delete the folder") from None
    return parse_settings(kind, value, str(path))


def move_aside(title: str, out: Path) -> None:
    """Move a run of other settings or data out of the way; nothing trained is deleted. ASIDE_FILE
    in it keeps it out of evaluations."""
    names = (out.with_name(f"{out.name}-{number}") for number in count(1))
    kept = next(path for path in names if not path.exists())
    say(f"{title}: the run in {out} had other settings or data; moved it to {kept}")
    (out / ASIDE_FILE).touch()
    out.replace(kept)


def load_newest(out: Path, trained: Trained) -> int:
    """Put the newest checkpoint that can be read into what is trained; the steps it has done.

    One that was cut short after it was published, by a full disk or a bad copy, is said and left
    out; what is trained is changed only when all its files were read.
    """
    for folder in reversed(checkpoints(out)):
        try:
            state = read_record(State, folder)
            files = [
                load_file(folder / name) for name in (MODEL_FILE, AVERAGE_FILE, OPTIMISER_FILE)
            ]
        except (SafetensorError, OSError, ContractError) as error:
            say(f"{folder}: left out, cannot be read ({' '.join(str(error).split())[:80]})")
            continue
        model, average, optimiser = files
        trained.model.load_state_dict(model)
        for name, value in average.items():
            trained.average[name].copy_(value)
        put_moments(optimiser, trained.model, trained.optimiser)
        trained.best, trained.best_steps = state.best, state.best_steps
        return state.steps
    return 0


def load_averaged(folder: Path, model: nn.Module) -> None:
    """Put a checkpoint's weights into a model, and the averaged ones over them."""
    weights = _read_averaged(folder)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        problem = str(error).splitlines()[1].strip()
        raise ContractError(f"{folder}: not of this dataset's model: {problem}") from None


@torch.no_grad()
def load_encoders(module: nn.Module, prefixes: tuple[str, ...], run: Path, hint: str) -> None:
    """Put what a run learned into the weights of a module whose names begin with one of these.

    ``hint`` is the next step where they do not fit.
    """
    folder = choose_checkpoint(run)
    weights = _read_averaged(folder)
    for name, own in module.state_dict().items():
        if not name.startswith(prefixes):
            continue
        if name not in weights or weights[name].shape != own.shape:
            shape = tuple(weights[name].shape) if name in weights else "nothing"
            raise ContractError(f"{folder}: {name} is {shape}, expected {tuple(own.shape)}; {hint}")
        own.copy_(weights[name])


def moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's state as ``<field>/<parameter's name>``."""
    names = _trained_names(model)
    state = optimiser.state_dict()["state"]
    return {
        f"{field}/{names[number]}": value
        for number, fields in state.items()
        for field, value in fields.items()
    }


def load_moments(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Put a file of ``moments`` back into the optimiser of the model."""
    put_moments(load_file(path), model, optimiser)


def put_moments(
    found: Mapping[str, Tensor], model: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    """Put ``moments`` back into the optimiser of the model."""
    number = {name: place for place, name in enumerate(_trained_names(model))}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in found.items():
        field, name = key.split("/", 1)
        state.setdefault(number[name], {})[field] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _read_averaged(folder: Path) -> dict[str, Tensor]:
    """A checkpoint's weights by name, averaged where they are."""
    try:
        return load_file(folder / MODEL_FILE) | load_file(folder / AVERAGE_FILE)
    except (SafetensorError, OSError) as error:
        raise ContractError(
            f"{folder}: cannot be read ({error}); name another checkpoint"
        ) from None


def _trained_names(model: nn.Module) -> list[str]:
    return [name for name, weight in model.named_parameters() if weight.requires_grad]


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with publish(path) as part:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part
        )

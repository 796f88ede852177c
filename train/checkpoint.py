"""Checkpoints of a training run: safetensors and JSON, complete or absent.

A folder ``checkpoint-<step>`` appears by rename when all its files are written, so the newest one
is always whole. Nothing in it is a pickle. The autoencoder's (train/vae_run.py) are written by the
same functions.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cxrfuture_data.console import say
from cxrfuture_data.publish import publish, write_json
from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings, parse_settings
from train.model.denoiser import Denoiser
from train.settings import DiffusionConfig

MODEL_FILE = "model.safetensors"
AVERAGE_FILE = "average.safetensors"
OPTIMISER_FILE = "optimiser.safetensors"
STATE_FILE = "state.json"
KEPT = 2  # the newest; a run of the paper's size writes 2 GB each


class State(Settings):
    """``made_from`` is a digest of config, seed and dataset; ``channels`` are a latent's."""

    steps: int
    made_from: str
    channels: int
    config: DiffusionConfig


@dataclass(frozen=True)
class Trained:
    """What training changes. ``average`` holds the UNet's averaged weights by name."""

    model: Denoiser
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer


def save(out: Path, state: State, trained: Trained) -> Path:
    """Publish ``out/checkpoint-<steps>`` and drop all but the newest two."""
    files = {
        MODEL_FILE: dict(trained.model.state_dict()),
        AVERAGE_FILE: trained.average,
        OPTIMISER_FILE: moments(trained.model, trained.optimiser),
    }
    return publish_checkpoint(out, state.steps, files, state)


def publish_checkpoint(
    out: Path, steps: int, files: Mapping[str, Mapping[str, Tensor]], state: Settings
) -> Path:
    """Publish the files and the record, and drop all but the newest two checkpoints."""
    folder = out / f"checkpoint-{steps:06d}"
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, tensors in files.items():
        _write(part / name, tensors)
    write_json(part / STATE_FILE, state.model_dump(mode="json"))
    if folder.exists():
        shutil.rmtree(folder)
    part.replace(folder)
    for old in checkpoints(out)[:-KEPT]:
        shutil.rmtree(old)
    return folder


def checkpoints(out: Path) -> list[Path]:
    """The complete checkpoints below ``out``, oldest first."""
    found = [path for path in out.glob("checkpoint-*") if path.name[11:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[11:]))


S = TypeVar("S", bound=Settings)


def read_record(kind: type[S], folder: Path) -> S:
    """The record of a checkpoint, of the kind its trainer writes."""
    path = folder / STATE_FILE
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ContractError(f"{path}: not a checkpoint's record; delete the folder") from None
    return parse_settings(kind, value, str(path))


def read_state(folder: Path) -> State:
    """What a checkpoint is of."""
    return read_record(State, folder)


def move_aside(title: str, out: Path) -> None:
    """Move a run of other settings or data out of the way; nothing trained is deleted."""
    names = (out.with_name(f"{out.name}-{number}") for number in count(1))
    kept = next(path for path in names if not path.exists())
    say(f"{title}: the run in {out} had other settings or data; moved it to {kept}")
    out.replace(kept)


def load(folder: Path, trained: Trained) -> int:
    """Put a checkpoint into a model, its average and its optimiser; the steps it has done."""
    trained.model.load_state_dict(load_file(folder / MODEL_FILE))
    for name, value in load_file(folder / AVERAGE_FILE).items():
        trained.average[name].copy_(value)
    load_moments(folder / OPTIMISER_FILE, trained.model, trained.optimiser)
    return read_state(folder).steps


def load_averaged(folder: Path, model: Denoiser) -> None:
    """Put a checkpoint's weights into a model, and the averaged ones into its UNet."""
    model.load_state_dict(load_file(folder / MODEL_FILE))
    model.unet.load_state_dict(load_file(folder / AVERAGE_FILE))


def moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's state as ``<field>/<parameter's name>``."""
    names = [name for name, _ in model.named_parameters()]
    state = optimiser.state_dict()["state"]
    return {
        f"{field}/{names[number]}": value
        for number, fields in state.items()
        for field, value in fields.items()
    }


def load_moments(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Put a file of ``moments`` back into the optimiser of the model."""
    number = {name: place for place, (name, _) in enumerate(model.named_parameters())}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in load_file(path).items():
        field, name = key.split("/", 1)
        state.setdefault(number[name], {})[field] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with publish(path) as part:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part
        )

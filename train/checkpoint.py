"""Checkpoints of a training run: safetensors and JSON, complete or absent.

A folder ``checkpoint-<step>`` appears by rename when all its files are written, so the newest one
is always whole. Nothing in it is a pickle.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

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
    folder = out / f"checkpoint-{state.steps:06d}"
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _write(part / MODEL_FILE, dict(trained.model.state_dict()))
    _write(part / AVERAGE_FILE, trained.average)
    _write(part / OPTIMISER_FILE, _moments(trained))
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


def read_state(folder: Path) -> State:
    """What a checkpoint is of."""
    path = folder / STATE_FILE
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ContractError(f"{path}: not a checkpoint's record; delete the folder") from None
    return parse_settings(State, value, str(path))


def load(folder: Path, trained: Trained) -> int:
    """Put a checkpoint into a model, its average and its optimiser; the steps it has done."""
    trained.model.load_state_dict(load_file(folder / MODEL_FILE))
    for name, value in load_file(folder / AVERAGE_FILE).items():
        trained.average[name].copy_(value)
    number = {name: place for place, (name, _) in enumerate(trained.model.named_parameters())}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in load_file(folder / OPTIMISER_FILE).items():
        field, name = key.split("/", 1)
        state.setdefault(number[name], {})[field] = value
    groups = trained.optimiser.state_dict()["param_groups"]
    trained.optimiser.load_state_dict({"state": state, "param_groups": groups})
    return read_state(folder).steps


def load_averaged(folder: Path, model: Denoiser) -> None:
    """Put a checkpoint's weights into a model, and the averaged ones into its UNet."""
    model.load_state_dict(load_file(folder / MODEL_FILE))
    model.unet.load_state_dict(load_file(folder / AVERAGE_FILE))


def _moments(trained: Trained) -> dict[str, Tensor]:
    """AdamW's state as ``<field>/<parameter's name>``."""
    names = [name for name, _ in trained.model.named_parameters()]
    state = trained.optimiser.state_dict()["state"]
    return {
        f"{field}/{names[number]}": value
        for number, fields in state.items()
        for field, value in fields.items()
    }


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    with publish(path) as part:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part
        )

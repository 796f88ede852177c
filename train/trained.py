"""A run's best weights, ready to be asked: of any task, on data like what it was trained on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cxrfuture_data import ContractError, Dataset
from cxrfuture_data.settings import read_yaml
from train.checkpoint import State, choose_checkpoint, load_averaged, read_record
from train.run_log import CONFIG_FILE
from train.task import Task
from train.tasks import make_task, trained_settings


def read_state(folder: Path) -> State:
    """The record of a checkpoint, its settings as the run's config.yaml has them by now: how to
    sample may change when training is over, by the same command with another --set."""
    state, config = read_record(State, folder), folder.parent / CONFIG_FILE
    return state.model_copy(update={"settings": read_yaml(config)}) if config.exists() else state


@dataclass(frozen=True)
class TrainedTask:
    """``state`` is the record of the checkpoint that the model, in eval mode, was made from."""

    task: Task
    model: nn.Module
    state: State


def open_trained(run: Path, data: Dataset, expected: str | None = None) -> TrainedTask:
    """The best or newest checkpoint, with averaged weights where it has them; ``run`` may also
    be a checkpoint. A run of another task than ``expected``, if any is, is refused."""
    folder = choose_checkpoint(run)
    state = read_state(folder)
    settings = trained_settings(state.settings, str(folder))
    if expected is not None and settings.task != expected:
        raise ContractError(f"{run}: a run of {settings.task}; name one of {expected}")
    task = make_task(settings, data)
    with torch.random.fork_rng(devices=[]):
        model = task.build()
    load_averaged(folder, model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainedTask(task, model.eval().to(device), state)

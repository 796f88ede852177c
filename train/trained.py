"""A run's best weights, ready to be asked: of any task, on data like what it was trained on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cxrfuture_data import ContractError, Dataset
from train.checkpoint import State, choose_checkpoint, load_averaged, read_record
from train.task import Task
from train.tasks import make_task, trained_settings


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
    state = read_record(State, folder)
    settings = trained_settings(state.settings, str(folder))
    if expected is not None and settings.task != expected:
        raise ContractError(f"{run}: a run of {settings.task}; name one of {expected}")
    task = make_task(settings, data)
    with torch.random.fork_rng(devices=[]):
        model = task.build()
    load_averaged(folder, model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainedTask(task, model.eval().to(device), state)

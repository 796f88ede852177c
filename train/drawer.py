"""A trained generator, ready to draw: from a run's best checkpoint, with averaged weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cxrfuture_data import Dataset
from cxrfuture_data.batch import AnyBatch
from train.checkpoint import State, choose_checkpoint, load_averaged, read_record
from train.task import Generator
from train.tasks import make_generator, parse_task_settings


@dataclass(frozen=True)
class Drawer:
    """``state`` is the record of the checkpoint it was made from."""

    task: Generator
    model: nn.Module
    state: State
    device: str

    @torch.inference_mode()
    def draw(self, batch: AnyBatch[Tensor], seed: int) -> Tensor:
        """Target latents (B, C, h, w) float32 on the CPU, as the dataset scales them."""
        return self.task.generate(self.model, batch, seed)


def open_drawer(run: Path, data: Dataset) -> Drawer:
    """Of a run's folder, or one of its checkpoints; ``data`` is like what it was trained on."""
    folder = choose_checkpoint(run)
    state = read_record(State, folder)
    task = make_generator(parse_task_settings(state.settings, str(folder)), data)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng(devices=[]):
        model = task.build()
    load_averaged(folder, model)
    return Drawer(task, model.eval().to(device), state, device)

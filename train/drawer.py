"""A trained generator, ready to draw: from a run's best checkpoint, with averaged weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cxrfuture_data import ContractError, Dataset
from cxrfuture_data.batch import AnyBatch
from train.checkpoint import State
from train.task import Generator
from train.trained import open_trained


@dataclass(frozen=True)
class Drawer:
    """``state`` is the record of the checkpoint it was made from."""

    task: Generator
    model: nn.Module
    state: State

    @torch.inference_mode()
    def draw(self, batch: AnyBatch[Tensor], seed: int) -> Tensor:
        """Target latents (B, C, h, w) float32 on the CPU, as the dataset scales them."""
        return self.task.generate(self.model, batch, seed)


def open_drawer(run: Path, data: Dataset) -> Drawer:
    """Of a run's folder, or one of its checkpoints; ``data`` is like what it was trained on."""
    trained = open_trained(run, data)
    if not hasattr(trained.task, "generate"):
        raise ContractError(
            f"{run}: a run of {trained.task.settings.task}, which draws no film; name one of a "
            "generator"
        )
    return Drawer(trained.task, trained.model, trained.state)  # type: ignore[arg-type]

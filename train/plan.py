"""The arithmetic of a run: how many steps, and which batches a rank reads at each."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cxrfuture_data import ContractError, Split
from cxrfuture_data.batch import AnyBatch
from train.settings import FitSettings
from train.task import Task

Part = AnyBatch[torch.Tensor]


@dataclass(frozen=True)
class Plan:
    """``samples`` are those of the training split; a step takes batch_size of them over all ranks.

    ``name`` says in errors which split of which kind it is.
    """

    settings: FitSettings
    seed: int
    name: str
    samples: int
    rank: int
    ranks: int

    def __post_init__(self) -> None:
        batch, parts = self.settings.batch_size, self.ranks * self.settings.accumulate
        if batch % parts:
            raise ContractError(
                f"batch_size {batch} is not a multiple of {self.ranks} ranks times accumulate "
                f"{self.settings.accumulate}; change one of them"
            )
        if self.samples < batch:
            raise ContractError(
                f"{self.name} has {self.samples} samples, fewer than batch_size {batch}; "
                "lower it (--set batch_size=...) or build more samples"
            )

    @property
    def part_size(self) -> int:
        """Samples of one rank in one forward pass."""
        return self.settings.batch_size // (self.ranks * self.settings.accumulate)

    @property
    def steps_per_epoch(self) -> int:
        return self.samples // self.settings.batch_size

    @property
    def steps(self) -> int:
        return self.settings.length.total_steps(self.steps_per_epoch)

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0), as a share of the settings' one."""
        warmup = self.settings.warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        if self.settings.decay == "none":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(self.steps - warmup, 1)))

    @property
    def look_steps(self) -> int:
        """Steps from one look at validation samples to the next."""
        return self.settings.valid_steps or self.steps_per_epoch

    def is_look(self, steps: int) -> bool:
        """Whether validation samples are looked at after so many steps; after the last in any
        case."""
        return steps % self.look_steps == 0 or steps == self.steps


def read_parts(split: Split, task: Task, plan: Plan, first_step: int) -> Iterator[list[Part]]:
    """What this rank reads at each step from ``first_step`` on: a list of accumulate batches.

    The loader deals part_size * ranks samples at a time in the order of the epoch, so the parts of
    a step, over all ranks, are the same batch_size samples however they are dealt.
    """
    epoch, step = divmod(first_step, plan.steps_per_epoch)
    loader = split.loader(
        plan.part_size,
        task.view,
        rank=plan.rank,
        world_size=plan.ranks,
        workers=plan.settings.workers,
        seed=plan.seed,
    )
    state = loader.state_dict() | {"epoch": epoch, "position": step * plan.settings.batch_size}
    loader.load_state_dict(state)
    try:
        while True:
            batches = iter(loader)
            for _ in range(step, plan.steps_per_epoch):
                yield [next(batches) for _ in range(plan.settings.accumulate)]
            step = 0
            loader.set_epoch(epoch := epoch + 1)
    finally:
        loader.close()


def valid_samples(split: Split, plan: Plan, *, whole: bool) -> Split:
    """What a look takes of the validation split: whole batches, so that ranks agree on a mean.

    A split of less than one batch is taken whole, its batch padded by repetition; and where
    ``whole``, as scores of a split need it.
    """
    if whole and plan.settings.valid_samples is None:
        return split
    count = min(len(split), plan.settings.valid_samples or len(split))
    batch = plan.settings.batch_size
    return split[: count - count % batch] if count >= batch else split[:count]

"""The arithmetic of a run: how many steps, and which batches a rank reads at each."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cxrfuture_data import ContractError, Dataset
from cxrfuture_data.batch import PairBatch
from train.settings import DiffusionConfig

PairTensors = PairBatch[torch.Tensor]


@dataclass(frozen=True)
class Plan:
    """``samples`` are the training pairs; a step takes batch_size of them over all ranks."""

    config: DiffusionConfig
    seed: int
    samples: int
    rank: int
    ranks: int

    def __post_init__(self) -> None:
        batch, parts = self.config.batch_size, self.ranks * self.config.accumulate
        if batch % parts:
            raise ContractError(
                f"batch_size {batch} is not a multiple of {self.ranks} ranks times accumulate "
                f"{self.config.accumulate}; change one of them"
            )
        if self.samples < batch:
            raise ContractError(
                f"train/pair has {self.samples} samples, fewer than batch_size {batch}; "
                "lower it in the config or build more samples"
            )

    @property
    def part_size(self) -> int:
        """Samples of one rank in one forward pass."""
        return self.config.batch_size // (self.ranks * self.config.accumulate)

    @property
    def steps_per_epoch(self) -> int:
        return self.samples // self.config.batch_size

    @property
    def steps(self) -> int:
        return self.config.length.total_steps(self.steps_per_epoch)


def read_parts(dataset: Dataset, plan: Plan, first_step: int) -> Iterator[list[PairTensors]]:
    """What this rank reads at each step from ``first_step`` on: a list of accumulate batches.

    The loader deals part_size * ranks samples at a time in the order of the epoch, so the parts of
    a step, over all ranks, are the same batch_size samples however they are dealt.
    """
    epoch, step = divmod(first_step, plan.steps_per_epoch)
    loader = dataset.split("train", "pair").loader(
        plan.part_size,
        "ddl_cxr.pair",
        rank=plan.rank,
        world_size=plan.ranks,
        workers=plan.config.workers,
        seed=plan.seed,
    )
    state = loader.state_dict() | {"epoch": epoch, "position": step * plan.config.batch_size}
    loader.load_state_dict(state)
    try:
        while True:
            batches = iter(loader)
            for _ in range(step, plan.steps_per_epoch):
                yield [_pairs(next(batches)) for _ in range(plan.config.accumulate)]
            step = 0
            loader.set_epoch(epoch := epoch + 1)
    finally:
        loader.close()


def _pairs(batch: object) -> PairTensors:
    assert isinstance(batch, PairBatch)
    return batch

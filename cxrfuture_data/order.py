"""Which samples make which batch. Pure arithmetic: a function of its arguments and nothing else."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Step:
    """One batch of one rank. ``is_padding`` marks places that only make ranks equally long."""

    positions: Positions  # (B,)
    is_padding: npt.NDArray[np.bool_]  # (B,)


@dataclass(frozen=True, kw_only=True)
class Order:
    """``count`` samples dealt to ``ranks``, ``batch_size`` at a time.

    Global step g takes the next ``ranks * batch_size`` samples of the epoch's order, and rank r
    the r-th run of ``batch_size`` among them, so every rank has ``steps`` batches and no two share
    a sample. ``drop_last`` leaves out what does not fill a global step (training); otherwise the
    last one is padded (evaluation), so every sample comes exactly once as no padding.
    """

    count: int
    batch_size: int
    rank: int
    ranks: int
    drop_last: bool

    def __post_init__(self) -> None:
        if self.count < 0 or self.batch_size < 1:
            raise ValueError(f"count {self.count}, batch_size {self.batch_size}: too small")
        if not 0 <= self.rank < self.ranks:
            raise ValueError(f"rank {self.rank} is not one of {self.ranks} ranks")

    @property
    def steps(self) -> int:
        whole, rest = divmod(self.count, self.batch_size * self.ranks)
        return whole if self.drop_last or rest == 0 else whole + 1

    def step(self, number: int, epoch_order: Positions) -> Step:
        """The batch of this rank at a global step."""
        start = (number * self.ranks + self.rank) * self.batch_size
        places = np.arange(start, start + self.batch_size)
        is_padding = places >= self.count
        return Step(epoch_order[np.where(is_padding, 0, places)], is_padding)


def epoch_order(count: int, *, seed: int, epoch: int, shuffle: bool) -> Positions:
    """The order in which an epoch visits ``count`` samples, the same on every rank."""
    if not shuffle:
        return np.arange(count, dtype=np.int64)
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int64)

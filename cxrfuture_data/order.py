"""Which samples make which batch. Pure arithmetic: a function of its arguments and nothing else.

An epoch's order is made of hashes of (seed, epoch, position), not of a library's random stream, so
that it is the same on any machine, with any version of numpy, for years.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxrfuture_data.seed import random_bits, seed_of

Positions = npt.NDArray[np.int64]

BLOCK_SAMPLES = 64  # of one shard, one after the other: what is fetched together from far away
WINDOW_SAMPLES = 8192  # shuffled together: the blocks of a window are read side by side
# So is the first window of an epoch, and each next one is twice as large: a batch has samples of
# many blocks of its window, and the first must not wait for 64 of them to come from far away.
FIRST_WINDOW_SAMPLES = 512


@dataclass(frozen=True, eq=False)
class Step:
    """One batch of one rank. ``is_padding`` marks places that only make ranks equally long."""

    positions: Positions  # (B,)
    is_padding: npt.NDArray[np.bool_]  # (B,)


@dataclass(frozen=True, kw_only=True)
class Order:
    """``count`` samples dealt to ``ranks``, ``batch_size`` at a time, from ``start`` on.

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
    start: int = 0

    def __post_init__(self) -> None:
        if self.count < 0 or self.batch_size < 1:
            raise ValueError(f"count {self.count}, batch_size {self.batch_size}: too small")
        if not 0 <= self.rank < self.ranks:
            raise ValueError(f"rank {self.rank} is not one of {self.ranks} ranks")
        if self.start < 0:
            raise ValueError(f"start {self.start} is before the first sample")

    @property
    def step_samples(self) -> int:
        """Samples of a global step."""
        return self.ranks * self.batch_size

    @property
    def steps(self) -> int:
        whole, rest = divmod(max(self.count - self.start, 0), self.step_samples)
        return whole if self.drop_last or rest == 0 else whole + 1

    def step(self, number: int, epoch_order: Positions) -> Step:
        """The batch of this rank at a global step, counted from ``start``."""
        first = self.start + (number * self.ranks + self.rank) * self.batch_size
        places = np.arange(first, first + self.batch_size)
        is_padding = places >= self.count
        return Step(epoch_order[np.where(is_padding, 0, places)], is_padding)


def block_numbers(shard: npt.NDArray[np.int32]) -> Positions:
    """The block of each sample, given the shard of each: (N,), from 0 up."""
    if len(shard) == 0:
        return np.zeros(0, np.int64)
    is_first = np.concatenate([[True], shard[1:] != shard[:-1]])
    starts = np.flatnonzero(is_first)
    row = np.arange(len(shard)) - starts[np.cumsum(is_first) - 1]
    return np.cumsum(is_first | (row % BLOCK_SAMPLES == 0)) - 1


def epoch_order(
    blocks: Positions,
    *,
    seed: int,
    epoch: int,
    window: int = WINDOW_SAMPLES,
    first_window: int = FIRST_WINDOW_SAMPLES,
) -> Positions:
    """The order in which an epoch visits samples, given the block of each (N,): a permutation.

    Blocks are shuffled and taken together until they hold ``first_window`` samples, then twice as
    many, and so on up to ``window``; those of a window are shuffled as one.
    """
    numbers, at, counts = np.unique(blocks, return_inverse=True, return_counts=True)
    turn = np.argsort(_bits(len(numbers), seed, epoch, "block"), kind="stable")
    before = np.cumsum(counts[turn]) - counts[turn]
    window_of_block = np.empty(len(numbers), np.int64)
    starts = window_starts(len(blocks), first_window, window)
    window_of_block[turn] = np.searchsorted(starts, before, side="right")
    return np.lexsort((_bits(len(blocks), seed, epoch, "sample"), window_of_block[at]))


def window_starts(samples: int, first: int, largest: int) -> Positions:
    """Where windows begin, of ``first`` samples, twice as many, and so on up to ``largest``."""
    starts = [0]
    size = min(first, largest)
    while starts[-1] + size < samples:
        starts.append(starts[-1] + size)
        size = min(2 * size, largest)
    return np.array(starts)


def _bits(count: int, seed: int, epoch: int, purpose: str) -> npt.NDArray[np.uint64]:
    return random_bits([seed_of(seed, epoch, b"", purpose)], count)[0]

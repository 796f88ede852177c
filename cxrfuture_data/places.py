"""Where the members of a split's samples lie in its tars: what any way of reading needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HEADER = 512  # bytes of a tar's header, before each member's data


@dataclass(frozen=True, eq=False)
class Places:
    """Shapes: N samples in the order of the split, M members of each.

    Bytes count from the start of a tar. Before each member lies its tar header.
    """

    shards: tuple[str, ...]  # file names: pair-000000.tar
    members: tuple[str, ...]
    shard: npt.NDArray[np.int32]  # (N,), index in ``shards``
    offset: npt.NDArray[np.int64]  # (N, M) of the member's data
    size: npt.NDArray[np.int64]  # (N, M)
    xxh3: npt.NDArray[np.uint64]  # (N, M), XXH3-64 of the member's data

    def lie_within(self, tars: Sequence[int]) -> bool:
        """Whether every member lies behind its tar header and within its tar, of so many bytes."""
        if len(self.shard) == 0:
            return True
        if self.shard.min() < 0 or self.shard.max() >= len(tars):
            return False
        room = np.array(tars, np.int64)[self.shard, None] - self.offset  # no sum: it might overflow
        is_inside = (self.offset >= HEADER) & (self.size >= 0) & (self.size <= room)
        return bool(is_inside.all())

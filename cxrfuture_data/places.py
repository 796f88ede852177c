"""Where the members of a split's samples lie in its tars: what any way of reading needs to know."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Places:
    """Shapes: N samples in the order of the split, M members of each.

    Bytes count from the start of a tar. Before each member lies its tar header, 512 bytes.
    """

    shards: tuple[str, ...]  # file names: pair-000000.tar
    members: tuple[str, ...]
    shard: npt.NDArray[np.int32]  # (N,), index in ``shards``
    offset: npt.NDArray[np.int64]  # (N, M) of the member's data
    size: npt.NDArray[np.int64]  # (N, M)
    xxh3: npt.NDArray[np.uint64]  # (N, M), XXH3-64 of the member's data

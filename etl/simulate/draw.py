"""Random numbers that are functions of (seed, stream, who, when).

No generator is carried along: every number is a hash of its own address. A patient's numbers
therefore depend neither on the other patients nor on how many are made at a time, and the same
hour can be lived again under another treatment with the same luck.
"""

import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LANE = np.uint64(0xFFFF)
# Four 16-bit lanes: mean and standard deviation of their sum.
_LANES_MEAN = 4 * 65535 / 2
_LANES_DEVIATION = (4 * (65536.0**2 - 1) / 12) ** 0.5


class Draw:
    """Streams of one seed. ``who`` and ``when`` are integer arrays that broadcast."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def bits(self, stream: str, who: Array, when: Array | int = 0) -> npt.NDArray[np.uint64]:
        """64 random bits each (the finaliser of splitmix64)."""
        start = np.uint64(zlib.crc32(f"{self.seed}/{stream}".encode()) * 0x2545F4914F6CDD1D % 2**64)
        with np.errstate(over="ignore"):
            x = np.asarray(who).astype(np.uint64) * _SECOND + start
            x = (x ^ (x >> np.uint64(29))) * _GOLDEN + np.asarray(when).astype(np.uint64) * _FIRST
            x = (x ^ (x >> np.uint64(30))) * _FIRST
            x = (x ^ (x >> np.uint64(27))) * _SECOND
            return np.asarray(x ^ (x >> np.uint64(31)))

    def uniform(self, stream: str, who: Array, when: Array | int = 0) -> npt.NDArray[np.float64]:
        """In [0, 1)."""
        return np.asarray((self.bits(stream, who, when) >> np.uint64(11)) * 2.0**-53, np.float64)

    def normal(self, stream: str, who: Array, when: Array | int = 0) -> npt.NDArray[np.float64]:
        """Mean 0, deviation 1, within 3.47: a sum of four lanes, so exact on every machine."""
        x = self.bits(stream, who, when)
        lanes = (x & _LANE) + ((x >> np.uint64(16)) & _LANE)
        lanes = lanes + ((x >> np.uint64(32)) & _LANE) + (x >> np.uint64(48))
        return (lanes.astype(np.float64) - _LANES_MEAN) / _LANES_DEVIATION

    def below(
        self, stream: str, who: Array, when: Array | int = 0, *, limit: int
    ) -> npt.NDArray[np.int64]:
        """Integers in [0, limit)."""
        return (self.uniform(stream, who, when) * limit).astype(np.int64)

    def pick(
        self, stream: str, who: Array, when: Array | int = 0, *, weights: Sequence[float]
    ) -> npt.NDArray[np.int64]:
        """Indices of ``weights``, each as often as its weight says."""
        edges = np.cumsum(np.asarray(weights, dtype=np.float64))
        found = np.searchsorted(edges / edges[-1], self.uniform(stream, who, when), side="right")
        return np.minimum(found, len(edges) - 1).astype(np.int64)


class Numbers:
    """Distinct ids in seemingly random order: a permutation of [low, low + 10 million)."""

    _RANGE = 10_000_000
    _STEP = 6_364_137  # no factor in common with the range

    def __init__(self, low: int, seed: int) -> None:
        self._low = low
        self._given = zlib.crc32(f"{low}/{seed}".encode()) % self._RANGE

    def take(self, count: int) -> npt.NDArray[np.int64]:
        """The next ``count`` ids."""
        steps = (np.arange(count, dtype=np.int64) + self._given) % self._RANGE
        self._given += count
        return self._low + steps * self._STEP % self._RANGE

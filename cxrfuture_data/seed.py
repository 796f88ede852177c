"""Seeds of single samples, and random numbers from them: the same on any machine, with any numpy.

They are hashes (XXH3), and many at once are SplitMix64's (Steele, Lea and Flood, 2014), computed
here: numpy may change the streams of its generators' methods.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

Bits = npt.NDArray[np.uint64]


def seed_of(seed: int, epoch: int, key: bytes | str, role: str) -> int:
    """The 64-bit seed of a sample in an epoch, for one of its roles."""
    name = key.encode() if isinstance(key, str) else key
    return xxh3_64_intdigest(f"{seed}\0{epoch}\0{role}\0".encode() + name)


def uniform_numbers(seed: int, purpose: str, count: int) -> list[float]:
    """In [0, 1). Those of two purposes have nothing to do with each other."""
    names = [f"{purpose}\0{place}".encode() for place in range(count)]
    return [(xxh3_64_intdigest(name, seed) >> 11) * 2.0**-53 for name in names]


def random_bits(seeds: Sequence[int] | Bits, count: int) -> Bits:
    """(B, count): 64 random bits each, every row from its own 64-bit seed."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = np.asarray(seeds, np.uint64)[:, None] + steps
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> shift
        bits *= np.uint64(factor)
    bits ^= bits >> 31
    return bits

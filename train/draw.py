"""Random numbers of a sample from (seed, step, its key): the same on any rank, in any batch."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on its arguments and nothing else."""
    text = "|".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generators(keys: Sequence[str], *parts: object) -> list[torch.Generator]:
    """One a sample, on the CPU, so that no device and no place in a batch changes what it gives."""
    return [torch.Generator().manual_seed(seed_of(*parts, key)) for key in keys]


def draw_normal(randoms: Sequence[torch.Generator], shape: Sequence[int]) -> Tensor:
    """(B, *shape): standard normal."""
    return torch.stack([torch.randn(tuple(shape), generator=random) for random in randoms])


def draw_uniform(randoms: Sequence[torch.Generator]) -> Tensor:
    """(B,) in [0, 1)."""
    return torch.stack([torch.rand((), generator=random) for random in randoms])


def draw_timestep(randoms: Sequence[torch.Generator], steps: int) -> Tensor:
    """(B,) int64 in [0, steps)."""
    return torch.stack([torch.randint(steps, (), generator=random) for random in randoms])


def draw_rows(randoms: Sequence[torch.Generator], rows: int, width: int) -> Tensor:
    """(B, rows, width): standard normal, whose first rows do not depend on how many are asked for.

    One call a row: torch fills tensors of 16 and more numbers in blocks, so that the beginning of a
    larger draw is not a smaller draw.
    """
    return torch.stack(
        [
            torch.stack([torch.randn(width, generator=random) for _ in range(rows)])
            for random in randoms
        ]
    )

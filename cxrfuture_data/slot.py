"""Memory for batches, used again and again: no page is asked of the system twice, worker processes
write into it directly, and CUDA copies out of it without a detour.

A slot is lent with a batch and comes back when the last array or tensor over it is gone, so a user
may keep batches as long as he likes: more slots are made meanwhile, and beyond some number copies,
because each slot holds files open.
"""

import mmap
import os
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from cxrfuture_data.memory_file import open_memory_file
from cxrfuture_data.sample import Array

ALIGNMENT = 64  # bytes: a cache line
MOST_LENT = 64  # slots at once, with two descriptors each; the system allows 1,024
Shapes = Mapping[str, tuple[tuple[int, ...], Any]]  # name -> lengths, dtype


@dataclass(frozen=True)
class Arrangement:
    """Where the arrays of a batch lie in a slot: name, lengths, dtype, first byte; and the bytes of
    them all."""

    arrays: list[tuple[str, tuple[int, ...], Any, int]]
    size: int


def arrange(shapes: Shapes) -> Arrangement:
    """One array behind the other, each at the beginning of a cache line."""
    arrays: list[tuple[str, tuple[int, ...], Any, int]] = []
    end = 0
    for name, (lengths, dtype) in shapes.items():
        arrays.append((name, lengths, np.dtype(dtype), end))
        size = prod(lengths) * np.dtype(dtype).itemsize
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return Arrangement(arrays, end)


def arrays_over(memory: Array, arrangement: Arrangement) -> dict[str, Array]:
    """Arrays over a slot's bytes; each keeps the memory from coming back."""
    if arrangement.size > len(memory):
        raise ValueError(f"a batch of {arrangement.size:,} bytes does not go into {len(memory):,}")
    return {
        name: np.ndarray(lengths, dtype, buffer=memory, offset=start)
        for name, lengths, dtype, start in arrangement.arrays
    }


class Slot:
    """Anonymous memory that another process can map by its file descriptor. It has no name, so
    nothing is left of it when its processes are gone, however they end."""

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = max(size, 1)
        self.file = open_memory_file("cxrfuture-batch")
        os.ftruncate(self.file, self.size)
        self.memory = mmap.mmap(self.file, self.size)
        self.is_copied: Any = None  # what CUDA still copies out of it; see pinned.py

    def close(self) -> None:
        """Give the descriptor back; the memory goes when no array is over it."""
        os.close(self.file)


class SlotPool:
    """``size``: bytes of the largest batch. ``pinned``: whether CUDA copies from the slots."""

    def __init__(self, size: int, pinned: bool = False) -> None:
        self.size = size
        self.pinned = pinned
        self.made: list[Slot] = []
        self._free: deque[Slot] = deque()  # appended to by whatever thread drops a batch
        self._lent: set[int] = set()

    def take(self) -> Slot:
        """A slot that nobody uses, a new one if there is none."""
        for _ in range(len(self._free)):
            slot = self._free.popleft()
            if slot.is_copied is None or slot.is_copied.query():
                return slot
            self._free.append(slot)
        slot = Slot(len(self.made), self.size)
        if self.pinned:
            from cxrfuture_data.pinned import pin

            pin(slot.memory)
        self.made.append(slot)
        return slot

    def lend(self, slot: Slot) -> Array:
        """(size,) uint8 over the slot, which comes back when the last array over it is gone; or,
        where too many are lent, a copy."""
        memory: Array = np.frombuffer(slot.memory, np.uint8)
        if len(self._lent) >= MOST_LENT:
            memory = memory.copy()
            self.give_back(slot)
            return memory
        self._lent.add(slot.number)
        weakref.finalize(memory, self._give_back, slot).atexit = False
        return memory

    def give_back(self, slot: Slot) -> None:
        """A slot that was taken and not lent."""
        self._free.append(slot)

    def _give_back(self, slot: Slot) -> None:
        self._lent.discard(slot.number)
        if self.pinned:
            from cxrfuture_data.pinned import mark

            slot.is_copied = mark()
        self._free.append(slot)

    def close(self) -> None:
        """Slots that are lent keep their memory until their batches are gone."""
        if self.pinned:
            from cxrfuture_data.pinned import unpin

            for slot in self.made:
                unpin(slot.memory)
        for slot in self.made:
            slot.close()
        self.made.clear()
        self._free.clear()

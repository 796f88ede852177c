"""Slots that CUDA copies from directly: memory registered with the driver."""

import mmap
from typing import Any

import numpy as np


def pin(memory: mmap.mmap) -> None:
    """Register memory, so that a copy to a device neither waits nor goes through another buffer."""
    import torch

    address = np.frombuffer(memory, np.uint8).ctypes.data
    torch.cuda.check_error(torch.cuda.cudart().cudaHostRegister(address, len(memory), 0))


def unpin(memory: mmap.mmap) -> None:
    """Copies out of it must be over."""
    import torch

    torch.cuda.synchronize()
    address = np.frombuffer(memory, np.uint8).ctypes.data
    torch.cuda.check_error(torch.cuda.cudart().cudaHostUnregister(address))


def mark() -> Any:
    """An event after all copies that the current stream was asked for. A batch may be dropped while
    its copy, asked for without blocking, is under way; its slot is used again only after this."""
    import torch

    event = torch.cuda.Event()
    event.record()
    return event

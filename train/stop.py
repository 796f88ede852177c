"""A polite end: SIGTERM is remembered, and the loop asks between two steps."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch import Tensor

from cxrfuture_data.console import say

EXIT_CODE = 128 + signal.SIGTERM


@contextmanager
def remember_sigterm() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGTERM came. Only in the main thread, as Python wants."""
    asked = threading.Event()
    owner = os.getpid()

    def handle(*_: object) -> None:
        if os.getpid() != owner:  # a data worker, which inherited this handler by fork
            os._exit(EXIT_CODE)
        asked.set()

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def agree(
    accelerator: Accelerator, names: Sequence[str], losses: Tensor, is_asked: bool
) -> tuple[dict[str, float], bool]:
    """The means of losses (L,) over all ranks, and whether any of them was asked to stop."""
    asked = losses.new_tensor([float(is_asked)])
    values = accelerator.reduce(torch.cat([losses, asked]), reduction="mean").tolist()
    return dict(zip(names, values[:-1], strict=True)), values[-1] > 0


def leave_together(accelerator: Accelerator, title: str, steps: int) -> None:
    """Exit on every rank: torchrun ends the others as soon as one is gone."""
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        say(f"{title}: stopped after step {steps}; run the same command again to go on")
    accelerator.end_training()
    sys.exit(EXIT_CODE)

"""Long work: cut into pieces for worker processes, with progress, rate and time left.

Workers are spawned and import this module, so it stays light.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from cxrfuture_data.console import progress
from cxrfuture_data.schema import ContractError

Work = TypeVar("Work")
Result = TypeVar("Result")


@contextmanager
def rate_of(stage: str, count: int, kept: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Progress over ``count`` units, ``kept`` of them from an earlier run, and units a second."""
    with progress(stage, count, unit) as advance:
        if kept:
            advance(kept, "kept from an earlier run")
        started = time.monotonic()
        done = 0

        def advance_by(units: int) -> None:
            nonlocal done
            done += units
            rate = done / (time.monotonic() - started)
            left = timedelta(seconds=round((count - kept - done) / rate)) if rate else "?"
            advance(units, f"{rate:.1f} {unit}/s, {left} left")

        yield advance_by


def each_in_workers(
    function: Callable[[Work], Result], works: Sequence[Work], workers: int, setting: str
) -> Iterator[Result]:
    """The result of each work as it is done, in this process or several; ``setting`` is the one
    that says how many."""
    if workers == 1 or len(works) <= 1:
        yield from map(function, works)
        return
    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(works)),
        mp_context=multiprocessing.get_context("spawn"),  # forking after Polars may hang
        initializer=end_with_parent,
    )
    with pool:
        try:
            for future in as_completed([pool.submit(function, work) for work in works]):
                yield future.result()
        except BrokenProcessPool:
            raise ContractError(
                f"{setting.partition('.')[0]}: a worker was killed, perhaps for want of memory;"
                f" lower {setting} and run the stage again: it goes on where it stopped"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def end_with_parent() -> None:
    """Stop this worker when its parent is gone: a killed run must not leave others writing."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()

"""Parts: numbered arrays with a done record each, so a killed stage goes on where it stopped."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cxrfuture_data.console import progress


def array_path(folder: Path, number: int) -> Path:
    """The array of a part."""
    return folder / f"part-{number:05d}.npy"


def record_path(folder: Path, number: int) -> Path:
    """The done record of a part."""
    return folder / "done" / f"part-{number:05d}.json"


def remove_parts_from(folder: Path, number: int) -> None:
    """Remove the parts of an earlier, longer run."""
    last_kept = array_path(folder, number - 1).name if number else ""
    for path in folder.glob("part-*.npy"):
        if path.name > last_kept:
            (folder / "done" / path.with_suffix(".json").name).unlink(missing_ok=True)
            path.unlink()


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
            advance(units, f"{done / (time.monotonic() - started):.1f} {unit}/s")

        yield advance_by

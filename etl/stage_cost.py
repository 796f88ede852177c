"""What a stage took: seconds, rows, rows a second and memory at its peak.

No two runs take the same time, so the record lies beside the stages' folders, in no stage's outputs
and in no digest: build/<recipe>/metrics/<stage>.json, and build/metrics/ for stages of no recipe.
"""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from cxrfuture_data.console import say
from cxrfuture_data.publish import write_json

METRICS = "metrics"
OF_STAGE = "of this stage"
OF_PROCESS = "of the process so far"
KILOBYTES = 1024
CLOCK_LAG = 0.02  # seconds that a file system's clock may be behind


@contextmanager
def measured(build: Path, stage: str) -> Iterator[None]:
    """Write the cost of the body, the stage that fills ``build``/``stage``, if it succeeds."""
    scope = OF_STAGE if _reset_peak() else OF_PROCESS
    children = _children_seconds()
    began, started = time.time(), time.monotonic()
    yield
    seconds = time.monotonic() - started
    written = [
        path
        for path in (build / stage).glob("*.parquet")
        if path.stat().st_mtime >= began - CLOCK_LAG  # others were kept from an earlier run
    ]
    rows = sum(pq.read_metadata(path).num_rows for path in written)
    had_children = _children_seconds() > children
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = {
        "seconds": round(seconds, 3),
        "rows_written": rows,
        "rows_per_second": round(rows / seconds, 1),
        "peak_mb": round(_peak_kilobytes() / KILOBYTES, 1),
        "peak_is": scope,
        # Of the largest child that this process has waited for.
        "largest_child_mb": round(usage.ru_maxrss / KILOBYTES, 1) if had_children else None,
    }
    write_json(build / METRICS / f"{stage}.json", record)
    rate = f" {record['rows_per_second']:,.0f} rows/s," if rows else ""
    say(f"{stage}: {seconds:.1f} s,{rate} {record['peak_mb']:,.0f} MB at most ({scope})")


def _reset_peak() -> bool:
    """Let the kernel forget the highest resident size so far; False where it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_kilobytes() -> int:
    """The highest resident size since the start or the reset."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

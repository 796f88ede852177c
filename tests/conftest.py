"""Where tests write, how many threads they have, in which order they run, and what they share.

The longest files go first, so that the other worker has something to do meanwhile.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Two workers with as many threads each as there are cores wait for one another at every small
# operation: training measured 20 times slower. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

MEMORY = Path("/dev/shm")
GB = 1 << 30


def has_room(folder: Path) -> bool:
    """Whether tests may write there: they need about 2 GB, and start programs that they wrote."""
    if not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    lines = Path("/proc/meminfo").read_text().splitlines()
    kilobytes = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    is_free = found.f_bavail * found.f_frsize > 8 * GB
    is_free &= kilobytes["MemAvailable"] * 1024 > 10 * GB
    return is_free and not found.f_flag & os.ST_NOEXEC


# What is published is synced to its disk first: thousands of waits, which files in memory spare.
if has_room(MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


# By seconds, half a minute and more; a new one is put in its place.
LONGEST = (
    "test_pipeline.py",
    "test_cluster.py",
    "test_fit_vae.py",
    "test_fit.py",
    "test_loader_processes.py",
    "test_offline.py",
    "test_fidelity.py",
    "test_bench_etl.py",
    "test_film_tree.py",
    "test_version.py",
    "test_fusion_task.py",
    "test_postgres.py",
    "test_diff3m.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_collection_finish() -> None:
    """What all modules made on import lives to the end: garbage is not looked for in it again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # or libraries that count what is left at the end complain


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums in one order in every run that is compared."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium for a file of tests."""
    from browser import run_browser

    with run_browser() as running:
        yield running


@pytest.fixture
def new_accelerator() -> None:
    """As in one process a run."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def object_server() -> Iterator[Any]:
    """An S3 server for a file of tests."""
    from object_server import run_server

    with run_server() as server:
        yield server


@pytest.fixture
def bucket(object_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server, its bucket empty and nothing failing, and a user who has its keys."""
    from object_server import use_server

    return use_server(object_server, monkeypatch)

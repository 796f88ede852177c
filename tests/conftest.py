"""The longest file goes first, so that the other worker has something to do meanwhile."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

# Two workers with as many threads each as there are cores wait for one another at every small
# operation: training measured 20 times slower. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


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

"""The longest file goes first, so that the other worker has something to do meanwhile."""

from collections.abc import Iterator
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


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

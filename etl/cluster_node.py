"""What runs on a node of a Ray cluster: a check that the node is fit for the work, then the work.

Imported by every worker, so it stays light.
"""

import hashlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import cxrfuture_data
import etl

# Packages whose version may decide a byte of what workers write.
DECIDING = ("numpy", "pillow", "pydicom", "python-gdcm", "torch", "diffusers", "transformers")


class Opener(Protocol):
    """Goes to workers as it is, and there gets ready what all pieces of work need, once."""

    def open(self) -> Callable[[Any, bool], Any]:
        """The function to call for each piece of work; it is told whether another worker was lost
        at the same piece, and so may have done some of it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Site:
    """The driver's machine and code, and files that must look alike from every node.

    ``files`` are sizes in bytes by path. ``is_one_machine``: work must not leave ``host``.
    """

    host: str
    code: Mapping[str, str]
    files: Mapping[Path, int]
    is_one_machine: bool

    def find_fault(self) -> str | None:
        """Why the machine that runs this cannot take part, and what to do; None if it can."""
        here = socket.gethostname()
        if self.is_one_machine and here != self.host:
            return (
                f"{here} cannot write the cache's ledger, a SQLite file that {self.host} uses; set"
                " cache.ledger to a PostgreSQL database that both reach"
            )
        for name, found in code_versions().items():
            if found != self.code.get(name):
                return (
                    f"{name} is {found} on {here} and {self.code.get(name)} on {self.host}, so"
                    " bytes may differ; install the same on both"
                )
        for path, size in self.files.items():
            try:
                found_size = path.stat().st_size
            except OSError as error:
                return (
                    f"{here} does not see {path} ({error.strerror}), which {self.host} does; put"
                    " the cache, the films and the build where all nodes see them by one path"
                )
            if found_size != size:
                return f"{path} has {found_size} bytes on {here} and {size} on {self.host}"
        return None


class Worker:
    """A Ray actor: ready when ``open`` has said None."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._work: Callable[[Any, bool], Any] | None = None

    def open(self, site: Site) -> str | None:
        """The node's fault, or None and the worker takes work."""
        os.umask(0o077)  # outputs are for the user alone, as where the stage was started
        fault = site.find_fault()
        if fault is None:
            self._work = self._opener.open()
        return fault

    def run(self, work: Any, is_again: bool) -> Any:
        """What comes of one piece of work."""
        assert self._work is not None, "opened first"
        return self._work(work, is_again)


@lru_cache(maxsize=1)
def code_versions() -> dict[str, str]:
    """Of this code, a digest; of the packages that decide bytes, their versions."""
    versions = {"cxrfuture": code_digest()}
    for name in DECIDING:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def code_digest() -> str:
    """sha256 of the modules of etl and cxrfuture_data, its first 12 digits."""
    total = hashlib.sha256()
    for package in (cxrfuture_data, etl):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            total.update(f"{root.name}/{path.relative_to(root)}\n".encode())
            total.update(path.read_bytes())
    return total.hexdigest()[:12]

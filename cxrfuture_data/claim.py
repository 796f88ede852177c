"""Files that several processes of a machine may make, and one of them does.

The lock is flock's on the file's ``.part``: the kernel lets go of it when its holder dies.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part"
WAYS = os.O_CLOEXEC | os.O_NOFOLLOW
LONGEST_PAUSE = 0.02  # seconds between looks whether another process is done


def part_of(path: Path) -> Path:
    """What a file is called while it is made."""
    return path.with_name(path.name + PART)


@contextmanager
def claim(path: Path, patience: float) -> Iterator[int | None]:
    """The descriptor of the file's part, locked, so that this process alone makes it; None once
    another has made it, or has failed. The body renames the part; where it raises, it is removed.

    TimeoutError if another still makes it after so many seconds.
    """
    name = part_of(path)
    part = os.open(name, os.O_RDWR | os.O_CREAT | WAYS, 0o600)
    try:
        _lock(part, patience)
        if not is_at(part, name) or path.exists():
            with suppress(FileNotFoundError):
                if is_at(part, name):
                    name.unlink()
            yield None
            return
        try:
            yield part
        except BaseException:
            with suppress(OSError):
                name.unlink()
            raise
    finally:
        fcntl.flock(part, fcntl.LOCK_UN)  # a forked process may share it
        os.close(part)


def _lock(part: int, patience: float) -> None:
    deadline, pause = time.monotonic() + patience, 0.001
    while True:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"another process has been at it for {patience:.0f} s"
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file still has that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """A small file, open and locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | WAYS, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

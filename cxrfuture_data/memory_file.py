"""Files that have no name: nothing is left of them when their processes are gone."""

import os
import tempfile


def open_memory_file(purpose: str) -> int:
    """The descriptor of one in memory, where the system has such (Linux: not bound by the size of
    /dev/shm), else on the disk for temporary files. ``purpose`` is what tools show of it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(purpose, os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())

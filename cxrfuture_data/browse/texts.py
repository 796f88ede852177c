"""The event texts of some rows of the table of embeddings, without reading the file each time.

Where each line begins is found once, when the first text is asked for.
"""

import json
import mmap
import threading
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxrfuture_data.schema import ContractError

_CHUNK = 1 << 24  # bytes searched at once


class Texts:
    """``path`` holds a JSON string a line, row by row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._searching = threading.Lock()

    def read(self, rows: Iterable[int]) -> list[str]:
        with self._searching:
            starts, data = self._lines
        found = []
        for row in rows:
            if not 0 <= row < len(starts) - 1:
                raise ContractError(f"{self.path}: no row {row}; rebuild the dataset")
            found.append(str(json.loads(data[int(starts[row]) : int(starts[row + 1])])))
        return found

    @cached_property
    def _lines(self) -> tuple[npt.NDArray[np.int64], mmap.mmap]:
        """Where each line begins, and where the last one ends; and the file, mapped."""
        try:
            with self.path.open("rb") as handle:
                data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise ContractError(f"{self.path}: no texts ({error}); rebuild the dataset") from None
        ends = [
            start + 1 + np.flatnonzero(np.frombuffer(data[start : start + _CHUNK], np.uint8) == 10)
            for start in range(0, len(data), _CHUNK)
        ]
        return np.concatenate([[0], *ends]).astype(np.int64), data

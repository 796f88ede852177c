"""The tars of a split in a folder: any member by position."""

import os
from collections.abc import Sequence
from pathlib import Path

from cxrfuture_data.places import HEADER, Places
from cxrfuture_data.schema import ContractError

OPEN_TARS = 256  # a process keeps so many files open; the system allows 1,024


class LocalShards:
    """Opens tars when they are first read. Safe after a fork: each process opens its own."""

    def __init__(self, folder: Path, places: Places) -> None:
        self.folder = folder
        self.places = places
        self._files: dict[int, int] = {}
        self._process = os.getpid()

    def expect(self, blocks: Sequence[int]) -> None:
        """Nothing to fetch ahead: the files are here."""

    def place(self, position: int, member: int) -> tuple[int, int]:
        """(file descriptor, where the member's tar header begins in that file)."""
        start: int = self.places.offset.item(position, member)
        return self._file(self.places.shard.item(position)), start - HEADER

    def name(self, position: int) -> str:
        """The shard a sample lies in, for errors."""
        return str(self.folder / self.places.shards[self.places.shard[position]])

    def _file(self, shard: int) -> int:
        if self._process != os.getpid():
            self._files, self._process = {}, os.getpid()
        found = self._files.get(shard)
        if found is not None:
            return found
        if len(self._files) >= OPEN_TARS:
            os.close(self._files.pop(next(iter(self._files))))  # the one opened first
        path = self.folder / self.places.shards[shard]
        try:
            self._files[shard] = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise ContractError(f"{path}: no such shard; run `cxrfuture verify`") from None
        return self._files[shard]

    def close(self) -> None:
        """Close the tars this process holds open."""
        if self._process == os.getpid():
            while self._files:
                os.close(self._files.popitem()[1])

    def __del__(self) -> None:
        self.close()

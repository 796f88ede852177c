"""A built dataset: any sample at random, straight from the tars."""

import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from cxrfuture_data.facts import read_facts
from cxrfuture_data.index import Index, read_index
from cxrfuture_data.manifest import (
    EMBEDDINGS,
    TABLE_FILE,
    TEXTS_FILE,
    KindEntry,
    Manifest,
    Statistics,
    index_name,
    read_manifest,
)
from cxrfuture_data.record import assemble, decode, members_of
from cxrfuture_data.sample import Sample
from cxrfuture_data.schema import FILM_SUFFIXES, FILMS_OF_KIND, SAMPLE_MEMBER, ContractError

OPEN_TARS = 64  # a process keeps so many files open; the system allows 1,024


def open_dataset(path: str | Path) -> "Dataset":
    """Open ``build/<recipe>/shard``. Reads dataset.json only; tars are opened when asked for."""
    folder = Path(path)
    return Dataset(folder, read_manifest(folder))


class Dataset:
    """Splits, kinds, statistics and the table of event embeddings of a dataset folder."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    def samples(
        self, split: str, kind: str, *, films: bool = True, film_size: int | None = None
    ) -> "Samples":
        """All samples of a split and kind, ordered by key.

        ``films=False`` leaves the films in the tar, as training from latents wants it. With a
        ``film_size``, pixels, films kept as levels are read up to that level and no further.
        """
        entry = self.manifest.kind(split, kind)
        kept = self.manifest.films_kept
        if film_size is not None and (kept == "none" or not films):
            raise ContractError(
                f"film size {film_size}: no films are kept, or films=False; "
                "build with shard.keep_films: levels"
            )
        members = members_of(kind, films=kept if films else "none")
        return Samples(self.path / split, entry, members, kind, film_size)

    @property
    def statistics(self) -> Statistics:
        return self.manifest.statistics

    @cached_property
    def embeddings(self) -> npt.NDArray[np.float16]:
        """(R, D), memory-mapped: row i is the embedding of text i."""
        table = np.load(self.path / EMBEDDINGS / TABLE_FILE, mmap_mode="r", allow_pickle=False)
        expected = (self.manifest.embeddings.rows, self.manifest.embeddings.dimensions)
        if table.shape != expected or table.dtype != np.float16:
            raise ContractError(
                f"{EMBEDDINGS}/{TABLE_FILE}: {table.dtype} {table.shape}, "
                f"dataset.json says float16 {expected}; rebuild the dataset"
            )
        return table

    def texts(self, rows: Iterable[int]) -> list[str]:
        """The event texts of rows of the table. Reads the file through, keeping only those."""
        wanted = [int(row) for row in rows]
        path = self.path / EMBEDDINGS / TEXTS_FILE
        if not path.exists():
            raise ContractError(f"{path}: no texts; build with shard.keep_texts: true")
        chosen = set(wanted)
        found: dict[int, str] = {}
        if chosen:
            with path.open() as lines:
                for row, line in enumerate(lines):
                    if row in chosen:
                        found[row] = json.loads(line)
        if len(found) < len(chosen):
            raise ContractError(f"{path}: no row {min(chosen - found.keys())}; rebuild the dataset")
        return [found[row] for row in wanted]

    def __getstate__(self) -> dict[str, Any]:
        """Without the memory map: a worker process makes its own."""
        return {"path": self.path, "manifest": self.manifest}


class Samples(Sequence[Sample]):
    """Samples of one split and kind. Safe in forked and spawned workers: each opens its own."""

    def __init__(
        self,
        folder: Path,
        entry: KindEntry,
        members: tuple[str, ...],
        kind: str,
        film_size: int | None,
    ) -> None:
        self._folder = folder
        self._members = members
        self._kind = kind
        self._film_size = film_size
        self._names = [shard.name for shard in entry.shards]
        self._ends = np.cumsum([shard.samples for shard in entry.shards], dtype=np.int64)
        self._indexes: dict[int, Index] = {}
        self._files: OrderedDict[int, int] = OrderedDict()
        self._process = os.getpid()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, position: int) -> Sample: ...
    @overload
    def __getitem__(self, position: slice) -> list[Sample]: ...
    def __getitem__(self, position: int | slice) -> Sample | list[Sample]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        shard, row = self._locate(position)
        if self._film_size is None:
            return decode(self._read(shard, row, self._members, {}))
        facts = self.facts(position)
        others = [name for name in self._members if name != SAMPLE_MEMBER]
        return assemble(facts, self._read(shard, row, others, self._prefixes(facts)))

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def key(self, position: int) -> str:
        """The key of a sample, without reading it."""
        shard, row = self._locate(position)
        return self._index(shard).keys[row]

    def facts(self, position: int) -> dict[str, Any]:
        """``sample.json`` alone, without the tensors and films."""
        shard, row = self._locate(position)
        key = self._index(shard).keys[row]
        return read_facts(self._member(shard, row, SAMPLE_MEMBER), key)

    def shard(self, position: int) -> str:
        """The shard a sample lies in, as ``train/pair-000000.tar``."""
        return f"{self._folder.name}/{self._names[self._locate(position)[0]]}"

    def find(self, key: str) -> int:
        """The position of a key."""
        start = 0
        for shard in range(len(self._names)):
            keys = self._index(shard).keys
            if key in keys:
                return start + keys.index(key)
            start += len(keys)
        raise ContractError(f"no sample {key!r} in {self._folder.name}; it has {len(self)} others")

    def _locate(self, position: int) -> tuple[int, int]:
        """Position -> (shard, row within it)."""
        at = position + len(self) if position < 0 else position
        if not 0 <= at < len(self):
            raise IndexError(f"sample {position} of {len(self)}")
        shard = int(np.searchsorted(self._ends, at, side="right"))
        return shard, at - (int(self._ends[shard - 1]) if shard else 0)

    def _prefixes(self, facts: Mapping[str, Any]) -> dict[str, int]:
        """The bytes to read of members that hold a film as levels."""
        found: dict[str, int] = {}
        for role in FILMS_OF_KIND[self._kind]:
            if facts[role] is not None and facts[role]["levels"] is not None:
                ends = dict(facts[role]["levels"])
                if self._film_size not in ends:
                    raise ContractError(
                        f"sample {facts['key']}: {role} has no level of {self._film_size} pixels; "
                        f"ask for one of {sorted(ends)}"
                    )
                found[role + FILM_SUFFIXES["levels"]] = ends[self._film_size]
        return found

    def _read(
        self, shard: int, row: int, names: Iterable[str], prefixes: Mapping[str, int]
    ) -> dict[str, Any]:
        """Members whole, or the first bytes of those in ``prefixes``."""
        members: dict[str, Any] = {"__key__": self._index(shard).keys[row]}
        for name in names:
            members[name] = self._member(shard, row, name, prefixes.get(name))
        return members

    def _member(self, shard: int, row: int, name: str, prefix: int | None = None) -> bytes:
        index = self._index(shard)
        column = index.members.index(name)
        size = int(index.sizes[row, column])
        wanted = size if prefix is None else prefix
        member = os.pread(self._file(shard), min(wanted, size), int(index.offsets[row, column]))
        if len(member) != wanted:
            raise ContractError(
                f"{self._folder.name}/{self._names[shard]}: ends within sample "
                f"{index.keys[row]}; run `cxrfuture verify`"
            )
        return member

    def _index(self, shard: int) -> Index:
        if shard not in self._indexes:
            path = self._folder / index_name(self._names[shard])
            index = read_index(path)
            samples = int(self._ends[shard]) - (int(self._ends[shard - 1]) if shard else 0)
            if len(index.keys) != samples or not set(self._members) <= set(index.members):
                raise ContractError(f"{path}: not the samples of dataset.json; rebuild the dataset")
            self._indexes[shard] = index
        return self._indexes[shard]

    def _file(self, shard: int) -> int:
        if self._process != os.getpid():
            self._files, self._process = OrderedDict(), os.getpid()
        if shard in self._files:
            self._files.move_to_end(shard)
            return self._files[shard]
        if len(self._files) >= OPEN_TARS:
            os.close(self._files.popitem(last=False)[1])
        path = self._folder / self._names[shard]
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

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": OrderedDict(), "_process": -1}

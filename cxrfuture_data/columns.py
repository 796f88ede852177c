"""The columns of a split: facts of every sample of a kind, and where its members lie, as arrays.

A dataset carries one file of them for each split and kind, so samples are counted, chosen and
batched without opening a tar or parsing JSON. Written by ``etl.shard`` from each ``sample.json``,
proven by ``cxrfuture verify``, memory-mapped here.

Shapes: N samples in the order of their keys; W bytes of a text; M members; L levels of a film.
"""

import difflib
import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from cxrfuture_data.places import Places
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FINDINGS, ContractError

# What stands for null: NaN of a float, NaT of a time, "" of a text, and of the others this.
NO_ID, NOT_SAID = -1, -1

SHARD, OFFSET, SIZE, XXH3 = "shard", "offset", "size", "xxh3"
_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "I64": np.int64,
    "I32": np.int32,
    "I8": np.int8,
    "U64": np.uint64,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_TARS = "tars"  # the file's metadata
_TEXT, _TIME = "text:", "time:"  # prefixes of names in the file


@dataclass(frozen=True, eq=False)
class Columns:
    """Column by name; (N, ...) each. ``key``, ``age``, ``is_male``, ``target.labels`` and so on:
    see ``columns_of.py``; and ``sex`` ("F" or "M"), and a finding of a film, ``target.Edema``
    (float: 1, 0, -1, NaN where it is not mentioned). Texts are str, times datetime64[us]."""

    shards: tuple[str, ...]
    members: tuple[str, ...]
    stored: Mapping[str, Array]  # as they lie in the file

    def __getitem__(self, name: str) -> Array:
        for prefix in ("", _TEXT, _TIME):
            if prefix + name in self.stored:
                return _shown(prefix, self.stored[prefix + name])
        if name == "sex":
            return np.where(self["is_male"], "M", "F")
        role, _, finding = name.rpartition(".")
        if finding in FINDINGS and f"{role}.labels" in self.stored:
            at = FINDINGS.index(finding)
            known = self.stored[f"{role}.label_known"][:, at]
            return np.where(known, self.stored[f"{role}.labels"][:, at], np.nan)
        near = difflib.get_close_matches(name, self.names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.names)}"
        raise ContractError(f"no column {name!r}; {hint}")

    @property
    def names(self) -> list[str]:
        return [name.removeprefix(_TEXT).removeprefix(_TIME) for name in self.stored]

    @property
    def samples(self) -> int:
        """N."""
        return len(self.stored[SHARD])

    @cached_property
    def places(self) -> Places:
        found = self.stored
        return Places(
            self.shards, self.members, found[SHARD], found[OFFSET], found[SIZE], found[XXH3]
        )

    def key_bytes(self, positions: npt.NDArray[np.int64]) -> list[bytes]:
        """The keys of some samples."""
        texts = self.stored[_TEXT + "key"]
        return texts[positions].view(f"S{texts.shape[1]}").ravel().tolist()

    def find(self, key: str) -> int | None:
        """The position of a key; keys are in their order."""
        texts = self.stored[_TEXT + "key"]
        keys = texts.view(f"S{texts.shape[1]}").ravel()
        at = int(np.searchsorted(keys, key.encode()))
        return at if at < len(keys) and keys[at] == key.encode() else None

    def take(self, positions: npt.NDArray[np.int64]) -> "Columns":
        """The columns of some samples."""
        chosen = {name: column[positions] for name, column in self.stored.items()}
        return Columns(self.shards, self.members, chosen)


def text_column(texts: Sequence[str | None], name: str) -> dict[str, Array]:
    """(N, W) uint8: UTF-8, filled up with zeros; null is no text."""
    found = np.array([(text or "").encode() for text in texts], dtype=np.bytes_)
    width = max(found.dtype.itemsize, 1)
    return {_TEXT + name: found.astype(f"S{width}").view(np.uint8).reshape(len(texts), width)}


def time_column(times: Sequence[str | None], name: str) -> dict[str, Array]:
    """(N,) int64: microseconds since 1970 of ISO times; null is NaT."""
    found = np.array([time or "NaT" for time in times], dtype="datetime64[us]")
    return {_TIME + name: found.astype(np.int64)}


def join_columns(parts: Sequence[Columns]) -> Columns:
    """Those of a kind's shards, one after the other; texts and levels take the widest."""
    first = parts[0]
    joined: dict[str, Array] = {}
    for name in first.stored:
        columns = [part.stored[name] for part in parts]
        joined[name] = np.concatenate(_widened(columns))
    counts = [part.samples for part in parts]
    joined[SHARD] = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    return Columns(tuple(part.shards[0] for part in parts), first.members, joined)


def _widened(columns: Sequence[Array]) -> list[Array]:
    shape = np.max([column.shape[1:] for column in columns], axis=0).astype(int)
    return [
        np.pad(c, [(0, 0), *((0, int(w) - n) for n, w in zip(c.shape[1:], shape, strict=True))])
        for c in columns
    ]


def encode_columns(columns: Columns) -> bytes:
    """The file's bytes: safetensors, so that nothing in it is run."""
    # One entry: safetensors writes several in any order.
    metadata = {_TARS: json.dumps({"shards": columns.shards, "members": columns.members})}
    arrays = {name: np.ascontiguousarray(column) for name, column in columns.stored.items()}
    return save(arrays, metadata=metadata)


def open_columns(path: Path) -> Columns:
    """Map the file of a split; pages come when they are read, and are shared by processes."""
    try:
        with path.open("rb") as handle:
            data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        start = 8 + int.from_bytes(data[:8], "little")
        header: dict[str, Any] = json.loads(data[8:start])
        tars = json.loads(header.pop("__metadata__")[_TARS])
        stored = {name: _array(data, start, entry) for name, entry in header.items()}
        rows = {len(column) for column in stored.values()}
        columns = Columns(tuple(tars["shards"]), tuple(tars["members"]), stored)
        if len(rows) != 1 or not {SHARD, OFFSET, SIZE, XXH3, _TEXT + "key"} <= stored.keys():
            raise ValueError("columns of several lengths, or without places")
    except FileNotFoundError:
        raise ContractError(f"{path}: no such file; rebuild the dataset") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ContractError(f"{path}: no columns of samples; rebuild the dataset") from None
    return columns


def _array(data: mmap.mmap, start: int, entry: Mapping[str, Any]) -> Array:
    dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    count = int(np.prod(shape, dtype=np.int64))
    if end - begin != count * dtype.itemsize:
        raise ValueError("bytes and shape differ")
    if count == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype, count, start + begin).reshape(shape)


def _shown(prefix: str, column: Array) -> Array:
    if prefix == _TEXT:
        texts = np.ascontiguousarray(column).view(f"S{column.shape[1]}").ravel()
        return np.char.decode(texts, "utf-8")
    return column.view("datetime64[us]") if prefix == _TIME else column

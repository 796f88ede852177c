"""Pieces of shards: the wanted members of the samples of a block, one after the other, each behind
its tar header. A piece is named after its content, so equal ones are shared and none gets stale."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.places import Places
from cxrfuture_data.ranges import GAP_BYTES, READS, merge_ranges, read_ranges
from cxrfuture_data.schema import ContractError

HEADER_BYTES = 512
PIECE_VERSION = 1
_SUM = slice(148, 156)  # of a tar header: the sum of its bytes, this field taken as blanks
_DIGITS = slice(148, 154)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Shapes: N samples in the order of the split, K members that are read."""

    rows: dict[int, slice]  # samples of each block
    bytes: dict[int, int]  # of each block's piece
    members: tuple[int, ...]  # (K,), columns of Places, rising
    header: npt.NDArray[np.int64]  # (N, K), where in its piece each member's tar header begins
    end: npt.NDArray[np.int64]  # (N, K), where in its piece each member's data ends


def plan_blocks(places: Places, members: Sequence[int], block: npt.NDArray[np.int64]) -> Blocks:
    """Where members will lie in pieces; ValueError if a block is no run of samples of a shard."""
    columns = tuple(sorted(set(members)))
    lengths = places.size[:, columns] + HEADER_BYTES
    is_first = np.ones(len(block), bool)
    is_first[1:] = (block[1:] != block[:-1]) | (places.shard[1:] != places.shard[:-1])
    firsts = np.flatnonzero(is_first)
    ends = np.append(firsts[1:], len(block))
    rows = {int(block[a]): slice(int(a), int(b)) for a, b in zip(firsts, ends, strict=True)}
    if len(rows) < len(firsts):
        raise ValueError("a block is a run of consecutive samples of one shard")
    until = np.cumsum(lengths).reshape(lengths.shape)
    before = np.repeat(until[firsts, 0] - lengths[firsts, 0], ends - firsts)
    end = until - before[:, None]
    sizes = {name: int(end[run.stop - 1, -1]) for name, run in rows.items()}
    return Blocks(rows, sizes, columns, end - lengths, end)


@dataclass(frozen=True, eq=False)
class PieceSource:
    """Pieces of the shards below a split's folder of a store."""

    store: ObjectStore
    places: Places
    blocks: Blocks

    def name(self, block: int) -> str:
        """A hash of what its members are."""
        rows, columns = self.blocks.rows[block], self.blocks.members
        sha = hashlib.sha256(
            f"{PIECE_VERSION} {[self.places.members[i] for i in columns]}".encode()
        )
        sha.update(self.places.size[rows, columns].astype("<i8").tobytes())
        sha.update(self.places.xxh3[rows, columns].astype("<u8").tobytes())
        return sha.hexdigest()[:40]

    def size(self, block: int) -> int:
        return self.blocks.bytes[block]

    def fetch(self, block: int) -> bytes:
        """The piece, proven; ContractError names the object and the sample that is not right."""
        for _ in range(READS):
            data, sample = self._read(block)
            if sample is None and (sample := self._find_damage(block, data)) is None:
                return data
        rows = self.blocks.rows[block]
        shard = self.places.shards[self.places.shard[rows.start]]
        why = "has other checksums" if len(data) == self.size(block) else "is cut off"
        raise ContractError(
            f"{self.store}/{shard}: sample {sample} of the split {why}, also when read {READS}"
            " times; the dataset was rebuilt or damaged there: open it anew, or push it again"
        )

    def is_whole(self, block: int, data: bytes) -> bool:
        """Whether every header and member of a piece is right."""
        return self._find_damage(block, data) is None

    def _read(self, block: int) -> tuple[bytes, int | None]:
        """The piece as it is there, and the sample at which the object ends too early."""
        rows, columns = self.blocks.rows[block], self.blocks.members
        starts = (self.places.offset[rows, columns] - HEADER_BYTES).ravel()
        ends = starts + (self.places.size[rows, columns] + HEADER_BYTES).ravel()
        wanted = list(zip(starts.tolist(), ends.tolist(), strict=True))
        merged = merge_ranges(wanted, GAP_BYTES)
        shard = self.places.shards[self.places.shard[rows.start]]
        parts = [memoryview(part) for part in read_ranges(self.store, shard, merged)]
        firsts = np.array([first for first, _ in merged])
        members = []
        within = (np.searchsorted(firsts, starts, side="right") - 1).tolist()
        for number, (part, (start, end)) in enumerate(zip(within, wanted, strict=True)):
            first = merged[part][0]
            if end - first > len(parts[part]):
                return b"", rows.start + number // len(columns)
            members.append(parts[part][start - first : end - first])
        return b"".join(members), None

    def _find_damage(self, block: int, data: bytes) -> int | None:
        """The first sample with a header or member that is not right."""
        rows, columns = self.blocks.rows[block], self.blocks.members
        headers = self.blocks.header[rows].ravel()
        ends, sums = self.blocks.end[rows].ravel(), self.places.xxh3[rows, columns].ravel()
        is_right = _are_headers(np.frombuffer(data, np.uint8), headers)
        view = memoryview(data)
        found = zip(headers.tolist(), ends.tolist(), sums.tolist(), is_right.tolist(), strict=True)
        for number, (header, end, xxh3, is_header) in enumerate(found):
            member = view[header + HEADER_BYTES : end]
            if not is_header or xxhash.xxh3_64_intdigest(member) != xxh3:
                return rows.start + number // len(columns)
        return None


def _are_headers(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Whether tar headers, 512 bytes from each start, have the sums that they state."""
    headers = data[starts[:, None] + np.arange(HEADER_BYTES)]
    stated = (headers[:, _DIGITS] & 7) @ (8 ** np.arange(5, -1, -1))
    blanks = 8 * ord(" ")
    found = headers.sum(axis=1, dtype=np.int64) - headers[:, _SUM].sum(axis=1, dtype=np.int64)
    return found + blanks == stated

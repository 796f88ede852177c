"""Pieces of shards: the wanted members of the samples of a block, one after the other, each behind
its tar header. A piece is named after its content, so equal ones are shared and none gets stale."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.places import HEADER, Places
from cxrfuture_data.ranges import GAP_BYTES, READS, merge_ranges, read_ranges
from cxrfuture_data.schema import ContractError

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
    lengths = places.size[:, columns] + HEADER
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

    def fetch(self, block: int) -> list[memoryview]:
        """The parts of the piece, proven; ContractError names the object and the sample that is
        not right."""
        rows, columns = self.blocks.rows[block], self.blocks.members
        shard = self.places.shards[self.places.shard[rows.start]]
        starts = self.places.offset[rows, columns].ravel() - HEADER
        ends = starts + self.places.size[rows, columns].ravel() + HEADER
        wanted = list(zip(starts.tolist(), ends.tolist(), strict=True))
        merged = merge_ranges(wanted, GAP_BYTES)
        within = np.searchsorted([first for first, _ in merged], starts, side="right") - 1
        for _ in range(READS):
            read = read_ranges(self.store, shard, merged)
            parts = [
                memoryview(read[number])[start - merged[number][0] : end - merged[number][0]]
                for number, (start, end) in zip(within.tolist(), wanted, strict=True)
            ]
            lengths = np.array([len(part) for part in parts])
            wrong = np.flatnonzero(lengths != ends - starts)
            why = "is cut off"
            if not len(wrong):
                wrong = self._find_damage(block, parts)
                why = "has other checksums"
            if not len(wrong):
                return parts
        raise ContractError(
            f"{self.store}/{shard}: sample {rows.start + wrong[0] // len(columns)} of the split"
            f" {why}, also when read {READS} times; the dataset was rebuilt or damaged there: open"
            " it anew, or push it again"
        )

    def is_whole(self, block: int, data: bytes) -> bool:
        """Whether every header and member of a piece is right."""
        rows = self.blocks.rows[block]
        bounds = zip(
            self.blocks.header[rows].ravel().tolist(),
            self.blocks.end[rows].ravel().tolist(),
            strict=True,
        )
        view = memoryview(data)
        return not len(self._find_damage(block, [view[start:end] for start, end in bounds]))

    def _find_damage(self, block: int, parts: Sequence[memoryview]) -> npt.NDArray[np.int64]:
        """Which headers with members, in the order of a piece, are not right."""
        stated = self.places.xxh3[self.blocks.rows[block], self.blocks.members].ravel()
        found = [xxhash.xxh3_64_intdigest(part[HEADER:]) for part in parts]
        headers = np.frombuffer(b"".join(part[:HEADER] for part in parts), np.uint8)
        is_right = _are_headers(headers.reshape(-1, HEADER))
        return np.flatnonzero(~is_right | (np.array(found, np.uint64) != stated))


def _are_headers(headers: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether tar headers (K, 512) have the sums that they state."""
    stated = (headers[:, _DIGITS] & 7) @ (8 ** np.arange(5, -1, -1))
    blanks = 8 * ord(" ")
    found = headers.sum(axis=1, dtype=np.int64) - headers[:, _SUM].sum(axis=1, dtype=np.int64)
    return found + blanks == stated

"""The members of one sample, each proven by its header and its hash before anyone looks at it."""

import struct
import threading
from functools import cached_property

import xxhash

from cxrfuture_data.browse.listing import Listing
from cxrfuture_data.browse.problem import NOT_FOUND, Problem, broken
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.facts import read_facts
from cxrfuture_data.level import HEADER as LEVELS_HEADER
from cxrfuture_data.level import decode_level
from cxrfuture_data.order import block_numbers
from cxrfuture_data.record import assemble
from cxrfuture_data.sample import Array, Sample, decode_png
from cxrfuture_data.schema import (
    FILM_SUFFIXES,
    FILMS_OF_KIND,
    SAMPLE_MEMBER,
    TENSORS_MEMBER,
    ContractError,
)
from cxrfuture_data.source import Shards
from cxrfuture_data.tar_member import Member, read_member

_PNG_SIZE = struct.Struct(">16xII")  # of a PNG's first chunk, behind its signature


class Reader:
    """Of a split and kind. Threads may call: they read one after the other."""

    def __init__(self, dataset: Dataset, split: str, kind: str) -> None:
        self.dataset = dataset
        self.split = split
        self.kind = kind
        self.listing = Listing(dataset.columns(split, kind), kind)
        self.places = self.listing.stored.places
        self._reading = threading.Lock()

    def shard(self, position: int) -> str:
        """As ``train/pair-000000.tar``."""
        return f"{self.split}/{self.places.shards[self.places.shard[position]]}"

    def sample(self, position: int) -> Sample:
        """Without its films."""
        key = self.listing.key(position)
        try:
            members = {
                name: self._member(position, name) for name in (SAMPLE_MEMBER, TENSORS_MEMBER)
            }
            return assemble(read_facts(members[SAMPLE_MEMBER], key), members)
        except (ContractError, OSError) as error:
            raise broken(self.shard(position), key, error) from None

    def film_shape(self, position: int, role: str) -> tuple[int, int] | None:
        """(height, width) of a film, of which no more than the first bytes are read; None: there is
        none."""
        name = self._film_member(role)
        if name is None or self._size(position, name) == 0:
            return None
        try:
            start = self._member(position, name, prefix=min(32, self._size(position, name)))
            if name.endswith(FILM_SUFFIXES["png"]):
                width, height = _PNG_SIZE.unpack_from(start)
            else:
                *_, height, width = struct.unpack_from(LEVELS_HEADER, start)
        except (ContractError, OSError, struct.error) as error:
            raise broken(self.shard(position), self.listing.key(position), error) from None
        return int(height), int(width)

    def pixels(self, position: int, role: str, size: int | None = None) -> Array:
        """(H, W) uint8. Of films kept as levels the smallest level of at least ``size``; of others,
        and without a size, the film as it was kept."""
        key, name = self.listing.key(position), self._film_member(role)
        if role not in FILMS_OF_KIND[self.kind]:
            raise Problem(NOT_FOUND, f"no film {role!r} of {self.kind}s")
        if name is None:
            raise Problem(
                NOT_FOUND, "this dataset keeps no films; build with shard.keep_films: png or levels"
            )
        if self._size(position, name) == 0:
            raise Problem(NOT_FOUND, f"sample {key} has no {role} film")
        try:
            if name.endswith(FILM_SUFFIXES["png"]):
                return decode_png(self._member(position, name), None)
            return self._read_level(position, name, role, size)
        except (ContractError, OSError, SyntaxError) as error:
            raise broken(self.shard(position), key, error) from None

    def members(self, position: int) -> list[dict[str, str | int]]:
        """Where the members of a sample lie, and their hashes."""
        places = self.places
        return [
            {
                "name": name,
                "offset": int(places.offset[position, column]),
                "bytes": int(places.size[position, column]),
                "xxh3": f"{int(places.xxh3[position, column]):016x}",
            }
            for column, name in enumerate(places.members)
        ]

    def close(self) -> None:
        if "_shards" in self.__dict__:
            self._shards.close()

    def _read_level(self, position: int, name: str, role: str, size: int | None) -> Array:
        levels = self.listing.stored[f"{role}.levels"][position]  # (L, 2)
        ends = {int(side): int(end) for side, end in levels if side}
        enough = [side for side in ends if size is not None and side >= size]
        wanted = min(enough) if enough else max(ends)
        prefix = None if wanted == max(ends) else ends[wanted]
        return decode_level(self._member(position, name, prefix), wanted)

    def _film_member(self, role: str) -> str | None:
        kept = self.dataset.manifest.films_kept
        return None if kept == "none" else role + FILM_SUFFIXES[kept]

    def _size(self, position: int, name: str) -> int:
        return int(self.places.size[position, self._column(name)])

    def _column(self, name: str) -> int:
        if name not in self.places.members:
            raise Problem(NOT_FOUND, f"no member {name} in {self.split}/{self.kind}")
        return self.places.members.index(name)

    def _member(self, position: int, name: str, prefix: int | None = None) -> bytes:
        """Whole, it is proven by its hash; of a prefix only the tar's header is."""
        column = self._column(name)
        whole = bytes(self.listing.keys[position]) + b"." + name.encode()
        member = Member(position, column, whole, int(self.places.size[position, column]))
        with self._reading:
            data = read_member(self._shards, member, prefix)
        is_whole = len(data) == member.size
        if is_whole and xxhash.xxh3_64_intdigest(data) != int(self.places.xxh3[position, column]):
            raise ContractError(f"{name}: altered since it was built (its hash is another)")
        return data

    @cached_property
    def _shards(self) -> Shards:
        columns = list(range(len(self.places.members)))
        blocks = block_numbers(self.places.shard)
        return self.dataset.source.shards(self.split, self.places, columns, blocks)

"""The shards of a split on an object store, read a block of samples at a time through the node's
cache."""

import weakref
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cxrfuture_data.ahead import Ahead
from cxrfuture_data.node_cache import NodeCache, Piece
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.piece import PieceSource, plan_blocks
from cxrfuture_data.places import Places


class RemoteShards:
    """``store`` is the folder of a split; ``members`` are the columns of ``places.members`` that
    will be read; ``block`` (N,) is the number of the block of each sample, a run of consecutive
    samples of one shard. Any thread may call; a forked process starts anew."""

    def __init__(
        self,
        store: ObjectStore,
        places: Places,
        members: Sequence[int],
        block: npt.NDArray[np.int64],
        cache: NodeCache,
    ) -> None:
        blocks = plan_blocks(places, members, block)
        source = PieceSource(store, places, blocks)

        proven: set[int] = set()  # to prove a piece each time would cost more than to read it

        def open_block(number: int, is_waiting: bool) -> int | None:
            piece = Piece(
                source.name(number),
                source.size(number),
                lambda: source.fetch(number),
                None if number in proven else lambda data: source.is_whole(number, data),
            )
            descriptor = cache.open_piece(piece, is_waiting)
            if descriptor is not None:
                proven.add(number)
            return descriptor

        self.store = store
        self.places = places
        self._header = blocks.header
        self._number = block
        self._column = {member: column for column, member in enumerate(blocks.members)}
        self._ahead = Ahead(open_block, source.size)
        self._end = weakref.finalize(self, self._ahead.close)  # at exit, too

    def expect(self, blocks: Sequence[int]) -> None:
        """The blocks needed next, in this order, in place of what was expected before. They are
        fetched in the background, a bounded number ahead of those that place() was asked for."""
        self._ahead.expect([int(block) for block in blocks])

    def place(self, position: int, member: int) -> tuple[int, int]:
        """A file descriptor, and where in its file the member's tar header begins, 512 bytes before
        its data. Waits for the block; ContractError if it cannot be had.

        The descriptor is closed when ahead.OPEN_BLOCKS other blocks were asked for since.
        """
        descriptor = self._ahead.take(self._number.item(position))
        start: int = self._header.item(position, self._column[member])
        return descriptor, start

    def name(self, position: int) -> str:
        """The shard a sample lies in, for errors."""
        return f"{self.store}/{self.places.shards[self.places.shard[position]]}"

    def close(self) -> None:
        """End the threads and close the files; nothing can be read any more."""
        self._end()

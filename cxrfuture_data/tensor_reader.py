"""The tensors of samples, read from their tars straight into the arrays of a batch.

One system call a sample scatters its tensors; what lies before and between them goes to memory that
is used again. Tar header and safetensors header prove, byte by byte, that what was read is what the
columns say.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cxrfuture_data.columns import Columns
from cxrfuture_data.order import Positions
from cxrfuture_data.places import HEADER
from cxrfuture_data.schema import TENSORS_MEMBER, ContractError
from cxrfuture_data.source import Shards
from cxrfuture_data.tar_member import REMEDY, SIZE, Member, cut_short, require_header
from cxrfuture_data.tensor_layout import PREFIX, TensorLayout, parse_layout

# Columns that say how long the tensors of a kind are, and properties of their layout.
_LENGTHS = {
    "pair": ("hours", "events"),
    "stay": ("hours", "events", "generation_hours"),
    "image": (),
}
KNOWN_LAYOUTS = 4096  # kept; windows with events differ more than that


class ToRead(NamedTuple):
    """Which sample to read; ``lengths``: see ``TensorReader.lengths``."""

    position: int
    key: bytes
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Target:
    """Where a tensor goes: ``memory`` in bytes, and where in it each sample's begins; of a sample
    without the tensor ``width`` bytes there become 0."""

    memory: memoryview
    starts: Sequence[int]
    width: int


@dataclass(frozen=True, eq=False)
class _Known:
    """A layout that was met before: its header, with what says how long that is, and the pieces of
    tar header and member in their order, each with the target it goes to or None."""

    header: bytes
    digits: bytes  # of the size, as the tar header has them
    layout: TensorLayout
    pieces: list[memoryview]
    targets: list[tuple[int, int, int]]  # which piece goes to which target, and its bytes
    lacking: list[str]
    size: int  # bytes of tar header and member


class TensorReader:
    """``latent``: (C, h, w) of every film that is there. ``member``: the bytes of the sample read
    last, but for what went to targets."""

    def __init__(self, kind: str, columns: Columns, latent: tuple[int, ...]) -> None:
        self.kind = kind
        self.latents = (latent, (0, 0, 0))
        self.columns = columns
        places = columns.places
        self.column = places.members.index(TENSORS_MEMBER)
        largest = int(places.size[:, self.column].max(initial=0))
        self._scratch = bytearray(HEADER + largest)
        self._view = memoryview(self._scratch)
        self.member = self._view[HEADER:]
        self._end_of_name = b"." + TENSORS_MEMBER.encode() + b"\0"
        self._known: dict[tuple[int, ...], _Known] = {}
        self._names: tuple[str, ...] = ()

    def lengths(self, positions: Positions) -> list[tuple[int, ...]]:
        """(bytes, hours, events) of each sample, and of a stay the hours of its generation window;
        of an image bytes alone."""
        lengths = [self.columns.places.size[positions, self.column].tolist()]
        lengths += [self.columns[name][positions].tolist() for name in _LENGTHS[self.kind]]
        return list(zip(*lengths, strict=True))

    def read(
        self,
        shards: Shards,
        positions: Positions,
        keys: Sequence[bytes],
        targets: Mapping[str, Target],
        add: Callable[[int, TensorLayout, memoryview], None] | None,
    ) -> None:
        """Fill the targets, row by row; ``add`` is given row, layout and the member's bytes, but
        for what went to targets, which hold until it returns."""
        if self._names != tuple(targets):
            self._names, self._known = tuple(targets), {}
        places = [(target.memory, target.starts) for target in targets.values()]
        lengths = self.lengths(positions)
        scratch, column, place, preadv = self._scratch, self.column, shards.place, os.preadv
        samples = zip(positions.tolist(), keys, lengths, strict=True)
        for row, (position, key, length) in enumerate(samples):
            known = self._known.get(length)
            if known is None:
                known = self._read_first(shards, row, ToRead(position, key, length), targets)
            else:
                pieces = list(known.pieces)
                for at, target, size in known.targets:
                    memory, starts = places[target]
                    begin = starts[row]
                    pieces[at] = memory[begin : begin + size]
                file, start = place(position, column)
                if (
                    preadv(file, pieces, start) != known.size
                    or not scratch.startswith(key + self._end_of_name)
                    or not scratch.startswith(known.digits, SIZE.start)
                    or not scratch.startswith(known.header, HEADER)
                ):
                    raise self._offence(shards, ToRead(position, key, length))
            for name in known.lacking:
                _clear(targets[name], row)
            if add is not None:
                add(row, known.layout, self.member)

    def _read_first(
        self, shards: Shards, row: int, sample: ToRead, targets: Mapping[str, Target]
    ) -> _Known:
        """A sample whose layout is not known yet."""
        size = HEADER + sample.lengths[0]
        file, start = shards.place(sample.position, self.column)
        if os.preadv(file, [self._view[:size]], start) != size:
            raise cut_short(shards, self._member(sample))
        require_header(self._scratch, shards, self._member(sample))
        known = self._learn(shards, sample)
        for name, target in targets.items():
            first, last = known.layout.spans[name]
            begin = target.starts[row]
            tensor = self._view[HEADER + first : HEADER + last]
            target.memory[begin : begin + last - first] = tensor
        return known

    def _offence(self, shards: Shards, sample: ToRead) -> ContractError:
        """What is wrong with a sample that was not what its lengths make it."""
        size = HEADER + sample.lengths[0]
        file, start = shards.place(sample.position, self.column)
        if os.preadv(file, [self._view[:size]], start) != size:
            return cut_short(shards, self._member(sample))
        require_header(self._scratch, shards, self._member(sample))
        return self._refusal(shards, sample, "its tensors are not as long as the columns say")

    def _learn(self, shards: Shards, sample: ToRead) -> _Known:
        """The layout of the member in the scratch memory."""
        first = HEADER + PREFIX
        last = first + int.from_bytes(self._view[HEADER:first], "little")
        try:
            layout = parse_layout(bytes(self._view[first:last]), self.kind)
        except ContractError as error:
            raise self._refusal(shards, sample, str(error)) from None
        found = (layout.size, *[getattr(layout, name) for name in _LENGTHS[self.kind]])
        if found != sample.lengths:
            raise self._refusal(shards, sample, "its tensors are not as long as the columns say")
        for name, shape in layout.shapes.items():
            if name.endswith(("_mean", "_logvar")) and shape not in self.latents:
                problem = f"{name} is {shape}, dataset.json says {self.latents[0]}"
                raise self._refusal(shards, sample, problem)
        lacking = [name for name in self._names if layout.spans[name][0] == layout.spans[name][1]]
        header, digits = bytes(self._view[HEADER:last]), bytes(self._view[SIZE])
        pieces: list[memoryview] = []
        targets: list[tuple[int, int, int]] = []
        for target, start, end in _cut(layout, self._names):
            if target is not None:
                targets.append((len(pieces), self._names.index(target), end - start))
            pieces.append(self._view[start:end])
        known = _Known(header, digits, layout, pieces, targets, lacking, HEADER + layout.size)
        if len(self._known) >= KNOWN_LAYOUTS:
            self._known.clear()
        self._known[sample.lengths] = known
        return known

    def _member(self, sample: ToRead) -> Member:
        name = sample.key + self._end_of_name[:-1]
        return Member(sample.position, self.column, name, sample.lengths[0])

    def _refusal(self, shards: Shards, sample: ToRead, problem: str) -> ContractError:
        name = self._member(sample).name.decode()
        return ContractError(f"{shards.name(sample.position)}: {name}: {problem}; {REMEDY}")


def _clear(target: Target, row: int) -> None:
    begin = target.starts[row]
    target.memory[begin : begin + target.width] = bytes(target.width)


def _cut(layout: TensorLayout, names: Sequence[str]) -> list[tuple[str | None, int, int]]:
    """Tar header and member in pieces, those of ``names`` apart and the rest in as few as can be.
    Bytes count from the tar header."""
    pieces: list[tuple[str | None, int, int]] = []
    done = 0
    for name, (first, last) in sorted(layout.spans.items(), key=lambda item: item[1]):
        if name in names and last > first:
            if HEADER + first > done:
                pieces.append((None, done, HEADER + first))
            pieces.append((name, HEADER + first, HEADER + last))
            done = HEADER + last
    if HEADER + layout.size > done:
        pieces.append((None, done, HEADER + layout.size))
    return pieces

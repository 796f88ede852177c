"""The samples of a split and kind, or some of them: a map-style dataset for torch and anyone else.

train = dataset.split("train", "pair")
old = train.where(lambda columns: columns["age"] >= 65)     # reads no tar
sample = old[0]                                             # a PairSample
for batch in old.loader(64, "ddl_cxr.pair", seed=0): ...    # typed batches of torch tensors
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from cxrfuture_data.columns import Columns
from cxrfuture_data.facts import read_facts
from cxrfuture_data.film_member import level_end
from cxrfuture_data.order import Positions, block_numbers
from cxrfuture_data.record import assemble, decode, members_of
from cxrfuture_data.sample import Sample
from cxrfuture_data.schema import FILM_SUFFIXES, FILMS_OF_KIND, SAMPLE_MEMBER, ContractError
from cxrfuture_data.source import Shards
from cxrfuture_data.tar_member import Member, read_member

if TYPE_CHECKING:
    from cxrfuture_data.dataset import Dataset
    from cxrfuture_data.loader import Loader
    from cxrfuture_data.view import View

Mask = npt.NDArray[np.bool_]


class Split(Sequence[Sample]):
    """``positions`` are those of the whole split's columns. Safe in forked and spawned workers."""

    def __init__(
        self,
        dataset: "Dataset",
        name: str,
        kind: str,
        *,
        films: bool,
        film_size: int | None,
        positions: Positions | None = None,
    ) -> None:
        self.dataset = dataset
        self.name = name
        self.kind = kind
        self._films = films
        self._film_size = film_size
        self._chosen = positions
        kept = dataset.manifest.films_kept
        self._members = members_of(kind, films=kept if films else "none")

    @cached_property
    def positions(self) -> Positions:
        if self._chosen is not None:
            return self._chosen
        return np.arange(self.dataset.manifest.kind(self.name, self.kind).samples, dtype=np.int64)

    @cached_property
    def columns(self) -> Columns:
        """The facts of these samples (names: ``columns_of.py``), without reading a tar."""
        whole = self._whole
        return whole if self._chosen is None else whole.take(self._chosen)

    @property
    def _whole(self) -> Columns:
        return self.dataset.columns(self.name, self.kind)

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, position: int) -> Sample: ...
    @overload
    def __getitem__(self, position: slice) -> "Split": ...
    def __getitem__(self, position: int | slice) -> "Sample | Split":
        if isinstance(position, slice):
            return self._choose(self.positions[position])
        if self._film_size is None:
            return decode(self.members(position))
        facts = self.facts(position)
        others = [name for name in self._members if name != SAMPLE_MEMBER]
        prefixes = self._prefixes(facts, self._film_size)
        return assemble(facts, self._read(self._at(position), others, prefixes))

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def where(self, condition: Mask | Callable[[Columns], Mask]) -> "Split":
        """The samples for which a mask over ``columns`` is True, or a function of them gives it."""
        mask = np.asarray(condition(self.columns) if callable(condition) else condition)
        if mask.dtype != np.bool_ or mask.shape != (len(self),):
            raise ContractError(
                f"where: a mask is bool of ({len(self)},), this is {mask.dtype} of {mask.shape}"
            )
        return self._choose(self.positions[mask])

    def loader(
        self,
        batch_size: int,
        view: "str | View",
        *,
        rank: int | None = None,
        world_size: int | None = None,
        workers: int = 0,
        seed: int = 0,
        training: bool = True,
    ) -> "Loader":
        """Batches of ``batch_size`` samples a rank, as torch tensors: see ``loader.py``."""
        from cxrfuture_data.loader import make_loader

        return make_loader(
            self,
            view,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
            workers=workers,
            seed=seed,
            training=training,
        )

    def members(self, position: int) -> dict[str, Any]:
        """What stock WebDataset gives of a sample: its key and the bytes of its members."""
        return self._read(self._at(position), self._members, {})

    def key(self, position: int) -> str:
        """The key of a sample, without reading it."""
        return self._key(self._at(position)).decode()

    def facts(self, position: int) -> dict[str, Any]:
        """``sample.json`` alone, without the tensors and films."""
        at = self._at(position)
        return read_facts(self._member(at, SAMPLE_MEMBER, None), self._key(at).decode())

    def shard(self, position: int) -> str:
        """The shard a sample lies in, as ``train/pair-000000.tar``."""
        places = self._whole.places
        return f"{self.name}/{places.shards[places.shard[self._at(position)]]}"

    def find(self, key: str) -> int:
        """The position of a key among these."""
        at = self._whole.find(key)
        found = np.flatnonzero(self.positions == (-1 if at is None else at))
        if len(found) == 0:
            raise ContractError(f"no sample {key!r} in {self.name}; it has {len(self)} others")
        return int(found[0])

    def _choose(self, positions: Positions) -> "Split":
        return Split(
            self.dataset,
            self.name,
            self.kind,
            films=self._films,
            film_size=self._film_size,
            positions=positions,
        )

    def _at(self, position: int) -> int:
        """Position among these -> in the columns."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"sample {position} of {len(self)}")
        return int(self.positions[position])

    def _key(self, at: int) -> bytes:
        return self._whole.key_bytes(np.array([at]))[0]

    def _prefixes(self, facts: Mapping[str, Any], size: int) -> dict[str, int]:
        """The bytes to read of members that hold a film as levels."""
        return {
            role + FILM_SUFFIXES["levels"]: level_end(
                facts["key"], role, dict(facts[role]["levels"]), size
            )
            for role in FILMS_OF_KIND[self.kind]
            if facts[role] is not None and facts[role]["levels"] is not None
        }

    def _read(self, at: int, names: Sequence[str], prefixes: Mapping[str, int]) -> dict[str, Any]:
        """Members whole, or the first bytes of those in ``prefixes``."""
        members: dict[str, Any] = {"__key__": self._key(at).decode()}
        for name in names:
            members[name] = self._member(at, name, prefixes.get(name))
        return members

    def _member(self, at: int, name: str, prefix: int | None) -> bytes:
        places = self._whole.places
        column = places.members.index(name)
        size = int(places.size[at, column])
        member = Member(at, column, self._key(at) + b"." + name.encode(), size)
        return read_member(self._shards, member, prefix)

    @cached_property
    def _shards(self) -> Shards:
        places = self._whole.places
        if not set(self._members) <= set(places.members):
            raise ContractError(
                f"{self.name}/{self.kind}: members {places.members}, and not {self._members}; "
                "rebuild the dataset"
            )
        columns = [places.members.index(name) for name in self._members]
        blocks = block_numbers(places.shard)
        return self.dataset.source.shards(self.name, places, columns, blocks)

    def close(self) -> None:
        """Close the tars this process holds open."""
        if "_shards" in self.__dict__:
            self._shards.close()

    def __getstate__(self) -> dict[str, Any]:
        """Without memory maps and open files: another process makes its own."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_shards", "columns")
        }

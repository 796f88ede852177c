"""Tars -> the arrays of a batch, written in place: the fast form of ``collate``.

Facts come from the columns, a row a sample; tensors from one read a sample, whose tar header and
safetensors header prove what was read; hours are filled for all samples at once. No JSON is parsed
but one header of tensors for each distinct shape.
"""

from functools import cached_property

import numpy as np

from cxrfuture_data.collate import film_size, view_rule
from cxrfuture_data.event_fields import EventFields
from cxrfuture_data.film_fields import FilmFields
from cxrfuture_data.order import Positions, block_numbers
from cxrfuture_data.sample import Array
from cxrfuture_data.scalar_fields import pack_rows, scalar_fields
from cxrfuture_data.schema import FILMS_OF_KIND, TENSORS_MEMBER, ContractError
from cxrfuture_data.slot import Arrangement, arrange
from cxrfuture_data.source import Shards
from cxrfuture_data.split import Split
from cxrfuture_data.tensor_fields import (
    GeneratedFields,
    HourFields,
    Job,
    LatentFields,
    Shape,
    StaticFields,
)
from cxrfuture_data.tensor_reader import Target, TensorReader
from cxrfuture_data.view import View

KNOWN_ARRANGEMENTS = 1024  # kept: batches of windows with events seldom repeat one
TensorFields = LatentFields | HourFields | EventFields | StaticFields | GeneratedFields


class Filler:
    """Reads for one view; positions are those of the columns. One a process and thread: it keeps
    files open and memory to work in."""

    def __init__(self, split: Split, view: View) -> None:
        if split.kind != view.kind:
            raise ContractError(
                f"the view is of {view.kind} samples, these are {split.kind}; name another view"
            )
        data = split.dataset
        self.split = split
        self.columns = data.columns(split.name, split.kind)
        none = scalar_fields(view.kind, self.columns.take(np.zeros(0, np.int64)))
        self.scalars = {name: (field.dtype, field.shape[1:]) for name, field in none.items()}
        self.kind = view.kind
        self._arrangements: dict[tuple[int, ...], Arrangement] = {}
        roles, latent = FILMS_OF_KIND[view.kind], tuple(data.manifest.latent.shape)
        self.events: EventFields | None = None
        self.fields: list[TensorFields] = [LatentFields(view, roles, latent)]
        if view.kind == "image":
            self.fields.append(StaticFields(self.columns))
        else:
            rule = view_rule(data, view)
            self.fields.append(HourFields(rule, self.columns, view))
            self.events = EventFields(view, self.columns, data)
            self.fields.append(self.events)
        if view.kind == "stay":
            made_from = data.manifest.made_from
            self.fields.append(GeneratedFields(view, self.columns, made_from, latent))
        size, kept = film_size(data, view), data.manifest.films_kept
        self.films = [
            FilmFields(role, kept, size, self.columns, view.augment.get(role)) for role in roles
        ]
        self.has_tensors = (
            view.latents != "none" or view.hours or view.events != "none" or view.kind == "image"
        )
        self.reader = TensorReader(view.kind, self.columns, latent)
        names = [TENSORS_MEMBER] if self.has_tensors else []
        names += [film.name for film in self.films if size]
        self.members = [self.columns.places.members.index(name) for name in names]
        self.blocks = block_numbers(self.columns.places.shard)

    @cached_property
    def packed(self) -> Array:
        """(N,): the fields of every sample that columns alone give. The loader's own process has no
        need of them while workers fill."""
        return pack_rows(scalar_fields(self.kind, self.columns))

    @cached_property
    def shards(self) -> Shards:
        """Opened with the first sample."""
        source, places = self.split.dataset.source, self.columns.places
        return source.shards(self.split.name, places, self.members, self.blocks)

    def expect(self, positions: Positions) -> None:
        """Say which samples come next, in their order, so that far ones are fetched ahead."""
        numbers = self.blocks[positions]
        _, first = np.unique(numbers, return_index=True)
        self.shards.expect(numbers[np.sort(first)].tolist())

    def arrangement(self, positions: Positions) -> Arrangement:
        """How the arrays of the batch of these samples lie in a slot."""
        return self.arrangement_of(len(positions), positions)

    def arrangement_of(self, count: int, positions: Positions) -> Arrangement:
        """That of ``count`` samples, none longer than the longest of these."""
        lengths = (count, *[fields.longest(positions) for fields in self.fields])
        known = self._arrangements.get(lengths)
        if known is None:
            if len(self._arrangements) >= KNOWN_ARRANGEMENTS:
                self._arrangements.clear()
            known = self._arrangements[lengths] = arrange(self._shapes(*lengths))
        return known

    def _shapes(self, count: int, *longest: int) -> dict[str, Shape]:
        found: dict[str, Shape] = {"is_padding": ((count,), np.bool_)}
        for name, (dtype, lengths) in self.scalars.items():
            found[name] = ((count, *lengths), dtype)
        for fields, length in zip(self.fields, longest, strict=True):
            found |= fields.shapes(count, length)
        for film in self.films:
            found |= film.shapes(count)
        return found

    def fill(self, job: Job) -> None:
        """Write every array but is_padding, whatever it held before."""
        rows = self.packed[job.positions]
        for name in self.scalars:
            job.out[name][:] = rows[name]
        if self.has_tensors:
            self._read_tensors(job)
        for fields in self.fields:
            fields.finish(job)
        for film in self.films:
            if film.size:
                film.fill(job, self.shards)

    def _read_tensors(self, job: Job) -> None:
        targets: dict[str, Target] = {}
        for fields in self.fields:
            targets |= fields.begin(job)
        has_events = self.events is not None and job.out["is_event"].size > 0
        add = self.events.add if self.events is not None and has_events else None
        self.reader.read(self.shards, job.positions, job.keys, targets, add)

    def close(self) -> None:
        """Close what this process holds open."""
        if "shards" in self.__dict__:
            self.shards.close()

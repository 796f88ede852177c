"""Batches of torch tensors from a split, in an order that seed, epoch and position alone decide.

    loader = dataset.split("train", "pair").loader(64, "ddl_cxr.pair", seed=0, workers=2)
    for batch in loader: ...                  # one epoch; the next ``for`` is the next epoch
    state = loader.state_dict()               # after any batch: five integers, alike on every rank
    loader.load_state_dict(state)             # goes on with the next batch, on as many ranks as now

The samples of a global step, ``world_size * batch_size`` of them, do not depend on ranks or
workers. In training an epoch is shuffled and cut to whole steps; otherwise it is in the order of
keys and its last step padded, so every sample comes exactly once where ``is_padding`` is False.
The only module of this package that needs torch.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch

from cxrfuture_data.batch import BATCH_OF_KIND, AnyBatch, PairBatch, StayBatch
from cxrfuture_data.crew import Crew, Task
from cxrfuture_data.fill import Filler
from cxrfuture_data.order import Order, Positions, Step, epoch_order
from cxrfuture_data.schema import ContractError
from cxrfuture_data.slot import SlotPool, arrays_over
from cxrfuture_data.split import Split
from cxrfuture_data.tensor_fields import Draw, Job
from cxrfuture_data.view import View, find_view
from cxrfuture_data.worker import setup_of

TensorBatch: TypeAlias = AnyBatch[torch.Tensor]
STATE_KEYS = ("seed", "epoch", "position", "samples", "fingerprint")


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """``batch_size``: samples of one rank. ``pinned``: in memory that CUDA copies from."""

    batch_size: int
    rank: int
    world_size: int
    workers: int
    seed: int
    training: bool
    pinned: bool


def make_loader(
    split: Split,
    view: str | View,
    *,
    batch_size: int,
    rank: int | None,
    world_size: int | None,
    workers: int,
    seed: int,
    training: bool,
) -> "Loader":
    """Without ``rank`` and ``world_size`` those of torchrun's environment, or one rank."""
    options = LoaderOptions(
        batch_size=batch_size,
        rank=int(os.environ.get("RANK", 0)) if rank is None else rank,
        world_size=int(os.environ.get("WORLD_SIZE", 1)) if world_size is None else world_size,
        workers=workers,
        seed=seed,
        training=training,
        pinned=torch.cuda.is_available(),
    )
    return Loader(split, find_view(view), options)


def gather_events(batch: TensorBatch, table: torch.Tensor) -> torch.Tensor:
    """(B, E, D) on the table's device, 0 where there is no event: the embeddings of a view with
    ``events="rows"``. table: (R, D), once a run ``torch.tensor(dataset.embeddings, device=...)``.
    """
    if not isinstance(batch, PairBatch | StayBatch):
        raise ContractError("an image has no events; gather those of pairs or stays")
    row = batch.event_row.to(table.device)
    vectors = table[row.clamp(min=0)]
    return vectors.masked_fill((row < 0)[..., None], 0)


class Loader:
    """Iterates over epochs, one a ``for``; goes on within an epoch that was left or loaded."""

    def __init__(self, split: Split, view: View, options: LoaderOptions) -> None:
        self.split = split
        self.view = view
        self.options = options
        self.epoch = 0
        self.position = 0  # samples of the epoch that all ranks together have been given
        self._turn = 0
        self._crew: Crew | None = None
        if options.workers < 0:
            raise ContractError(f"loader: {options.workers} workers; give 0 or more")
        try:
            order = self._order(0)
        except ValueError as error:
            raise ContractError(f"loader: {error}") from None
        if options.training and order.steps == 0:
            raise ContractError(
                f"{split.name}/{split.kind} has {len(split)} samples, fewer than a batch of "
                f"{options.batch_size} on {options.world_size} ranks; lower the batch size or "
                "build more samples"
            )
        self._filler = Filler(split, view)

    def __len__(self) -> int:
        """The batches of a whole epoch, as many on every rank."""
        return self._order(0).steps

    def __iter__(self) -> Iterator[TensorBatch]:
        self._turn += 1
        return self._batches(self._turn)

    def _batches(self, turn: int) -> Iterator[TensorBatch]:
        order, epoch_order = self._order(self.position), self._epoch_order()
        steps = [order.step(number, epoch_order) for number in range(order.steps)]
        made = self._made_here(steps) if self.options.workers == 0 else self._made_by_crew(steps)
        start = self.position
        if not steps:
            self.epoch, self.position = self.epoch + 1, 0
        for number in range(1, len(steps) + 1):
            if turn != self._turn:
                raise RuntimeError(
                    "the loader was iterated anew, set to an epoch, loaded or closed; "
                    "one iteration at a time"
                )
            batch = next(made)
            self.position = start + number * order.step_samples
            if number == len(steps):
                self.epoch, self.position = self.epoch + 1, 0  # so says the state after the last
            yield batch

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self._turn += 1
        self.epoch, self.position = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader is, after the batch given last: alike on every rank. Batches made ahead
        and not given are not counted."""
        return {
            "seed": self.options.seed,
            "epoch": self.epoch,
            "position": self.position,
            "samples": len(self.split),
            "fingerprint": self._fingerprint,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where a loader over the same samples was, whatever its ranks, workers and batch
        size were."""
        missing = sorted(set(STATE_KEYS) - state.keys())
        if missing:
            raise ContractError(f"state of the loader: no {missing[0]}; pass what state_dict gave")
        own = self.state_dict()
        for name in ("samples", "fingerprint", "seed"):
            if state[name] != own[name]:
                raise ContractError(
                    f"state of the loader: {name} {state[name]}, here {own[name]}; it is of other "
                    "samples or another seed: load the state of this dataset, split and seed"
                )
        if not 0 <= state["position"] <= state["samples"] or state["epoch"] < 0:
            raise ContractError(
                f"state of the loader: position {state['position']} in epoch {state['epoch']} "
                f"of {state['samples']} samples; pass what state_dict gave"
            )
        self._turn += 1
        self.epoch, self.position = state["epoch"], state["position"]

    def close(self) -> None:
        """End the workers and close files. Batches given stay."""
        self._turn += 1
        if self._crew is not None:
            self._crew.close()
            self._crew = None
        if "_pool" in self.__dict__:
            self._pool.close()
            del self.__dict__["_pool"]
        self._filler.close()

    def _order(self, start: int) -> Order:
        options = self.options
        return Order(
            count=len(self.split),
            batch_size=options.batch_size,
            rank=options.rank,
            ranks=options.world_size,
            drop_last=options.training,
            start=start,
        )

    def _epoch_order(self) -> Positions:
        """Positions in the columns, in the order of the epoch."""
        chosen = self.split.positions
        if not self.options.training:
            return chosen
        blocks = self._filler.blocks[chosen]
        seed, epoch = self.options.seed, self.epoch
        return chosen[epoch_order(blocks, seed=seed, epoch=epoch)]

    @cached_property
    def _fingerprint(self) -> int:
        """Tells the samples of this loader from others."""
        split = self.split
        text = f"{split.dataset.manifest.made_from} {split.name} {split.kind}".encode()
        found = hashlib.sha256(text + split.positions.tobytes()).digest()
        return int.from_bytes(found[:7], "little")

    @cached_property
    def _pool(self) -> SlotPool:
        largest = self._filler.arrangement_of(self.options.batch_size, self.split.positions)
        return SlotPool(largest.size, self.options.pinned)

    def _made_here(self, steps: list[Step]) -> Iterator[TensorBatch]:
        if steps:
            self._filler.expect(np.concatenate([step.positions for step in steps]))
        draw = Draw(self.options.seed, self.epoch, self.options.training)
        for step in steps:
            memory = self._pool.lend(self._pool.take())
            arrays = arrays_over(memory, self._filler.arrangement(step.positions))
            keys = self._filler.columns.key_bytes(step.positions)
            self._filler.fill(Job(step.positions, keys, draw, arrays))
            del memory  # or the slot would not come back while the next one is made
            yield self._batch(step, arrays, keys)
            del arrays

    def _made_by_crew(self, steps: list[Step]) -> Iterator[TensorBatch]:
        workers = self.options.workers
        if self._crew is None or not self._crew.members:
            options = self.options
            setup = setup_of(self.split, self.view, Draw(options.seed, 0, options.training))
            self._crew = Crew(setup, workers, self._pool)
        tasks = [Task(self.epoch, step.positions.tolist()) for step in steps]
        shares = [tasks[worker::workers] for worker in range(workers)]
        self._crew.expect([[p for task in share for p in task.positions] for share in shares])
        for step, slot in zip(steps, self._crew.run(tasks), strict=True):
            arrays = arrays_over(self._pool.lend(slot), self._filler.arrangement(step.positions))
            yield self._batch(step, arrays, self._filler.columns.key_bytes(step.positions))

    def _batch(self, step: Step, arrays: dict[str, Any], keys: list[bytes]) -> TensorBatch:
        arrays["is_padding"][:] = step.is_padding
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        kind = BATCH_OF_KIND[self.view.kind]
        return kind(keys=[key.decode() for key in keys], **tensors)

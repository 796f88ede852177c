"""A torch DataLoader over a dataset. The only module of this package that needs torch.

Batches are put together inside the workers, so one tensor a field crosses to the trainer. The
order depends on seed and epoch alone; for the next epoch make the next loader.
"""

from typing import TypeAlias

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from cxrfuture_data.batch import AnyBatch, collate, convert
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.order import Order, Step, epoch_order
from cxrfuture_data.schema import ContractError

TensorBatch: TypeAlias = AnyBatch[torch.Tensor]


def load(
    dataset: Dataset,
    split: str,
    kind: str,
    batch_size: int,
    *,
    seed: int,
    epoch: int = 0,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    shuffle: bool = True,
    drop_last: bool = True,
    start_batch: int = 0,
    film_size: int | None = None,
) -> "DataLoader[TensorBatch]":
    """One epoch of one rank, from ``start_batch`` on.

    ``drop_last=True`` (training): full batches, as many on every rank. ``drop_last=False``
    (evaluation): every sample exactly once over all ranks where ``is_padding`` is False. With a
    ``film_size``, pixels, batches hold films too; of films kept as levels no more is read.
    """
    batches = _Batches(dataset, split, kind, film_size)
    count = len(batches.samples)
    order = Order(count=count, batch_size=batch_size, rank=rank, ranks=ranks, drop_last=drop_last)
    if order.steps == 0:
        raise ContractError(
            f"{split}/{kind} has {count} samples, fewer than a batch of {batch_size} on {ranks} "
            "ranks; lower the batch size or build more samples"
        )
    positions = epoch_order(count, seed=seed, epoch=epoch, shuffle=shuffle)
    steps = [order.step(number, positions) for number in range(start_batch, order.steps)]
    return DataLoader(
        batches,
        sampler=steps,  # any iterable of what __getitem__ takes
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(seed),  # else the global generator would advance
        pin_memory=False,
    )


class _Batches(TorchDataset[TensorBatch]):
    """A step of the order -> its batch."""

    def __init__(self, dataset: Dataset, split: str, kind: str, film_size: int | None) -> None:
        self.dataset = dataset
        self.film_size = film_size
        films = film_size is not None
        self.samples = dataset.samples(split, kind, films=films, film_size=film_size)

    def __getitem__(self, step: Step) -> TensorBatch:
        samples = [self.samples[int(position)] for position in step.positions]
        batch = collate(samples, self.dataset, step.is_padding, self.film_size)
        return convert(batch, torch.from_numpy)


def _as_it_is(batch: TensorBatch) -> TensorBatch:
    return batch

"""The limit: the same batches from arrays held in memory."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from etl.bench_peer.reading import Arrays, Epochs, Item, Options, Tensors, collate, main

SHARD = 500  # samples that count as one shard: those of the dataset


class _Items(Dataset[Item]):
    def __init__(self, folder: Path) -> None:
        self._arrays = Arrays(folder, in_memory=True)

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, number: int) -> Item:
        return self._arrays.item(number, number // SHARD)


def open_batches(options: Options) -> Epochs:
    items = _Items(Path(options.source))
    generator = torch.Generator().manual_seed(options.seed)

    def epoch(_: int) -> Iterator[Tensors]:
        yield from DataLoader(
            items,
            options.batch_size,
            shuffle=True,
            num_workers=options.workers,
            collate_fn=collate,
            generator=generator,
        )

    return epoch


if __name__ == "__main__":
    main(open_batches)

"""MosaicML Streaming on shards of its own, uncompressed; S3_ENDPOINT_URL says where its S3 is.

It imports torchvision, whose wheel looks for CUDA: beside a CPU torch its import fails for want of
operators that nothing here calls, so they are declared first.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etl.bench_peer.reading import Arrays, Epochs, Item, Options, Tensors, collate, main

_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
if torch.version.cuda is None:
    for name in ("nms", "qnms"):
        _OPERATORS.define(f"{name}(Tensor boxes, Tensor scores, float overlap) -> Tensor")

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset  # noqa: E402
from streaming.base.util import clean_stale_shared_memory  # noqa: E402

COLUMNS = {
    "latents": "ndarray:float16:{}",
    "hours": "ndarray:float32",
    "labels": "ndarray:int8:{}",
    "gap": "float32",
    "number": "int",
}


def prepare(folder: Path, target: Path) -> None:
    arrays = Arrays(folder)
    shapes = {
        name: ",".join(map(str, value.shape))
        for name, value in arrays.item(0, 0).items()
        if isinstance(value, np.ndarray)
    }
    columns = {name: kind.format(shapes.get(name, "")) for name, kind in COLUMNS.items()}
    with MDSWriter(out=str(target), columns=columns) as writer:
        for number in range(len(arrays)):
            item = arrays.item(number, 0)
            gap = np.float32(item["gap"])
            found = {name: np.array(item[name]) for name in shapes}
            writer.write({**found, "gap": gap, "number": number})


def _collate(ends: Any, items: Sequence[Item]) -> Tensors:
    """``ends``: of each shard, the number after its last item."""
    shards = np.searchsorted(ends, [item["number"] for item in items], side="right")
    pairs = zip(items, shards, strict=True)
    return collate([{**item, "shard": shard} for item, shard in pairs])


def open_batches(options: Options) -> Epochs:
    is_remote = "://" in options.source
    clean_stale_shared_memory()  # of a run that was killed
    dataset = StreamingDataset(
        remote=options.source if is_remote else None,
        local=options.cache if is_remote else options.source,
        shuffle=True,
        shuffle_seed=options.seed,
        batch_size=options.batch_size,
    )
    shards = json.loads((Path(options.prepared) / "index.json").read_text())["shards"]
    loader = StreamingDataLoader(
        dataset,
        batch_size=options.batch_size,
        num_workers=options.workers,
        collate_fn=partial(_collate, np.cumsum([shard["samples"] for shard in shards])),
    )

    def epoch(_: int) -> Iterator[Tensors]:
        yield from loader  # it counts the epochs itself

    return epoch


if __name__ == "__main__":
    main(open_batches, prepare)

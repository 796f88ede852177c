"""LitData on chunks of its own, items as tensors. The environment holds its switches:
LITDATA_BATCH_DECODE and LITDATA_ITEM_SHUFFLE_WINDOW, of which 0 and 0 are fastest here."""

import json
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from litdata import StreamingDataLoader, StreamingDataset, optimize
from litdata.streaming import downloader

from etl.bench_peer.reading import Arrays, Epochs, Item, Options, Tensors, collate, main

CHUNK = "64MB"  # as its documentation has it
TENSORS = ("latents", "hours", "labels")


def _item(arrays: Arrays, number: int) -> dict[str, Any]:
    item = arrays.item(number, number)
    tensors = {name: torch.from_numpy(np.array(item[name])) for name in TENSORS}
    return tensors | {"gap": float(item["gap"]), "number": number}


def prepare(folder: Path, target: Path) -> None:
    arrays = Arrays(folder)
    optimize(
        partial(_item, arrays),
        list(range(len(arrays))),
        str(target),
        chunk_bytes=CHUNK,
        num_workers=1,
        reorder_files=False,
        verbose=False,
    )


def _collate(ends: Any, items: Sequence[Item]) -> Tensors:
    """``ends``: of each chunk, the number after its last item."""
    chunks = np.searchsorted(ends, [item["number"] for item in items], side="right")
    pairs = zip(items, chunks, strict=True)
    return collate([{**item, "shard": chunk} for item, chunk in pairs])


def open_batches(options: Options) -> Epochs:
    more: dict[str, Any] = {}
    if "://" in options.source:
        # Its downloader refuses plain http, and no option of the dataset reaches that setting.
        downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True
        more["cache_dir"] = options.cache
        more["storage_options"] = {
            "endpoint_url": os.environ["AWS_ENDPOINT_URL_S3"],
            "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        }
    dataset = StreamingDataset(options.source, shuffle=True, seed=options.seed, **more)
    chunks = json.loads((Path(options.prepared) / "index.json").read_text())["chunks"]
    loader = StreamingDataLoader(
        dataset,
        batch_size=options.batch_size,
        num_workers=options.workers,
        collate_fn=partial(_collate, np.cumsum([chunk["chunk_size"] for chunk in chunks])),
    )

    def epoch(_: int) -> Iterator[Tensors]:
        yield from loader  # it counts the epochs itself

    return epoch


if __name__ == "__main__":
    main(open_batches, prepare)

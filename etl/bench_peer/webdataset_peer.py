"""Stock webdataset on the dataset's own tars."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import webdataset

from etl.bench_peer.reading import Epochs, Item, Options, Tensors, collate, main
from etl.bench_peer.tar_sample import read_item

BUFFER = 1000  # samples shuffled together, as its documentation has it


def _decode(sample: Mapping[str, Any]) -> Item:
    return read_item(sample, sample["__url__"])


def open_batches(options: Options) -> Epochs:
    """``source``: a dataset's folder, or its URL, where dataset.json names the shards."""
    if "://" in options.source:
        with webdataset.gopen(f"{options.source}/dataset.json") as stream:
            manifest = json.load(stream)
    else:
        manifest = json.loads((Path(options.source) / "dataset.json").read_text())
    shards = [shard["name"] for shard in manifest["splits"]["train"]["pair"]["shards"]]

    def epoch(number: int) -> Iterator[Tensors]:
        dataset = (
            webdataset.WebDataset(
                [f"{options.source}/train/{name}" for name in shards],
                shardshuffle=len(shards),
                seed=options.seed + number,
                empty_check=False,
            )
            .shuffle(BUFFER, seed=options.seed + number)
            .map(_decode)
            .batched(options.batch_size, collation_fn=collate)
        )
        yield from webdataset.WebLoader(dataset, batch_size=None, num_workers=options.workers)

    return epoch


if __name__ == "__main__":
    main(open_batches)

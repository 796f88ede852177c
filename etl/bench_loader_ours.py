"""Our loader reading the samples of its bench: the whole view `ddl_cxr.pair`, which imputes the
hours, writes them out as 79 columns and normalises them, where peers give them as measured; or, as
the environment asks, as they do."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

import torch

from cxrfuture_data import VIEWS, open_dataset
from etl.bench_loader_data import SAMPLES_PER_SHARD
from etl.bench_peer.reading import Epochs, Options, Tensors, main

VIEW = replace(VIEWS["ddl_cxr.pair"], hours_as_measured="CXRFUTURE_BENCH_HOURS" in os.environ)

if any("://" in argument for argument in sys.argv):
    import_module("urllib3")  # imported when a URL is opened; no way's imports count


def open_batches(options: Options) -> Epochs:
    """``options.source``: a dataset's folder, or its URL, whose shards are kept in the cache."""
    is_remote = "://" in options.source
    data = open_dataset(options.source, cache=options.cache if is_remote else None)
    loader = data.split("train", "pair").loader(
        options.batch_size, VIEW, seed=options.seed, workers=options.workers
    )

    def epoch(_: int) -> Iterator[Tensors]:
        for batch in loader:  # it counts the epochs itself
            shards = [int(key, 16) // SAMPLES_PER_SHARD for key in batch.keys]
            yield {"labels": batch.labels, "shard": torch.tensor(shards)}

    return epoch


if __name__ == "__main__":
    main(open_batches)

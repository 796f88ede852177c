"""NVIDIA Energon on the dataset's own tars, in a folder of its own beside the index it wants."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from megatron.energon import (
    Cooker,
    DefaultTaskEncoder,
    WorkerConfig,
    get_loader,
    get_train_dataset,
    stateless,
)

from etl.bench_peer.reading import Epochs, Item, Options, Tensors, collate, main
from etl.bench_peer.tar_sample import read_item

BUFFER = 1000  # samples shuffled together, as its documentation has it


def prepare(dataset: Path, target: Path) -> None:
    """Copy the tars, and let its own command index them."""
    target.mkdir(parents=True)
    for tar in sorted((dataset / "train").glob("*.tar")):
        (target / tar.name).hardlink_to(tar)
    command = [str(Path(sys.executable).with_name("energon")), "prepare", str(target)]
    command += ["--non-interactive", "--split-ratio", "1,0,0", "--num-workers", "2"]
    command += ["--sample-type", "CrudeWebdataset"]
    subprocess.run(command, check=True, stdout=sys.stderr)


@stateless
def _decode(sample: Mapping[str, Any]) -> Any:
    return read_item(sample, sample["__sources__"][0].shard_name)


class _Encoder(DefaultTaskEncoder):
    cookers = (Cooker(_decode),)
    decoder = None

    @stateless
    def batch(self, samples: Sequence[Item]) -> Tensors:
        return collate(samples)


def open_batches(options: Options) -> Epochs:
    def epoch(number: int) -> Iterator[Tensors]:
        config = WorkerConfig(
            rank=0,
            world_size=1,
            num_workers=options.workers,
            seed_offset=options.seed + number,
        )
        dataset = get_train_dataset(
            options.source,
            worker_config=config,
            batch_size=options.batch_size,
            shuffle_buffer_size=BUFFER,
            max_samples_per_sequence=100,
            task_encoder=_Encoder(),
            repeat=False,
        )
        yield from get_loader(dataset)

    return epoch


if __name__ == "__main__":
    main(open_batches, prepare)

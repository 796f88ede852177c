"""Read a dataset with Energon, in its own environment: energon_reader.py DATASET.

Prints JSON: the digest of every sample by key, as each way of reading gives it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from megatron.energon import (
    Cooker,
    DefaultTaskEncoder,
    WorkerConfig,
    get_loader,
    get_savable_loader,
    get_train_dataset,
    get_val_dataset,
    stateless,
)
from sample_values import digest_of

from cxrfuture_data.energon import PART_OF_SPLIT, cook
from cxrfuture_data.manifest import read_manifest

LATENTS_ONLY = ["sample.json", "tensors.safetensors"]


class Typed(DefaultTaskEncoder):
    cookers = (Cooker(stateless(cook)),)

    @stateless
    def batch(self, samples: list[Any]) -> list[tuple[str, str]]:
        return [(found["sample"].key, digest_of(found["sample"])) for found in samples]


def read_split(folder: Path, split: str, kind: str, workers: int) -> list[tuple[str, str]]:
    """Once through, in order."""
    dataset = get_val_dataset(
        folder,
        split_config=f"{kind}.json",
        split_part=PART_OF_SPLIT[split],
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=workers),
        batch_size=2,
        task_encoder=Typed(),
    )
    return [found for batch in get_loader(dataset) for found in batch]


def training_loader(folder: Path, kind: str, **more: Any) -> Any:
    dataset = get_train_dataset(
        folder,
        split_config=f"{kind}.json",
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=0),
        batch_size=2,
        shuffle_buffer_size=4,
        max_samples_per_sequence=None,
        task_encoder=Typed(),
        **more,
    )
    return get_savable_loader(dataset)


def take(loader: Any, batches: int) -> list[str]:
    found = iter(loader)
    return [key for _ in range(batches) for key, _ in next(found)]


def main(folder: Path) -> None:
    splits = read_manifest(folder).splits
    kinds = [(split, kind) for split in splits for kind in splits[split]]
    report: dict[str, Any] = {
        f"{split}/{kind}": read_split(folder, split, kind, workers=0) for split, kind in kinds
    }
    report["two workers"] = sorted(read_split(folder, "train", "pair", workers=2))
    once = training_loader(folder, "pair", repeat=False, part_filter=LATENTS_ONLY)
    report["without films"] = sorted(found for batch in once for found in batch)
    report["uninterrupted"] = take(training_loader(folder, "pair"), 9)
    loader = training_loader(folder, "pair")
    begun = take(loader, 4)
    resumed = training_loader(folder, "pair")
    resumed.restore_state_rank(loader.save_state_rank())
    report["resumed"] = begun + take(resumed, 5)
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""NVIDIA Energon reads the same tars: a folder ``.nv-meta``, and a file of offsets beside each tar.

One folder serves every kind: a kind is Energon's ``split_config``, as ``pair.json``. Its
``index.sqlite``, which only joined datasets need, is left to `energon prepare --tar-index-only`.
Nothing here imports Energon. Written for 7.4.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data.index import Index, read_index
from cxrfuture_data.manifest import Manifest, index_name
from cxrfuture_data.publish import publish
from cxrfuture_data.record import decode

SIDECAR = ".nv-meta"
PART_OF_SPLIT = {"train": "train", "valid": "val", "test": "test"}  # Energon's names of the splits
TAR_BLOCK = 512
# Members come as they lie in the tar: its own decoder would make films RGB, and floating point.
_DATASET = b"__module__: megatron.energon\n__class__: CrudeWebdataset\ndecoder: null\n"


def cook(crude: Mapping[str, Any]) -> dict[str, Any]:
    """For ``Cooker(stateless(cook))``: a crude sample -> Energon's own keys, and ``sample``, typed.

    With Energon's keys its loader can save and restore its state.
    """
    own = {name: value for name, value in crude.items() if name.startswith("__")}
    return own | {"sample": decode(crude)}


def offsets_name(shard: str) -> str:
    """The file of offsets beside a tar."""
    return f"{shard}.idx"


def offsets(index: Index) -> bytes:
    """Where each sample begins in its tar, with its headers, and where the last ends: uint64."""
    ends = index.offsets[:, -1] + index.sizes[:, -1]
    padded = -(-ends // TAR_BLOCK) * TAR_BLOCK
    return np.concatenate([[0], padded]).astype("<u8").tobytes()


def sidecar(manifest: Manifest) -> dict[str, bytes]:
    """The files of ``.nv-meta``: samples of each shard, shards of each kind, how to read them."""
    counts = {f"{split}/{shard.name}": shard.samples for split, _, shard in manifest.shards()}
    files = {".info.json": _json({"shard_counts": counts}), "dataset.yaml": _DATASET}
    for kind in sorted({kind for kinds in manifest.splits.values() for kind in kinds}):
        parts = {
            PART_OF_SPLIT[split]: [f"{split}/{shard.name}" for shard in kinds[kind].shards]
            for split, kinds in manifest.splits.items()
            if kind in kinds
        }
        files[f"{kind}.json"] = _json({"split_parts": parts})
    return files


def has_sidecar(dataset: Path, manifest: Manifest) -> bool:
    """Whether every file that ``write_sidecar`` publishes is there."""
    names = [f"{SIDECAR}/{name}" for name in sidecar(manifest)]
    names += [f"{split}/{offsets_name(shard.name)}" for split, _, shard in manifest.shards()]
    return all((dataset / name).exists() for name in names)


def write_sidecar(dataset: Path, manifest: Manifest) -> None:
    """Publish what Energon reads, in place of what an earlier build or Energon itself left."""
    shutil.rmtree(dataset / SIDECAR, ignore_errors=True)
    files = {f"{SIDECAR}/{name}": data for name, data in sidecar(manifest).items()}
    for split, _, shard in manifest.shards():
        index = read_index(dataset / split / index_name(shard.name))
        files[f"{split}/{offsets_name(shard.name)}"] = offsets(index)
    for name, data in files.items():
        with publish(dataset / name) as part:
            part.write_bytes(data)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()

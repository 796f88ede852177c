"""Generated latents of stays, joined to batches by key: what `cxrfuture generate` wrote.

``FOLDER/stay-<split>-<seed>.safetensors`` holds ``latents``, float16 (N, C, h, w), memory-mapped;
the JSON beside it names their keys and the dataset they are of. K seeds make K latents a stay.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data.sample import Array
from cxrfuture_data.schema import SPLITS, ContractError
from cxrfuture_data.tensor_layout import PREFIX

LATENTS = "latents"


@dataclass(frozen=True, eq=False)
class GeneratedLatents:
    """``files`` of one split a list, a seed each; ``places``: key -> number of the list, row."""

    folder: Path
    files: Sequence[Sequence[Array]]
    places: Mapping[str, tuple[int, int]]

    @property
    def seeds(self) -> int:
        """K."""
        return len(self.files[0])

    def put(self, out: Array, key: str) -> None:
        """Write the (K, C, h, w) of a stay."""
        if key not in self.places:
            raise ContractError(
                f"{self.folder}: no latent of stay {key}; generate its split: "
                "cxrfuture generate RUN --kind stay"
            )
        number, row = self.places[key]
        for slot, latents in zip(out, self.files[number], strict=True):
            slot[:] = latents[row]


def open_generated(folder: Path, dataset: str) -> GeneratedLatents:
    """Of the dataset that was ``made_from`` this; splits that were not generated are not there."""
    files: list[list[Array]] = []
    places: dict[str, tuple[int, int]] = {}
    for split in SPLITS:
        paths = sorted(folder.glob(f"stay-{split}-*.safetensors"), key=_seed)
        if not paths:
            continue
        keys = [_read_record(path, dataset)["keys"] for path in paths]
        if any(found != keys[0] for found in keys):
            raise ContractError(f"{folder}: {split} latents of different stays; generate again")
        places |= {key: (len(files), row) for row, key in enumerate(keys[0])}
        files.append([_map(path, len(keys[0])) for path in paths])
    if len({len(found) for found in files}) != 1:
        counts = ", ".join(str(len(found)) for found in files) or "none"
        raise ContractError(
            f"{folder}: generated latents of {counts} seeds a split; generate every split with as "
            "many: cxrfuture generate RUN --kind stay --split all"
        )
    return GeneratedLatents(folder, files, places)


def _seed(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _read_record(path: Path, dataset: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        raise ContractError(
            f"{path.with_suffix('.json')}: cannot be read; generate again"
        ) from None
    if record["dataset"] != dataset:
        raise ContractError(f"{path}: of another dataset; generate again for this one")
    return record


def _map(path: Path, samples: int) -> Array:
    """(N, C, h, w), of which only what is read comes into memory."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(PREFIX), "little")
            entry = json.loads(file.read(min(size, 10_000)))[LATENTS]
        shape = tuple(entry["shape"])
        if entry["dtype"] != "F16" or len(shape) != 4 or shape[0] != samples:
            raise ValueError(f"{entry['dtype']} of {shape}")
        return np.memmap(path, np.float16, "r", PREFIX + size + entry["data_offsets"][0], shape)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractError(f"{path}: no file of latents ({error}); generate again") from None

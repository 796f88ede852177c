"""Draw the target latents of a whole split from a trained generator, on any number of ranks.

    cxrfuture generate RUN --dataset build/ddl_cxr/shard --split test --seed 0
    torchrun --standalone --nproc-per-node 2 -m cxrfuture generate RUN ...

``RUN/generated/<split>-<seed>.safetensors`` holds ``latents``, float16 (N, C, h, w), of the split's
real pairs in the order of their keys; the JSON beside it names the keys and what they were drawn
from. Each batch is a file of its own until all are there, so a killed run goes on where it was, and
the result does not depend on the number of ranks. Null events have no target and are left out.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import digest, file_sha256, publish, read_done, write_done
from cxrfuture_data.sample import Array
from cxrfuture_data.split import Split
from train.checkpoint import AVERAGE_FILE, MODEL_FILE, choose_checkpoint
from train.drawer import Drawer, open_drawer
from train.trained import read_state

FOLDER, LATENTS = "generated", "latents"


@dataclass(frozen=True)
class Generated:
    """``latents``: (N, C, h, w) float16, as the dataset scales them; row i is of ``keys[i]``.

    ``settings`` of the run, that had done so many ``steps``.
    """

    keys: list[str]
    latents: Array
    steps: int
    settings: dict[str, Any]


def generate_split(
    run: Path, dataset: Path, split: str, seed: int, *, batch_size: int = 16
) -> Generated:
    """Draw what is not drawn yet; the same on every rank."""
    data = open_dataset(dataset)
    pairs = real_pairs(data, split)
    if len(pairs) == 0:
        raise ContractError(f"{dataset}: no pair in {split} to generate")
    out = run / FOLDER / f"{split}-{seed}.safetensors"
    made_from = _made_from(run, data, split, seed)
    record = out.with_suffix(".json")
    if read_done(record, made_from) is None:
        ranks = PartialState(cpu=not torch.cuda.is_available())
        parts = _Parts(out.with_suffix(".parts"), made_from, len(pairs), batch_size)
        if ranks.is_main_process:
            parts.begin()
        ranks.wait_for_everyone()
        drawer = open_drawer(run, data)
        _draw(parts, drawer, pairs, seed, ranks)
        ranks.wait_for_everyone()
        if ranks.is_main_process:
            _publish(parts, out, pairs, drawer)
        ranks.wait_for_everyone()
    return read_generated(run, split, seed)


def read_generated(run: Path, split: str, seed: int) -> Generated:
    """What generate_split published."""
    path = run / FOLDER / f"{split}-{seed}.safetensors"
    try:
        facts = json.loads(path.with_suffix(".json").read_text())
        latents = load_file(path)[LATENTS].numpy()
    except (OSError, ValueError, KeyError, SafetensorError):
        raise ContractError(f"{path}: not there or not whole; generate again") from None
    if len(latents) != len(facts["keys"]) or file_sha256(path) != facts["sha256"]:
        raise ContractError(f"{path}: not the file of its record; delete both and generate again")
    return Generated(facts["keys"], latents, facts["steps"], facts["settings"])


def real_pairs(data: Dataset, split: str) -> Split:
    """Pairs of two films, in the order of their keys."""
    return data.split(split, "pair").where(lambda columns: ~columns["is_null_event"])


@dataclass(frozen=True)
class _Parts:
    """A file a batch; the record in their folder says which settings they are of."""

    folder: Path
    made_from: str
    samples: int
    batch_size: int

    def begin(self) -> None:
        """Drop parts of other settings."""
        record, made_from = self.folder / "made_from.json", digest(self.made_from, self.batch_size)
        if self.folder.exists() and read_done(record, made_from) is None:
            shutil.rmtree(self.folder)
        write_done(record, made_from)

    @property
    def starts(self) -> range:
        return range(0, self.samples, self.batch_size)

    def path(self, start: int) -> Path:
        return self.folder / f"{start:07d}.safetensors"


def _draw(parts: _Parts, drawer: Drawer, pairs: Split, seed: int, ranks: PartialState) -> None:
    """This rank's batches that are not there yet."""
    own = parts.starts[ranks.process_index :: ranks.num_processes]
    left = [start for start in own if not parts.path(start).exists()]
    title = f"generate {pairs.name}, seed {seed}"
    with progress(title, len(left), "batches", ranks.is_main_process) as advance:
        for start in left:
            chosen = pairs[start : start + parts.batch_size]
            loader = chosen.loader(
                len(chosen), drawer.task.view, rank=0, world_size=1, training=False
            )
            (batch,) = loader
            latents = drawer.draw(batch, seed)
            if not torch.isfinite(latents).all() or latents.abs().max() > np.finfo(np.float16).max:
                raise ContractError("generate: a latent is not finite; train with a lower rate")
            _save(parts.path(start), latents.half())
            loader.close()
            advance(1)


def _publish(parts: _Parts, out: Path, pairs: Split, drawer: Drawer) -> None:
    latents = torch.cat([load_file(parts.path(start))[LATENTS] for start in parts.starts])
    _save(out, latents)
    facts = {
        "keys": pairs.columns["key"].tolist(),
        "sha256": file_sha256(out),
        "steps": drawer.state.steps,
        "settings": drawer.state.settings,
        "dataset": pairs.dataset.manifest.made_from,
    }
    write_done(out.with_suffix(".json"), parts.made_from, facts)
    shutil.rmtree(parts.folder)
    say(f"generate: {len(latents):,} latents in {out}")


def _save(path: Path, latents: Tensor) -> None:
    with publish(path) as part:
        save_file({LATENTS: latents.contiguous()}, part)


def _made_from(run: Path, data: Dataset, split: str, seed: int) -> str:
    """Without the batch size, which changes no more than the last digits."""
    folder = choose_checkpoint(run)
    weights = [file_sha256(folder / name) for name in (MODEL_FILE, AVERAGE_FILE)]
    settings = read_state(folder).settings
    shards = [shard.sha256 for shard in data.manifest.kind(split, "pair").shards]
    return digest(weights, settings, shards, seed)

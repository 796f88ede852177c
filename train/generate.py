"""Draw latents for a whole split from trained generators, on any number of ranks.

    cxrfuture generate RUN --dataset build/ddl_cxr/shard --split test --seed 0
    cxrfuture generate RUN --dataset build/ddl_cxr/shard --kind stay --split all --samples 2
    torchrun --standalone --nproc-per-node 2 -m cxrfuture generate RUN ...

Of pairs the targets, of stays the film at the prediction time, from the last one and the record
since (specs ddl-cxr 3.7, 5.5). ``RUN/generated/<split>-<seed>.safetensors``, or
``stay-<split>-<seed>``, holds ``latents``, float16 (N, C, h, w), in the order of the samples' keys;
the JSON beside it names the keys and what they were drawn from. Each batch is a file of its own
until all are there, so a killed run goes on where it was, and the result does not depend on the
number of ranks. Null events have no target and stays without a film nothing to begin with: both are
left out.

With ``fold_runs`` each training patient's latents come from the run that never saw the patient
(train/fold.py).
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import PartialState
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.console import progress, say
from cxrfuture_data.generated import LATENTS
from cxrfuture_data.publish import digest, file_sha256, publish, read_done, write_done
from cxrfuture_data.sample import Array
from cxrfuture_data.split import Split
from train.checkpoint import AVERAGE_FILE, MODEL_FILE, choose_checkpoint
from train.drawer import open_drawer
from train.fold import in_fold
from train.settings import Fold
from train.trained import read_state

FOLDER = "generated"
Kind = Literal["pair", "stay"]


@dataclass(frozen=True)
class Generated:
    """``latents``: (N, C, h, w) float16, as the dataset scales them; row i is of ``keys[i]``.

    ``settings`` of the run, that had done so many ``steps``.
    """

    keys: list[str]
    latents: Array
    steps: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to draw, and by which runs."""

    run: Path
    dataset: Path
    split: str
    seed: int
    kind: Kind = "pair"
    fold_runs: Sequence[Path] = ()
    batch_size: int = 16

    @property
    def out(self) -> Path:
        """The file of latents."""
        return file_of(self.run, self.kind, self.split, self.seed)


def file_of(run: Path, kind: Kind, split: str, seed: int) -> Path:
    """Where the latents of a split lie."""
    prefix = "stay-" if kind == "stay" else ""
    return run / FOLDER / f"{prefix}{split}-{seed}.safetensors"


def generate_split(
    run: Path, dataset: Path, split: str, seed: int, *, batch_size: int = 16
) -> Generated:
    """The targets of pairs; draws what is not drawn yet; the same on every rank."""
    generate(Request(run, dataset, split, seed, batch_size=batch_size))
    return read_generated(run, split, seed)


def generate(request: Request) -> None:
    """Draw what is not drawn yet."""
    data, out = open_dataset(request.dataset), request.out
    shares = shares_of(request, data)
    made_from = _made_from(shares, request)
    if read_done(out.with_suffix(".json"), made_from) is not None:
        return
    ranks = PartialState(cpu=not torch.cuda.is_available())
    parts = _Parts(out.with_suffix(".parts"), made_from, request.batch_size)
    if ranks.is_main_process:
        parts.begin()
    ranks.wait_for_everyone()
    for number, share in enumerate(shares):
        _draw(parts, number, share, request, ranks)
    ranks.wait_for_everyone()
    if ranks.is_main_process:
        _publish(parts, shares, request)
    ranks.wait_for_everyone()


@dataclass(frozen=True)
class Share:
    """Samples that one run draws."""

    run: Path
    samples: Split


def shares_of(request: Request, data: Dataset) -> list[Share]:
    """All samples of the split by the run; or training patients by the runs that left them out."""
    if request.kind == "pair":
        samples = real_pairs(data, request.split)
    else:
        samples = data.split(request.split, "stay").where(lambda columns: columns["previous.has"])
    if len(samples) == 0:
        raise ContractError(f"{data.source}: no {request.kind} in {request.split} to generate")
    if request.split != "train" or not request.fold_runs:
        return [Share(request.run, samples)]
    folds = {run: read_state(choose_checkpoint(run)).settings["fold"] for run in request.fold_runs}
    found = {run: Fold.model_validate(fold) for run, fold in folds.items() if fold is not None}
    numbers = sorted((fold.folds, fold.number) for fold in found.values())
    count = len(request.fold_runs)
    if numbers != [(count, number) for number in range(count)]:
        raise ContractError(
            f"folds {[folds[run] for run in request.fold_runs]}: not each fold once; train a run a "
            "fold: cxrfuture train ddl_cxr --set 'fold={number: 0, folds: 2}'"
        )
    return [Share(run, in_fold(samples, fold)) for run, fold in found.items()]


def read_generated(run: Path, split: str, seed: int) -> Generated:
    """The targets of pairs that ``generate`` published."""
    path = file_of(run, "pair", split, seed)
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
    batch_size: int

    def begin(self) -> None:
        """Drop parts of other settings."""
        record, made_from = self.folder / "made_from.json", digest(self.made_from, self.batch_size)
        if self.folder.exists() and read_done(record, made_from) is None:
            shutil.rmtree(self.folder)
        write_done(record, made_from)

    def starts(self, share: Share) -> range:
        """Of its batches."""
        return range(0, len(share.samples), self.batch_size)

    def path(self, number: int, start: int) -> Path:
        """Of a share's number and a batch's start."""
        return self.folder / f"{number}-{start:07d}.safetensors"


def _draw(parts: _Parts, number: int, share: Share, request: Request, ranks: PartialState) -> None:
    """This rank's batches of a share that are not there yet."""
    own = parts.starts(share)[ranks.process_index :: ranks.num_processes]
    left = [start for start in own if not parts.path(number, start).exists()]
    drawer = open_drawer(share.run, share.samples.dataset)
    view = drawer.task.view if request.kind == "pair" else drawer.task.stay_view
    if view is None:
        raise ContractError(
            f"{share.run}: {drawer.task.settings.task} draws targets of pairs alone; name a run of "
            "ddl_cxr or gan"
        )
    title = f"generate {request.kind}s of {request.split}, seed {request.seed}"
    with progress(title, len(left), "batches", ranks.is_main_process) as advance:
        for start in left:
            chosen = share.samples[start : start + parts.batch_size]
            loader = chosen.loader(len(chosen), view, rank=0, world_size=1, training=False)
            (batch,) = loader
            latents = drawer.draw(batch, request.seed)
            if not torch.isfinite(latents).all() or latents.abs().max() > np.finfo(np.float16).max:
                raise ContractError("generate: a latent is not finite; train with a lower rate")
            _save(parts.path(number, start), latents.half())
            loader.close()
            advance(1)


def _publish(parts: _Parts, shares: Sequence[Share], request: Request) -> None:
    keys: list[str] = []
    drawn: list[Tensor] = []
    for number, share in enumerate(shares):
        keys += share.samples.columns["key"].tolist()
        drawn += [load_file(parts.path(number, s))[LATENTS] for s in parts.starts(share)]
    order = np.argsort(keys)
    _save(request.out, torch.cat(drawn)[torch.from_numpy(order)])
    state = read_state(choose_checkpoint(request.run))
    facts = {
        "keys": [keys[place] for place in order],
        "sha256": file_sha256(request.out),
        "steps": state.steps,
        "settings": state.settings,
        "runs": [str(share.run) for share in shares],
        "dataset": shares[0].samples.dataset.manifest.made_from,
    }
    write_done(request.out.with_suffix(".json"), parts.made_from, facts)
    shutil.rmtree(parts.folder)
    say(f"generate: {len(keys):,} latents in {request.out}")


def _save(path: Path, latents: Tensor) -> None:
    with publish(path) as part:
        save_file({LATENTS: latents.contiguous()}, part)


def _made_from(shares: Sequence[Share], request: Request) -> str:
    """Without the batch size, which changes no more than the last digits."""
    folders = [choose_checkpoint(share.run) for share in shares]
    weights = [file_sha256(folder / n) for folder in folders for n in (MODEL_FILE, AVERAGE_FILE)]
    settings = [read_state(folder).settings for folder in folders]
    manifest = shares[0].samples.dataset.manifest
    shards = [shard.sha256 for shard in manifest.kind(request.split, request.kind).shards]
    return digest(weights, settings, shards, request.seed)

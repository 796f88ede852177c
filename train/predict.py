"""What a run says of every stay of a split: `cxrfuture predict RUN`, to be evaluated.

The file and its record are of train/predicted.py. How logits become calibrated probabilities
(train/calibrate.py) is fitted on the validation stays, which also chose the weights.
"""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.numpy import save_file

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.console import progress, say
from cxrfuture_data.publish import digest, file_sha256, publish, read_done, write_done
from cxrfuture_data.sample import Array
from cxrfuture_data.split import Split
from train.calibrate import fit_platt
from train.checkpoint import AVERAGE_FILE, MODEL_FILE, choose_checkpoint
from train.look import is_predictor
from train.predicted import ATTENTION, LOGITS, file_of
from train.task import Outcomes, Predictor
from train.tasks import start_digests
from train.trained import TrainedTask, open_trained

BATCH_SIZE = 64


def predict_split(run: Path, dataset: Path, split: str, batch_size: int = BATCH_SIZE) -> None:
    """Publish what the run says of a split, unless it is there."""
    data, out = open_dataset(dataset), file_of(run, split)
    trained = open_trained(run, data)
    if not is_predictor(trained.task):
        raise ContractError(
            f"{run}: a run of {trained.task.settings.task}, which predicts no outcome; name one of "
            "fusion or future_fusion"
        )
    made_from = _made_from(run, trained, data, split)
    record = out.with_suffix(".json")
    if read_done(record, made_from) is not None:
        return
    task, kind = cast(Predictor, trained.task), trained.task.view.kind
    samples = task.select(data.split(split, kind))
    valid = task.select(data.split("valid", kind))
    if len(samples) == 0 or len(valid) == 0:
        raise ContractError(f"{dataset}: no {kind} of {task.settings.task} in {split} or valid")
    seen = _read(trained, valid, batch_size)
    platt = fit_platt(seen.logits.numpy(), seen.is_present.numpy(), seen.is_known.numpy())
    told = seen if split == "valid" else _read(trained, samples, batch_size)
    arrays: dict[str, Array] = {LOGITS: told.logits.numpy(), **platt._asdict()}
    if told.attention is not None:
        arrays[ATTENTION] = told.attention.numpy()
    with publish(out) as part:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, part)
    facts = {
        "keys": samples.columns["key"].tolist(),
        "outcome": getattr(task.settings, "outcome", "all"),
        "modalities": list(getattr(task, "modalities", ())) if ATTENTION in arrays else [],
        "sha256": file_sha256(out),
        "seed": trained.state.seed,
        "steps": trained.state.steps,
        "settings": trained.state.settings,
        "dataset": data.manifest.made_from,
    }
    write_done(record, made_from, facts)
    say(f"predict: {len(samples):,} {kind}s of {split} in {out}")


@torch.inference_mode()
def _read(trained: TrainedTask, samples: Split, batch_size: int) -> Outcomes:
    """Of all samples, in the order of their keys."""
    task = cast(Predictor, trained.task)
    loader = samples.loader(batch_size, task.view, rank=0, world_size=1, training=False)
    found: list[Outcomes] = []
    with progress(f"predict {samples.name}", len(loader), "batches") as advance:
        for batch in loader:
            told = task.predict_outcomes(trained.model, batch, trained.state.seed)
            is_real = ~batch.is_padding
            found.append(Outcomes(*(None if part is None else part[is_real] for part in told)))
            advance(1)
    loader.close()
    columns = [
        None if parts[0] is None else torch.cat([part for part in parts if part is not None])
        for parts in zip(*found, strict=True)
    ]
    return Outcomes(*columns)


def _made_from(run: Path, trained: TrainedTask, data: Dataset, split: str) -> str:
    folder = choose_checkpoint(run)
    weights = [file_sha256(folder / name) for name in (MODEL_FILE, AVERAGE_FILE)]
    kind = trained.task.view.kind
    shards = [shard.sha256 for shard in data.manifest.kind(split, kind).shards]
    return digest(weights, trained.state.settings, start_digests(trained.task.settings), shards)

"""What a run said of every stay of a split: a file beside its checkpoints, and its reader.

``RUN/predicted/<split>.safetensors`` holds ``logits`` (N, K) float32, ``slope`` and ``offset``
(K,) and, of a model that weighs its modalities, ``attention`` (N, M); the JSON beside it names the
keys and what they are from. What was the case is not in it: it is in the dataset's columns.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from cxrfuture_data import ContractError
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.sample import Array

FOLDER, LOGITS, ATTENTION = "predicted", "logits", "attention"


@dataclass(frozen=True, eq=False)
class Predicted:
    """Row i is of ``keys[i]``. ``slope`` and ``offset`` (K,) were fitted on validation stays:
    sigmoid(slope * logit + offset) is calibrated, sigmoid(logit) is not."""

    keys: list[str]
    outcome: str  # one of outcome.OUTCOMES
    logits: Array  # (N, K) float32
    slope: Array  # (K,)
    offset: Array  # (K,)
    attention: Array | None  # (N, M)
    modalities: list[str]  # M
    seed: int  # of the run
    steps: int
    settings: dict[str, Any]  # of the run


def file_of(run: Path, split: str) -> Path:
    """Where what a run said of a split lies."""
    return run / FOLDER / f"{split}.safetensors"


def read_predicted(run: Path, split: str) -> Predicted:
    """What `cxrfuture predict` published of a run."""
    path = file_of(run, split)
    try:
        facts = json.loads(path.with_suffix(".json").read_text())
        arrays = load_file(path)
        logits = arrays[LOGITS]
    except (OSError, ValueError, KeyError, SafetensorError):
        raise ContractError(
            f"{path}: not there or not whole; run `cxrfuture predict {run}`"
        ) from None
    if len(logits) != len(facts["keys"]) or file_sha256(path) != facts["sha256"]:
        raise ContractError(f"{path}: not the file of its record; delete both and predict again")
    return Predicted(
        keys=facts["keys"],
        outcome=facts["outcome"],
        logits=logits,
        slope=arrays["slope"],
        offset=arrays["offset"],
        attention=arrays.get(ATTENTION),
        modalities=facts["modalities"],
        seed=facts["seed"],
        steps=facts["steps"],
        settings=facts["settings"],
    )

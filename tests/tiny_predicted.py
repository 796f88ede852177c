"""Runs of fusion models that only predicted: what `cxrfuture predict` leaves, of given numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save_file

from cxrfuture_data.publish import file_sha256


def write_run(
    run: Path,
    keys: list[str],
    logits: Any,
    *,
    outcome: str = "mortality",
    seed: int = 0,
    split: str = "test",
    settings: dict[str, Any] | None = None,
    slope: float = 1.0,
    attention: Any = None,
) -> Path:
    """logits: (N, K), or (N,) of one label."""
    logits = np.ascontiguousarray(logits, np.float32).reshape(len(keys), -1)
    said = {"task": "fusion", "model": {"name": "mmtm"}} | (settings or {}) | {"outcome": outcome}
    labels = logits.shape[1]
    arrays = {
        "logits": logits,
        "slope": np.full(labels, slope, np.float32),
        "offset": np.zeros(labels, np.float32),
    }
    if attention is not None:
        arrays["attention"] = np.asarray(attention, np.float32)
    path = run / "predicted" / f"{split}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path)
    facts = {
        "keys": keys,
        "outcome": outcome,
        "modalities": [] if attention is None else ["ehr", "film"],
        "seed": seed,
        "steps": 5,
        "settings": said,
        "sha256": file_sha256(path),
    }
    path.with_suffix(".json").write_text(json.dumps(facts))
    (run / "config.yaml").write_text(yaml.safe_dump(said))
    return run

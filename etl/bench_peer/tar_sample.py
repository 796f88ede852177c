"""The samples of our tars, as a user of another reader would decode them."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import load

from etl.bench_peer.reading import Item

LATENTS = ("previous_mean", "previous_logvar", "target_mean", "target_logvar")


def read_item(members: Mapping[str, Any], tar: str) -> Item:
    """``tar``: the path or URL it lies in, whose name ends in the number of the shard."""
    tensors = load(members["tensors.safetensors"])
    facts = json.loads(members["sample.json"])
    labels = facts["labels"]["target"]
    return {
        "latents": np.stack([tensors[name] for name in LATENTS]),
        "hours": tensors["hourly"],
        "labels": np.array([labels[name] or 0 for name in sorted(labels)], np.int8),
        "gap": facts["gap_hours"],
        "shard": int(tar.rpartition("-")[2].removesuffix(".tar")),
    }

"""Weights as others publish them: CompVis's names in a file, diffusers' layout in a folder."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from diffusers import ModelMixin
from torch import Tensor

from cxrfuture_data.publish import write_json
from cxrfuture_data.schema import ContractError

F = TypeVar("F")


def find_prefix(
    tensors: Mapping[str, Tensor], entry: str, prefixes: Sequence[str], source: str, instead: str
) -> str:
    """What stands before a network's own names: the first of ``prefixes`` (the top of the file, the
    usual place, others) with which the name ``entry`` is there. ``instead``: what to do with a file
    that is in diffusers' layout."""
    for prefix in prefixes:
        if prefix + entry in tensors:
            return prefix
    if any("down_blocks" in name for name in tensors):
        raise ContractError(f"{source}: already in diffusers' layout; {instead}")
    raise ContractError(
        f"{source}: no {entry}, at the top or below {prefixes[1]}; its names begin with "
        f"{', '.join(sorted({name.split('.')[0] for name in tensors})[:5])}"
    )


def choose_family(name: str | None, families: Mapping[str, F]) -> F | None:
    """The published network of this name."""
    if name is not None and name not in families:
        raise ContractError(f"no family {name!r}; there are {', '.join(families)}")
    return None if name is None else families[name]


def publish_pretrained(
    model: ModelMixin, out: Path, facts: dict[str, Any], *beside: Path, record: str
) -> None:
    """Write beside ``out`` and rename: a reader sees the whole folder or none.

    ``facts`` become the file ``record``; copies of the files ``beside`` go with it.
    """
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    model.save_pretrained(part, safe_serialization=True)
    write_json(part / record, facts)
    for path in beside:
        shutil.copyfile(path, part / path.name)
    if out.exists():
        shutil.rmtree(out)
    part.replace(out)

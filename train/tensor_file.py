"""Tensors by name from a file that others wrote: safetensors, or a zip of torch's. Code that such a
file names is never run."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from cxrfuture_data.schema import ContractError

NESTED = "state_dict"  # where Lightning and most trainers keep the weights


def read_tensor_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, or of its ``state_dict``, on the CPU; all else in it is left out."""
    if not path.is_file():
        raise ContractError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise ContractError(f"{path}: the file is empty; copy it again")
    value = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    if isinstance(value, Mapping) and isinstance(value.get(NESTED), Mapping):
        value = value[NESTED]
    if not isinstance(value, Mapping):
        raise ContractError(f"{path}: holds a {type(value).__name__}, expected tensors by name")
    tensors = {str(name): found for name, found in value.items() if isinstance(found, Tensor)}
    if not tensors:
        raise ContractError(f"{path}: no tensor in it, nor in its {NESTED!r}")
    return tensors


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception as error:
        raise ContractError(f"{path}: {_line(error)}; truncated, or not safetensors") from None


class Inert:
    """Takes the place of every class that a file names and torch does not know as harmless."""

    def __init__(self, *_: object) -> None:
        """Nothing of the file is kept."""

    def __setstate__(self, _: object) -> None:
        """Nothing of the file is kept."""


def _torch(path: Path) -> object:
    """Trainers keep their callbacks and settings beside the weights; those become Inert."""
    names = _classes_of(path)
    try:
        with torch.serialization.safe_globals([(Inert, name) for name in names]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what others wrote can break the reader in any way
        if not names:
            raise ContractError(
                f"{path}: {_line(error)}; truncated, or not a file of torch: copy it again, "
                "or give a .safetensors"
            ) from None
        raise ContractError(
            f"{path}: beside tensors it holds {', '.join(names[:3])}, which cannot be read without "
            "running code; where you trust it, in its authors' environment, keep the tensors "
            "alone, by save_file(torch.load(path)['state_dict'], 'new.safetensors') of safetensors"
        ) from None


def _classes_of(path: Path) -> list[str]:
    """What a file of torch would import, without importing it; none of a broken one."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    except Exception:
        return []


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]

"""A sample as plain values that compare with ==, whatever read it; and a digest of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def values_of(thing: Any) -> Any:
    """Every field, at every depth; an array as its dtype, shape and bytes."""
    if is_dataclass(thing):
        values = {field.name: values_of(getattr(thing, field.name)) for field in fields(thing)}
        return {"type": type(thing).__name__} | values
    if isinstance(thing, Mapping):
        return {key: values_of(value) for key, value in thing.items()}
    if isinstance(thing, np.ndarray):
        return [thing.dtype.str, thing.shape, thing.tobytes()]
    return thing


def digest_of(thing: Any) -> str:
    """sha256 of the values, the same in every process; mappings in the order they have."""
    return hashlib.sha256(repr(values_of(thing)).encode()).hexdigest()

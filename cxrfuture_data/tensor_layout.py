"""Where the tensors lie within ``tensors.safetensors``, read from its header without a library:
many samples have the same header, and each distinct one is parsed once."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrfuture_data.schema import TENSORS_OF_KIND, ContractError

_DTYPES = {"float16": "F16", "float32": "F32", "int32": "I32", "uint8": "U8"}
PREFIX = 8  # bytes that say how long the header is
LONGEST_HEADER = 100_000


@dataclass(frozen=True, eq=False)
class TensorLayout:
    """``spans``: name -> first and last byte (exclusive) from the start of the member's data."""

    spans: dict[str, tuple[int, int]]
    shapes: dict[str, tuple[int, ...]]
    size: int  # bytes of the member

    @property
    def hours(self) -> int:
        """T of a window; 0 of an image."""
        return self.shapes["hourly"][0] if "hourly" in self.shapes else 0

    @property
    def generation_hours(self) -> int:
        """T of a stay's generation window; 0 of other kinds."""
        return self.shapes["generation_hourly"][0] if "generation_hourly" in self.shapes else 0

    @property
    def events(self) -> int:
        """E of a window; 0 of an image."""
        return self.shapes["event_row"][0] if "event_row" in self.shapes else 0


def parse_layout(header: bytes, kind: str) -> TensorLayout:
    """The layout of a header (without its length); anything but a kind's own tensors is refused."""
    try:
        entries: dict[str, Any] = json.loads(header)
        layout = _read(entries, PREFIX + len(header))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ContractError(f"no header of safetensors ({error})") from None
    expected = TENSORS_OF_KIND[kind]
    found = {name: entry["dtype"] for name, entry in entries.items()}
    if found != {name: _DTYPES[dtype] for name, dtype in expected.items()}:
        raise ContractError(f"tensors {sorted(found)}; a {kind} has {sorted(expected)}")
    return layout


def _read(entries: dict[str, Any], start: int) -> TensorLayout:
    spans: dict[str, tuple[int, int]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    widths = {"F16": 2, "F32": 4, "I32": 4, "U8": 1}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        shape = tuple(int(length) for length in entry["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        if first != end or last - first != count * widths[entry["dtype"]] or count < 0:
            raise ValueError(f"{name}: bytes {first} to {last} for {shape}")
        spans[name], shapes[name] = (start + first, start + last), shape
        end = last
    return TensorLayout(spans, shapes, start + end)

"""The contract of a CXRFuture dataset, and its reader. Light: no torch, DuckDB, Polars."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxrfuture_data.dataset import Dataset, open_dataset
    from cxrfuture_data.record import decode
    from cxrfuture_data.sample import Film, ImageSample, PairSample, Sample, StaySample, Window
    from cxrfuture_data.schema import ContractError
    from cxrfuture_data.split import Split
    from cxrfuture_data.view import VIEWS, View

__all__ = [
    "VIEWS",
    "ContractError",
    "Dataset",
    "Film",
    "ImageSample",
    "PairSample",
    "Sample",
    "Split",
    "StaySample",
    "View",
    "Window",
    "decode",
    "open_dataset",
]

# Each is imported when it is first asked for: every stage is a process of its own, and most need
# one module of this package.
_PLACES = {
    "ContractError": "schema",
    "Dataset": "dataset",
    "Film": "sample",
    "ImageSample": "sample",
    "PairSample": "sample",
    "Sample": "sample",
    "Split": "split",
    "VIEWS": "view",
    "View": "view",
    "StaySample": "sample",
    "Window": "sample",
    "decode": "record",
    "open_dataset": "dataset",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)

"""The contract of a CXRFuture dataset, and its reader. Light: no torch, DuckDB, Polars."""

from cxrfuture_data.dataset import Dataset, open_dataset
from cxrfuture_data.record import decode
from cxrfuture_data.sample import Film, ImageSample, PairSample, Sample, StaySample, Window
from cxrfuture_data.schema import ContractError

__all__ = [
    "ContractError",
    "Dataset",
    "Film",
    "ImageSample",
    "PairSample",
    "Sample",
    "StaySample",
    "Window",
    "decode",
    "open_dataset",
]

"""Hugging Face ``datasets`` reads the same tars, told what their members are."""

from typing import Any

from cxrfuture_data.record import members_of
from cxrfuture_data.schema import SAMPLE_MEMBER, ContractError, FilmsKept


def features_of(kind: str, *, films: FilmsKept) -> Any:
    """``load_dataset("webdataset", features=...)``: members as bytes, sample.json as JSON.

    Without them it infers types from the first five samples: a value that is null in those cannot
    be anything else later, and what is empty is filled with nulls. Its JSON has ten decimals.
    """
    try:
        from datasets import Features, Json, Value
    except ImportError as error:
        raise ContractError(f"{error}; run: pip install 'datasets>=5'") from None
    types = {name: Value("binary") for name in members_of(kind, films=films)}
    return Features(types | {SAMPLE_MEMBER: Json(), "__key__": Value("string")})

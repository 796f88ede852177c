"""The columns of a split as an Arrow table or a Polars frame: a row a sample, nulls where unknown.

Names are those of the columns (``columns_of.py``) with ``_`` for the dot; of labels, attributes,
changes, comorbidities and phenotypes there is a struct, whose fields are the contract's own words.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from cxrfuture_data.columns import NOT_SAID, OFFSET, SHARD, SIZE, XXH3, Columns
from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES, CHANGES
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import COMORBIDITIES, FINDINGS, PHENOTYPES, ContractError

_FIELDS = {
    "labels": FINDINGS,
    "attributes": ATTRIBUTES,
    "changes": CHANGE_ATTRIBUTES,
    "comorbidities": COMORBIDITIES,
    "phenotypes": PHENOTYPES,
}
_FEW_TEXTS = frozenset({"view", "race", "insurance", "variables"})
_YES_OR_NO = frozenset({"died_in_hospital", "icu_transfer", "readmitted", "comorbidities"})
_YES_OR_NO |= {"phenotypes"}
_FIRST = ("key", "subject_id", "hadm_id", "stay_id", "age", "sex")
# Where members lie, and what the columns beside them say already.
_NOT_SHOWN = frozenset({OFFSET, SIZE, XXH3, "levels", "label_known"})


def to_arrow(columns: Columns) -> Any:
    """``pyarrow.Table``: times as timestamp[us], yes or no as bool, labels as int8 (1, 0, -1)."""
    arrow = _import("pyarrow")
    found: dict[str, Any] = {}
    for name in columns.names:
        word = name.rpartition(".")[2]
        if word in _NOT_SHOWN:
            continue
        if name == SHARD:
            found[name] = _coded(arrow, columns[name], columns.shards)
        elif name == "is_male":
            found["sex"] = _coded(arrow, columns[name].astype(np.int8), ("F", "M"))
        elif word in _FIELDS:
            fields = zip(_FIELDS[word], columns[name].T, _unknown(columns, name).T, strict=True)
            parts = {field: _array(arrow, word, *values) for field, *values in fields}
            found[name.replace(".", "_")] = _struct(arrow, parts)
        else:
            values = columns[name]
            found[name.replace(".", "_")] = _array(arrow, word, values, _unknown(columns, name))
    rest = sorted(found.keys() - set(_FIRST))
    return arrow.table({name: found[name] for name in (*_FIRST, *rest)})


def to_polars(columns: Columns) -> Any:
    """``polars.DataFrame`` of the same; texts of few values are categorical."""
    return _import("polars").from_arrow(to_arrow(columns))


def _unknown(columns: Columns, name: str) -> Array:
    """Where a column says nothing: see columns.py for what stands for null."""
    values, word = columns[name], name.rpartition(".")[2]
    if word == "labels":
        return ~columns[f"{name.removesuffix('labels')}label_known"]
    if word == "comorbidities":
        without = columns["earlier_admissions"] == NOT_SAID
        return np.repeat(without[:, None], values.shape[1], axis=1)
    if values.dtype.kind == "U":
        return values == ""
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind == "f":
        return np.isnan(values)
    return values == NOT_SAID if values.dtype.kind == "i" else np.zeros(values.shape, np.bool_)


def _array(arrow: Any, word: str, values: Array, unknown: Array) -> Any:
    if values.dtype.kind == "U":
        texts = arrow.array(values.tolist(), arrow.string(), mask=unknown)
        return texts.dictionary_encode() if word in _FEW_TEXTS else texts
    if word == "changes":
        return _coded(arrow, values, CHANGES)
    if word in _YES_OR_NO:
        return arrow.array(values == 1, arrow.bool_(), mask=unknown)
    return arrow.array(np.ascontiguousarray(values), mask=unknown)


def _coded(arrow: Any, codes: Array, words: tuple[str, ...]) -> Any:
    """Texts by their place in ``words``; a negative code is null."""
    places = arrow.array(codes.astype(np.int32), mask=codes < 0)
    return arrow.DictionaryArray.from_arrays(places, arrow.array(words, arrow.string()))


def _struct(arrow: Any, parts: Mapping[str, Any]) -> Any:
    return arrow.StructArray.from_arrays(list(parts.values()), names=list(parts))


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ContractError(f"{error.name} is not installed; run: pip install {name}") from None

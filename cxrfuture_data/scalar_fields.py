"""The fields of a batch that columns alone give: labels, outcomes, times, demographics. Pure.

Made once for a whole split; a batch takes its rows.
"""

from collections.abc import Mapping

import numpy as np

from cxrfuture_data.columns import NOT_SAID, Columns
from cxrfuture_data.labels import (
    CHANGE_ATTRIBUTES,
    FINDING_CHANGES,
    FINDING_OF_ATTRIBUTE,
    change_labels,
)
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FINDINGS

# The film whose labels are a sample's own.
LABELLED = {"pair": "target", "stay": "previous", "image": "image"}
# labels.CHANGES -> what they are among FINDING_CHANGES.
_CHANGE = np.array([FINDING_CHANGES.index(word) for word in ("better", "worse", "unchanged")])


def scalar_fields(kind: str, columns: Columns) -> dict[str, Array]:
    """(N, ...) each, by the name of its field; 0 where it is not known."""
    role = LABELLED[kind]
    fields = {
        "age": columns["age"].astype(np.float32),
        "is_male": columns["is_male"],
        "labels": columns[f"{role}.labels"],
        "label_known": columns[f"{role}.label_known"],
    }
    if kind == "image":
        return fields
    fields |= _history_fields(columns)
    fields |= _known("died", columns["died_in_hospital"], np.bool_)
    if kind == "pair":
        return fields | _pair_fields(columns)
    return fields | _stay_fields(columns)


def pack_rows(fields: Mapping[str, Array]) -> Array:
    """(N,) with a field of the dtype for each: what a batch takes of a sample lies together, and is
    fetched from memory once."""
    dtype = [(name, field.dtype, field.shape[1:]) for name, field in fields.items()]
    packed = np.empty(len(next(iter(fields.values()))), np.dtype(dtype))
    for name, field in fields.items():
        packed[name] = field
    return packed


def _history_fields(columns: Columns) -> dict[str, Array]:
    return {
        "comorbidities": columns["comorbidities"].astype(np.bool_),
        "has_history": columns["earlier_admissions"] > 0,
        **_known("bmi", columns["bmi"], np.float32),
    }


def _pair_fields(columns: Columns) -> dict[str, Array]:
    before = columns["previous.labels"], columns["previous.label_known"]
    after = columns["target.labels"], columns["target.label_known"]
    changes, changes_known = change_labels(before, after, _said_changes(columns["changes"]))
    fields = {
        "gap_hours": columns["gap_hours"].astype(np.float32),
        "is_null_event": columns["is_null_event"],
        "previous_labels": before[0],
        "previous_label_known": before[1],
        "changes": changes,
        "changes_known": changes_known,
    }
    for prefix, role in (("", "target"), ("previous_", "previous")):
        found = columns[f"{role}.attributes"]
        fields[f"{prefix}attributes"] = np.where(found == NOT_SAID, 0, found).astype(np.int8)
        fields[f"{prefix}attribute_known"] = found != NOT_SAID
    return fields


def _said_changes(codes: Array) -> Array:
    """What the reports say of each finding: (N, 14) int8, index in FINDING_CHANGES or NOT_SAID."""
    said = np.full((len(codes), len(FINDINGS)), NOT_SAID, np.int8)
    for attribute, finding in FINDING_OF_ATTRIBUTE.items():
        code = codes[:, CHANGE_ATTRIBUTES.index(attribute)]
        is_said = code != NOT_SAID
        said[is_said, FINDINGS.index(finding)] = _CHANGE[code[is_said]]
    return said


def _stay_fields(columns: Columns) -> dict[str, Array]:
    phenotypes = columns["phenotypes"]
    is_known = (phenotypes != NOT_SAID).all(axis=1)
    window = (columns["end_at"] - columns["start_at"]) / np.timedelta64(1, "h")
    return {
        "has_previous": columns["previous.has"],
        "hours_since_previous": np.nan_to_num(columns["hours_since_previous"]).astype(np.float32),
        "window_hours": window.astype(np.float32),
        "phenotypes": np.where(is_known[:, None], phenotypes, 0).astype(np.int8),
        "phenotypes_known": is_known,
        **_known("remaining", columns["remaining_hours"], np.float32, "remaining_hours"),
        **_known("icu_transfer", columns["icu_transfer"], np.bool_),
        **_known("readmitted", columns["readmitted"], np.bool_),
    }


def _known(
    name: str, column: Array, dtype: type[np.generic], field: str | None = None
) -> dict[str, Array]:
    """The field and ``<name>_known``: not NaN of floats, not -1 of the others."""
    is_known = ~np.isnan(column) if column.dtype.kind == "f" else column != NOT_SAID
    return {
        field or name: np.where(is_known, column, 0).astype(dtype),
        f"{name}_known": is_known,
    }

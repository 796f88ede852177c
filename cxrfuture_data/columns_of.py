"""``sample.json`` of many samples -> their columns. Pure.

Columns of every kind: key, subject_id, hadm_id, stay_id (-1: none), age (years), is_male; and per
film (previous, target, image): has (bool), study_id, dicom_id, taken_at, view, labels (N, 14) raw
with label_known, attributes (N, 10: 1, 0, -1 not said), levels (N, L, 2: pixels, bytes to read).
Pairs and stays: start_at, end_at, latest_event_at, latest_known_at, hours, hourly_start_hours,
events, variables, died_in_hospital (1, 0, -1 not known), race, insurance ("": not recorded), bmi,
earlier_admissions (-1: no history), comorbidities (N, 17). Pairs: gap_hours, is_null_event, changes
(N, 11: index in labels.CHANGES, -1 not said). Stays: hours_since_previous, prediction_at,
generation_hours (0: none), phenotypes (N, 25), icu_transfer, readmitted (1, 0, -1),
remaining_hours, label. Images: has_static.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xxhash

from cxrfuture_data.columns import (
    NO_ID,
    NOT_SAID,
    OFFSET,
    SHARD,
    SIZE,
    XXH3,
    Columns,
    text_column,
    time_column,
)
from cxrfuture_data.facts import read_facts
from cxrfuture_data.index import Index
from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES, CHANGES
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import (
    ADMISSION_TEXTS,
    COMORBIDITIES,
    FILMS_OF_KIND,
    FINDINGS,
    PHENOTYPES,
    SAMPLE_MEMBER,
)

Facts = Mapping[str, Any]
TIMES = ("start_at", "end_at", "latest_event_at", "latest_known_at")
YES_OR_NO = ("icu_transfer", "readmitted")
_CHANGE_CODES = {change: code for code, change in enumerate(CHANGES)} | {None: NOT_SAID}


class SampleRows:
    """Collects what the columns of a shard need, sample by sample."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._facts: list[Facts] = []
        self._sums: list[list[int]] = []

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """``members`` in the order in which they lie in the tar."""
        self._facts.append(read_facts(members[SAMPLE_MEMBER], key))
        self._sums.append([xxhash.xxh3_64_intdigest(member) for member in members.values()])

    def facts(self) -> dict[str, Array]:
        """Every column but the places of members."""
        return columns_of(self.kind, self._facts)

    def sums(self, members: int) -> Array:
        """(N, M) uint64: XXH3-64 of each member's bytes."""
        return np.array(self._sums, np.uint64).reshape(-1, members)

    def columns(self, shard: str, index: Index) -> Columns:
        """Those of a tar whose samples were added, in its order."""
        places: dict[str, Array] = {
            SHARD: np.zeros(len(index.keys), np.int32),
            OFFSET: index.offsets,
            SIZE: index.sizes,
            XXH3: self.sums(len(index.members)),
        }
        return Columns((shard,), index.members, self.facts() | places)


def no_columns(kind: str, members: Sequence[str]) -> Columns:
    """Of a kind without samples."""
    none = np.zeros((0, len(members)), np.int64)
    rows = SampleRows(kind).columns("", Index(tuple(members), (), none, none))
    return Columns((), rows.members, rows.stored)


def columns_of(kind: str, facts: Sequence[Facts]) -> dict[str, Array]:
    """Every column but the places of members; ``facts`` as ``read_facts`` gives them."""
    columns = text_column([fact["key"] for fact in facts], "key")
    for name in ("subject_id", "hadm_id", "stay_id"):
        columns[name] = _integers((fact["ids"][name] for fact in facts), NO_ID, np.int64)
    columns["age"] = np.array([fact["age"] for fact in facts], np.float64)
    columns["is_male"] = np.array([fact["sex"] == "M" for fact in facts], np.bool_)
    for role in FILMS_OF_KIND[kind]:
        found = [{"film": f[role]} | _said(f, role) for f in facts]
        columns |= {_prefixed(role, name): column for name, column in _film_columns(found).items()}
    if kind == "image":
        columns["has_static"] = np.array([fact["has"]["static"] for fact in facts], np.bool_)
    else:
        columns |= _window_columns([fact["window"] for fact in facts])
        for name in ADMISSION_TEXTS:
            columns |= text_column([fact[name] for fact in facts], name)
        columns |= _history_columns([fact["history"] for fact in facts])
        outcomes = [fact["outcomes"] for fact in facts]
        columns["died_in_hospital"] = _flags(outcomes, "died_in_hospital")
    if kind == "pair":
        columns["gap_hours"] = _numbers(fact["gap_hours"] for fact in facts)
        columns["is_null_event"] = np.array([fact["is_null_event"] for fact in facts], np.bool_)
        changes = [fact["changes"] for fact in facts]
        columns["changes"] = _table(
            ([_CHANGE_CODES[said.get(name)] for name in CHANGE_ATTRIBUTES] for said in changes),
            len(CHANGE_ATTRIBUTES),
        )
    if kind == "stay":
        columns |= _stay_columns(facts, outcomes)
    return columns


def _prefixed(role: str, name: str) -> str:
    """The role stands before a column's name, behind what says how it is stored."""
    how, colon, rest = name.rpartition(":")
    return f"{how}{colon}{role}.{rest}"


def _said(fact: Facts, role: str) -> dict[str, Any]:
    return {"labels": fact["labels"][role] or {}, "attributes": fact["attributes"][role]}


def _film_columns(found: Sequence[Facts]) -> dict[str, Array]:
    films = [one["film"] or {} for one in found]
    labels = [[one["labels"].get(name) for name in FINDINGS] for one in found]
    levels = [film.get("levels") or [] for film in films]
    ends = np.zeros((len(found), max(map(len, levels), default=0), 2), np.int32)
    for row, level in zip(ends, levels, strict=True):
        row[: len(level)] = np.array(level, np.int32).reshape(-1, 2)
    return {
        "has": np.array([one["film"] is not None for one in found], np.bool_),
        "study_id": _integers((film.get("study_id") for film in films), NO_ID, np.int64),
        **text_column([film.get("dicom_id") for film in films], "dicom_id"),
        **time_column([film.get("taken_at") for film in films], "taken_at"),
        **text_column([film.get("view") for film in films], "view"),
        "labels": _table(([value or 0 for value in row] for row in labels), len(FINDINGS)),
        "label_known": np.array(
            [[value is not None for value in row] for row in labels], np.bool_
        ).reshape(-1, len(FINDINGS)),
        "attributes": _table(
            (_or_not_said(one["attributes"].get(name) for name in ATTRIBUTES) for one in found),
            len(ATTRIBUTES),
        ),
        "levels": ends,
    }


def _window_columns(windows: Sequence[Facts]) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    for name in TIMES:
        columns |= time_column([window[name] for window in windows], name)
    for name in ("hours", "events"):
        columns[name] = np.array([window[name] for window in windows], np.int32)
    columns["hourly_start_hours"] = _numbers(window["hourly_start_hours"] for window in windows)
    return columns | text_column([window["variables"] for window in windows], "variables")


def _history_columns(histories: Sequence[Facts | None]) -> dict[str, Array]:
    found = [history or {} for history in histories]
    comorbidities = [history.get("comorbidities", {}) for history in found]
    return {
        "bmi": _numbers(history.get("bmi") for history in found),
        "earlier_admissions": _integers(
            (history.get("earlier_admissions") for history in found), NO_ID, np.int32
        ),
        "comorbidities": _table(
            ([said.get(name, 0) for name in COMORBIDITIES] for said in comorbidities),
            len(COMORBIDITIES),
        ),
    }


def _stay_columns(facts: Sequence[Facts], outcomes: Sequence[Facts]) -> dict[str, Array]:
    phenotypes = [outcome["phenotypes"] or {} for outcome in outcomes]
    return {
        "hours_since_previous": _numbers(fact["hours_since_previous"] for fact in facts),
        **time_column([fact["prediction_at"] for fact in facts], "prediction_at"),
        "generation_hours": np.array(
            [(fact["generation"] or {"hours": 0})["hours"] for fact in facts], np.int32
        ),
        "phenotypes": _table(
            (_or_not_said(said.get(name) for name in PHENOTYPES) for said in phenotypes),
            len(PHENOTYPES),
        ),
        **{name: _flags(outcomes, name) for name in YES_OR_NO},
        **{
            name: _numbers(outcome[name] for outcome in outcomes)
            for name in ("remaining_hours", "label")
        },
    }


def _numbers(values: Iterable[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _integers(values: Iterable[int | None], null: int, dtype: type) -> Array:
    return np.array([null if value is None else value for value in values], dtype)


def _flags(outcomes: Sequence[Facts], name: str) -> Array:
    return _integers((outcome[name] for outcome in outcomes), NOT_SAID, np.int8)


def _or_not_said(values: Iterable[int | None]) -> list[int]:
    return [NOT_SAID if value is None else value for value in values]


def _table(rows: Iterable[list[int]], width: int) -> Array:
    return np.array(list(rows), np.int8).reshape(-1, width)

"""Groups of the samples of a split, from what its columns say: no tar is read.

``gap``: the hours from the last film to the prediction (specs ddl-cxr 5.1, closed on the left).
``devices``: what the last film's report says of support devices, the audit for shortcuts.

Shapes: N samples.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cxrfuture_data.columns import Columns
from cxrfuture_data.labels import ABSENT, PRESENT, UNCERTAIN
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import FILMS_OF_KIND, FINDINGS

Flags = npt.NDArray[np.bool_]
Groups: TypeAlias = Mapping[str, Mapping[str, Flags]]  # grouping -> group -> (N,)

GAPS = {"<12": 0.0, "12-24": 12.0, "24-36": 24.0, ">=36": 36.0}  # from so many hours
AGES = {"<18": 0.0, "18-44": 18.0, "45-64": 45.0, "65-79": 65.0, ">=80": 80.0}
# How MIMIC's races begin, such as WHITE - RUSSIAN or BLACK/AFRICAN AMERICAN.
RACES = ("WHITE", "BLACK", "HISPANIC", "ASIAN")
NOT_TOLD = ("", "UNKNOWN", "UNABLE TO OBTAIN", "PATIENT DECLINED TO ANSWER")
NO_FILM, UNKNOWN, OTHER = "no film", "unknown", "other"


def group_samples(columns: Columns, kind: str) -> Groups:
    """Every grouping whose columns the dataset has, without groups of no one."""
    film = FILMS_OF_KIND[kind][0]
    found = {
        "sex": {"female": ~columns["is_male"], "male": np.asarray(columns["is_male"])},
        "age": _bands(columns["age"], AGES),
        "view": _texts(columns[f"{film}.view"], NO_FILM),
        "devices": _devices(columns, film),
    }
    if "hours_since_previous" in columns.names:
        hours = columns["hours_since_previous"]
        found["gap"] = _bands(hours, GAPS) | {NO_FILM: np.isnan(hours)}
    if "race" in columns.names:
        found["race"] = _texts(group_races(columns["race"]), UNKNOWN)
    if "insurance" in columns.names:
        found["insurance"] = _texts(columns["insurance"], UNKNOWN)
    return {
        grouping: {name: chosen for name, chosen in groups.items() if chosen.any()}
        for grouping, groups in found.items()
    }


def group_races(races: Array) -> Array:
    """(N,) as MIMIC spells them -> (N,): one of RACES, other or unknown."""
    names, at = np.unique(races, return_inverse=True)
    return np.array([_group_race(str(name)) for name in names], np.str_)[at]


def _group_race(race: str) -> str:
    if race.upper() in NOT_TOLD:
        return UNKNOWN
    return next((name for name in RACES if race.upper().startswith(name)), OTHER)


def _bands(values: Array, starts: Mapping[str, float]) -> dict[str, Flags]:
    """NaN is in none."""
    at = np.searchsorted(list(starts.values()), values, side="right") - 1
    return {name: (at == i) & ~np.isnan(values) for i, name in enumerate(starts)}


def _texts(values: Array, empty: str) -> dict[str, Flags]:
    named = np.where(values == "", empty, values)
    names: Sequence[str] = sorted(set(named.tolist()))
    return {name: named == name for name in names}


def _devices(columns: Columns, film: str) -> dict[str, Flags]:
    at = FINDINGS.index("Support Devices")
    is_known, has_film = columns[f"{film}.label_known"][:, at], columns[f"{film}.has"]
    said = columns[f"{film}.labels"][:, at]
    words = {"present": PRESENT, "absent": ABSENT, "uncertain": UNCERTAIN}
    found = {word: has_film & is_known & (said == value) for word, value in words.items()}
    return found | {"not said": has_film & ~is_known, NO_FILM: ~has_film}

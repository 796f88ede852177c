"""``sample.json``: the keys it has, and what each may hold. Reading is strict."""

import json
from collections.abc import Mapping, Set
from typing import Any

from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES, CHANGES
from cxrfuture_data.schema import (
    ADMISSION_TEXTS,
    COMORBIDITIES,
    FILMS_OF_KIND,
    FINDINGS,
    KINDS,
    PHENOTYPES,
    SAMPLE_MEMBER,
    SPLITS,
    VARIABLE_SETS,
    ContractError,
)

# Top-level keys, with the types a value may have.
_EVERY_KIND: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "key": (str,),
    "recipe": (str,),
    "split": (str,),
    "ids": (dict,),
    "age": (int, float),
    "sex": (str,),
    "labels": (dict,),
    "attributes": (dict,),
    "has": (dict,),
}
_WINDOW_KINDS: dict[str, tuple[type, ...]] = {
    "window": (dict,),
    "outcomes": (dict,),
    **dict.fromkeys(ADMISSION_TEXTS, (str, type(None))),
    "history": (dict, type(None)),
}
_FIELDS_OF_KIND: dict[str, dict[str, tuple[type, ...]]] = {
    "pair": _EVERY_KIND
    | _WINDOW_KINDS
    | {
        "previous": (dict,),
        "target": (dict,),
        "gap_hours": (int, float),
        "is_null_event": (bool,),
        "changes": (dict,),
    },
    "stay": _EVERY_KIND
    | _WINDOW_KINDS
    | {
        "previous": (dict, type(None)),
        "generation": (dict, type(None)),
        "hours_since_previous": (int, float, type(None)),
        "prediction_at": (str,),
    },
    "image": _EVERY_KIND | {"image": (dict,)},
}
IDS = ("hadm_id", "stay_id", "subject_id")
_IDS = frozenset(IDS)
_ROLES_OF_KIND = {kind: frozenset(films) for kind, films in FILMS_OF_KIND.items()}
_FILM = frozenset({"study_id", "dicom_id", "taken_at", "view", "levels"})
_GENERATION = frozenset(
    {"start_at", "end_at", "hours", "hourly_start_hours", "latest_event_at", "latest_known_at"}
)
_WINDOW = _GENERATION | {"variables", "events"}
_HAS = frozenset({"hourly", "events", "static", "previous"})
_OUTCOMES_OF_KIND = {
    "pair": frozenset({"died_in_hospital"}),
    "stay": frozenset(
        {
            "died_in_hospital",
            "phenotypes",
            "remaining_hours",
            "icu_transfer",
            "readmitted",
            "label",
        }
    ),
}
_HISTORY = frozenset({"bmi", "earlier_admissions", "comorbidities"})
_COMORBIDITIES = frozenset(COMORBIDITIES)
_FINDINGS, _PHENOTYPES = frozenset(FINDINGS), frozenset(PHENOTYPES)
_LABELS = frozenset({1, 0, -1, None})
_ATTRIBUTES, _CHANGED = frozenset(ATTRIBUTES), frozenset(CHANGE_ATTRIBUTES)
_MENTIONS = frozenset({1, 0, None})
_CHANGES = frozenset({*CHANGES, None})


def read_facts(member: bytes | Mapping[str, Any] | None, key: str | None = None) -> dict[str, Any]:
    """``sample.json``, parsed already or not, as a mapping with exactly the keys of its kind."""
    if member is None:
        raise refusal(key, f"no member {SAMPLE_MEMBER}")
    try:
        facts: dict[str, Any] = dict(member) if isinstance(member, Mapping) else json.loads(member)
        kind = facts["kind"]
    except (ValueError, TypeError, KeyError):
        raise refusal(key, f"{SAMPLE_MEMBER} is not a JSON object with a kind") from None
    if kind not in KINDS:
        raise refusal(key, f"kind {kind!r}; known are {KINDS}")
    fields = _FIELDS_OF_KIND[kind]
    require_keys(key, SAMPLE_MEMBER, facts, fields.keys())
    for name, types in fields.items():
        value = facts[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise refusal(key, f"{SAMPLE_MEMBER}: {name} is {type(value).__name__}")
    if key is not None and facts["key"] != key:
        raise refusal(key, f"{SAMPLE_MEMBER} says key {facts['key']!r}")
    if facts["split"] not in SPLITS:
        raise refusal(key, f"split {facts['split']!r}; known are {SPLITS}")
    if facts["sex"] not in ("F", "M"):
        raise refusal(key, f"sex {facts['sex']!r}; it is F or M")
    _check_films(facts)
    _check_parts(facts)
    return facts


def _check_films(facts: dict[str, Any]) -> None:
    """Each role has a film, its labels and its attributes; or, of a stay, none of them."""
    key, roles = facts["key"], _ROLES_OF_KIND[facts["kind"]]
    require_keys(key, "labels", facts["labels"], roles)
    require_keys(key, "attributes", facts["attributes"], roles)
    for role in FILMS_OF_KIND[facts["kind"]]:
        labels, attributes = facts["labels"][role], facts["attributes"][role]
        if facts[role] is None:
            if labels is not None or attributes != {} or facts["hours_since_previous"] is not None:
                raise refusal(key, f"no {role} film, but labels, attributes or hours of one")
            continue
        require_keys(key, role, facts[role], _FILM)
        _check_levels(key, role, facts[role]["levels"])
        require_keys(key, f"labels of {role}", labels, _FINDINGS)
        _require_values(key, f"a label of {role}", labels, _LABELS, "1, 0, -1, null")
        if attributes:
            require_keys(key, f"attributes of {role}", attributes, _ATTRIBUTES)
            _require_values(key, f"an attribute of {role}", attributes, _MENTIONS, "1, 0, null")
    if facts["kind"] == "stay" and facts["previous"] and facts["hours_since_previous"] is None:
        raise refusal(key, "a previous film, but no hours_since_previous")


def _check_levels(key: str, role: str, levels: Any) -> None:
    """null, or [shorter side, bytes that hold that level] of each; both rise."""
    if levels is None:
        return
    rows: list[Any] = levels if isinstance(levels, list) and levels else [None]
    last = [0, 0]
    for row in rows:
        is_pair = isinstance(row, list) and [type(number) for number in row] == [int, int]
        if not is_pair or row[0] <= last[0] or row[1] <= last[1]:
            raise refusal(key, f"levels of {role} are not sizes and their bytes, smallest first")
        last = row


def _check_parts(facts: dict[str, Any]) -> None:
    key, kind = facts["key"], facts["kind"]
    require_keys(key, "ids", facts["ids"], _IDS)
    require_keys(key, "has", facts["has"], _HAS)
    if kind == "image":
        return
    require_keys(key, "window", facts["window"], _WINDOW)
    if facts["window"]["variables"] not in VARIABLE_SETS:
        known = ", ".join(VARIABLE_SETS)
        raise refusal(key, f"variables {facts['window']['variables']!r}; known are {known}")
    if facts["history"] is not None:
        require_keys(key, "history", facts["history"], _HISTORY)
        comorbidities = facts["history"]["comorbidities"]
        require_keys(key, "comorbidities", comorbidities, _COMORBIDITIES)
        _require_values(key, "a comorbidity", comorbidities, frozenset({0, 1}), "0, 1")
    require_keys(key, "outcomes", facts["outcomes"], _OUTCOMES_OF_KIND[kind])
    if kind == "pair":
        if facts["changes"]:
            require_keys(key, "changes", facts["changes"], _CHANGED)
            known = ", ".join((*CHANGES, "null"))
            _require_values(key, "a change", facts["changes"], _CHANGES, known)
        return
    if facts["generation"] is not None:
        require_keys(key, "generation", facts["generation"], _GENERATION)
    if facts["outcomes"]["phenotypes"] is not None:
        phenotypes = facts["outcomes"]["phenotypes"]
        require_keys(key, "phenotypes", phenotypes, _PHENOTYPES)
        _require_values(key, "a phenotype", phenotypes, frozenset({0, 1}), "0, 1")


def require_keys(key: str | None, where: str, found: Any, expected: Set[str]) -> None:
    """Refuse what is not an object with exactly the expected keys."""
    if not isinstance(found, dict):
        raise refusal(key, f"{where} is not an object")
    if found.keys() != expected:
        missing, extra = sorted(expected - found.keys()), sorted(found.keys() - expected)
        raise refusal(key, f"{where}: missing {missing}, unknown {extra}")


def _require_values(key: str, what: str, found: Any, allowed: frozenset[Any], words: str) -> None:
    try:
        is_allowed = allowed.issuperset(found.values())
    except TypeError:  # a list or an object, which no set holds
        is_allowed = False
    if not is_allowed:
        raise refusal(key, f"{what} is none of {words}")


def refusal(key: str | None, problem: str) -> ContractError:
    """An error that names the sample by its key."""
    return ContractError(f"sample {key or '(no key)'}: {problem}; rebuild the dataset")

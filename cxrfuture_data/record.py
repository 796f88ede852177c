"""A sample and its bytes: typed fields on one side, WebDataset members on the other.

Reading is strict and safe: safetensors and JSON only, never pickle, and anything that is not
exactly what schema.py says is a ContractError that names the sample's key.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from cxrfuture_data.publish import canonical_json
from cxrfuture_data.sample import Array, Film, ImageSample, PairSample, Sample, StaySample, Window
from cxrfuture_data.schema import (
    EVENT_TABLES,
    FILM_SUFFIX,
    FILMS_OF_KIND,
    FINDINGS,
    KINDS,
    SAMPLE_MEMBER,
    SPLITS,
    TENSORS_MEMBER,
    TENSORS_OF_KIND,
    VARIABLES,
    ContractError,
)

# Top-level keys of sample.json, with the types a value may have.
_EVERY_KIND: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "key": (str,),
    "recipe": (str,),
    "split": (str,),
    "ids": (dict,),
    "age": (int, float),
    "sex": (str,),
    "labels": (dict,),
    "has": (dict,),
}
_WINDOW_KINDS: dict[str, tuple[type, ...]] = {
    "previous": (dict,),
    "window": (dict,),
    "outcomes": (dict,),
}
_FIELDS_OF_KIND: dict[str, dict[str, tuple[type, ...]]] = {
    "pair": _EVERY_KIND | _WINDOW_KINDS | {"target": (dict,), "gap_hours": (int, float)},
    "stay": _EVERY_KIND | _WINDOW_KINDS | {"hours_since_previous": (int, float)},
    "image": _EVERY_KIND | {"image": (dict,)},
}
_IDS = {"subject_id", "hadm_id", "stay_id"}
_FILM = {"study_id", "dicom_id", "taken_at", "view"}
_WINDOW = {
    "start_at",
    "end_at",
    "hours",
    "hourly_start_hours",
    "events",
    "latest_event_at",
    "latest_known_at",
}
_HAS = {"hourly", "events", "static"}
_OUTCOMES = {"died_in_hospital"}
_FINDINGS = frozenset(FINDINGS)
_LABELS = frozenset({1, 0, -1, None})


KIND_OF = {PairSample: "pair", StaySample: "stay", ImageSample: "image"}


def members_of(kind: str, *, films: bool) -> tuple[str, ...]:
    """The members of a kind, in the order in which they lie in a tar."""
    names = [SAMPLE_MEMBER, TENSORS_MEMBER]
    if films:
        names += [role + FILM_SUFFIX for role in FILMS_OF_KIND[kind]]
    return tuple(sorted(names))


def encode(sample: Sample) -> dict[str, bytes]:
    """Sample -> its members. Equal samples give equal bytes."""
    kind = KIND_OF[type(sample)]
    facts: dict[str, Any] = {
        "kind": kind,
        "key": sample.key,
        "recipe": sample.recipe,
        "split": sample.split,
        "ids": {name: getattr(sample, name) for name in sorted(_IDS)},
        "age": sample.age,
        "sex": sample.sex,
        "labels": {},
    }
    tensors: dict[str, Array] = {}
    members: dict[str, bytes] = {}
    for role in FILMS_OF_KIND[kind]:
        film: Film = getattr(sample, role)
        facts[role] = {
            "study_id": film.study_id,
            "dicom_id": film.dicom_id,
            "taken_at": film.taken_at.isoformat(),
            "view": film.view,
        }
        facts["labels"][role] = dict(film.labels)
        tensors[f"{role}_mean"], tensors[f"{role}_logvar"] = film.mean, film.logvar
        if film.png is not None:
            members[role + FILM_SUFFIX] = film.png
    if isinstance(sample, PairSample | StaySample):
        _encode_window(sample, facts, tensors)
    if isinstance(sample, PairSample):
        facts["gap_hours"] = sample.gap_hours
    if isinstance(sample, StaySample):
        facts["hours_since_previous"] = sample.hours_since_previous
    if isinstance(sample, ImageSample):
        tensors["static"] = sample.static
    facts["has"] = _has(tensors)
    members[SAMPLE_MEMBER] = canonical_json(facts).encode()
    members[TENSORS_MEMBER] = save_tensors(
        {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    )
    return {name: members[name] for name in sorted(members)}


def _encode_window(
    sample: PairSample | StaySample, facts: dict[str, Any], tensors: dict[str, Array]
) -> None:
    window = sample.window
    facts["window"] = {
        "start_at": window.start_at.isoformat(),
        "end_at": window.end_at.isoformat(),
        "hours": len(window.hourly),
        "hourly_start_hours": window.hourly_start_hours,
        "events": len(window.event_row),
        "latest_event_at": window.latest_event_at and window.latest_event_at.isoformat(),
        "latest_known_at": window.latest_known_at and window.latest_known_at.isoformat(),
    }
    died = sample.died_in_hospital
    facts["outcomes"] = {"died_in_hospital": None if died is None else int(died)}
    for name in ("hourly", "event_row", "event_hours", "event_table"):
        tensors[name] = getattr(window, name)


def decode(members: Mapping[str, Any]) -> Sample:
    """Members -> sample; the handler for ``webdataset.WebDataset(url).map(decode)``.

    Names that begin with ``__`` are WebDataset's own. The films of a kind are all there or all
    absent.
    """
    key = str(members.get("__key__", "")) or None
    found = {name for name in members if not name.startswith("__")}
    facts = read_facts(members.get(SAMPLE_MEMBER), key)
    kind, key = facts["kind"], facts["key"]
    if found not in (set(members_of(kind, films=True)), set(members_of(kind, films=False))):
        raise _refusal(key, f"members {sorted(found)}; a {kind} has {members_of(kind, films=True)}")
    tensors = _read_tensors(members[TENSORS_MEMBER], key)
    _check_tensors(kind, key, tensors, facts)
    common = {name: facts[name] for name in ("key", "recipe", "split", "age", "sex")}
    fields: dict[str, Any] = common | facts["ids"]
    for role in FILMS_OF_KIND[kind]:
        film = facts[role]
        fields[role] = Film(
            study_id=film["study_id"],
            dicom_id=film["dicom_id"],
            taken_at=datetime.fromisoformat(film["taken_at"]),
            view=film["view"],
            labels=facts["labels"][role],
            mean=tensors[f"{role}_mean"],
            logvar=tensors[f"{role}_logvar"],
            png=members.get(role + FILM_SUFFIX),
        )
    if kind == "image":
        return ImageSample(**fields, static=tensors["static"])
    died = facts["outcomes"]["died_in_hospital"]
    fields["died_in_hospital"] = None if died is None else bool(died)
    fields["window"] = _read_window(facts["window"], tensors)
    if kind == "pair":
        return PairSample(**fields, gap_hours=facts["gap_hours"])
    return StaySample(**fields, hours_since_previous=facts["hours_since_previous"])


def read_facts(member: bytes | None, key: str | None = None) -> dict[str, Any]:
    """``sample.json`` as a mapping with exactly the keys of its kind."""
    if member is None:
        raise _refusal(key, f"no member {SAMPLE_MEMBER}")
    try:
        facts = json.loads(member)
        kind = facts["kind"]
    except (ValueError, TypeError, KeyError):
        raise _refusal(key, f"{SAMPLE_MEMBER} is not a JSON object with a kind") from None
    if kind not in KINDS:
        raise _refusal(key, f"kind {kind!r}; known are {KINDS}")
    fields = _FIELDS_OF_KIND[kind]
    _require_keys(key, SAMPLE_MEMBER, facts, fields.keys())
    for name, types in fields.items():
        if not isinstance(facts[name], types) or isinstance(facts[name], bool):
            raise _refusal(key, f"{SAMPLE_MEMBER}: {name} is {type(facts[name]).__name__}")
    if key is not None and facts["key"] != key:
        raise _refusal(key, f"{SAMPLE_MEMBER} says key {facts['key']!r}")
    if facts["split"] not in SPLITS:
        raise _refusal(key, f"split {facts['split']!r}; known are {SPLITS}")
    if facts["sex"] not in ("F", "M"):
        raise _refusal(key, f"sex {facts['sex']!r}; it is F or M")
    _check_parts(facts)
    return dict(facts)


def _check_parts(facts: dict[str, Any]) -> None:
    key, roles = facts["key"], FILMS_OF_KIND[facts["kind"]]
    _require_keys(key, "ids", facts["ids"], _IDS)
    _require_keys(key, "has", facts["has"], _HAS)
    _require_keys(key, "labels", facts["labels"], roles)
    for role in roles:
        _require_keys(key, role, facts[role], _FILM)
        labels = facts["labels"][role]
        _require_keys(key, f"labels of {role}", labels, _FINDINGS)
        if not _LABELS.issuperset(labels.values()):
            raise _refusal(key, f"a label of {role} is none of 1, 0, -1, null")
    if "window" in facts:
        _require_keys(key, "window", facts["window"], _WINDOW)
        _require_keys(key, "outcomes", facts["outcomes"], _OUTCOMES)


def _read_window(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> Window:
    latest = {
        name: datetime.fromisoformat(facts[name]) if facts[name] is not None else None
        for name in ("latest_event_at", "latest_known_at")
    }
    return Window(
        start_at=datetime.fromisoformat(facts["start_at"]),
        end_at=datetime.fromisoformat(facts["end_at"]),
        latest_event_at=latest["latest_event_at"],
        latest_known_at=latest["latest_known_at"],
        hourly_start_hours=facts["hourly_start_hours"],
        hourly=tensors["hourly"],
        event_row=tensors["event_row"],
        event_hours=tensors["event_hours"],
        event_table=tensors["event_table"],
    )


def _read_tensors(member: bytes, key: str) -> dict[str, Array]:
    try:
        return dict(load_tensors(member))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _refusal(key, f"{TENSORS_MEMBER}: {error}") from None


def _check_tensors(
    kind: str, key: str, tensors: Mapping[str, Array], facts: Mapping[str, Any]
) -> None:
    expected = TENSORS_OF_KIND[kind]
    _require_keys(key, TENSORS_MEMBER, tensors, expected.keys())
    for name, dtype in expected.items():
        if tensors[name].dtype != dtype:
            raise _refusal(key, f"{name} is {tensors[name].dtype}; it must be {dtype}")
    latent = tensors[f"{FILMS_OF_KIND[kind][0]}_mean"].shape
    shapes: dict[str, tuple[int, ...]] = {
        name: latent for name, dtype in expected.items() if dtype == "float16"
    }
    if kind == "image":
        shapes["static"] = (tensors["static"].size,)
    else:
        hours, events = facts["window"]["hours"], facts["window"]["events"]
        shapes["hourly"] = (hours, len(VARIABLES))
        shapes |= {name: (events,) for name in ("event_row", "event_hours", "event_table")}
    for name, shape in shapes.items():
        if tensors[name].shape != shape or (name.endswith("_mean") and len(shape) != 3):
            raise _refusal(key, f"{name} has shape {tensors[name].shape}; expected {shape}")
    if kind != "image" and (tensors["event_table"] >= len(EVENT_TABLES)).any():
        raise _refusal(key, f"event_table names a table beyond the {len(EVENT_TABLES)} known")
    if facts["has"] != _has(tensors):
        raise _refusal(key, f"has is {facts['has']}, the arrays say {_has(tensors)}")


def _has(tensors: Mapping[str, Array]) -> dict[str, bool]:
    """Which modalities are there: those whose array is not empty."""
    arrays = {"hourly": "hourly", "events": "event_row", "static": "static"}
    return {name: array in tensors and tensors[array].size > 0 for name, array in arrays.items()}


def _require_keys(key: str | None, where: str, found: Any, expected: Any) -> None:
    if not isinstance(found, dict):
        raise _refusal(key, f"{where} is not an object")
    if found.keys() != set(expected):
        missing, extra = sorted(set(expected) - found.keys()), sorted(found.keys() - set(expected))
        raise _refusal(key, f"{where}: missing {missing}, unknown {extra}")


def _refusal(key: str | None, problem: str) -> ContractError:
    return ContractError(f"sample {key or '(no key)'}: {problem}; rebuild the dataset")

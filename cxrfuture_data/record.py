"""A sample and its bytes: typed fields on one side, WebDataset members on the other.

Reading is strict and safe: safetensors and JSON only, never pickle, and anything that is not
exactly what schema.py says is a ContractError that names the sample's key.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from cxrfuture_data.facts import IDS, read_facts, refusal, require_keys
from cxrfuture_data.film_member import NO_LATENT, encode_film, film_bytes, read_film
from cxrfuture_data.publish import canonical_json
from cxrfuture_data.sample import (
    Array,
    Film,
    GenerationWindow,
    History,
    ImageSample,
    PairSample,
    Sample,
    StaySample,
    Window,
)
from cxrfuture_data.schema import (
    ADMISSION_TEXTS,
    EVENT_TABLES,
    FILM_SUFFIXES,
    FILMS_OF_KIND,
    SAMPLE_MEMBER,
    STATIC,
    TENSORS_MEMBER,
    TENSORS_OF_KIND,
    VARIABLE_SETS,
    FilmsKept,
)

# Outcomes of a stay that are yes or no, and those that are numbers.
YES_OR_NO = ("died_in_hospital", "icu_transfer", "readmitted")
NUMBERS = ("remaining_hours", "label")
WINDOW_ARRAYS = ("hourly", "event_row", "event_hours", "event_end_hours", "event_table")

KIND_OF = {PairSample: "pair", StaySample: "stay", ImageSample: "image"}


def members_of(kind: str, *, films: FilmsKept) -> tuple[str, ...]:
    """The members of a kind, in the order in which they lie in a tar."""
    names = [SAMPLE_MEMBER, TENSORS_MEMBER]
    if films != "none":
        names += [role + FILM_SUFFIXES[films] for role in FILMS_OF_KIND[kind]]
    return tuple(sorted(names))


_MEMBERS_OF_KIND = {
    kind: [frozenset(members_of(kind, films=films)) for films in get_args(FilmsKept)]
    for kind in FILMS_OF_KIND
}


def encode(sample: Sample, *, films: FilmsKept) -> dict[str, bytes]:
    """Sample -> its members, with its films as they are kept. Equal samples give equal bytes."""
    facts, tensors = describe(sample, films=films)
    members: dict[str, bytes] = {}
    for role in FILMS_OF_KIND[facts["kind"]]:
        if films != "none":
            film: Film | None = getattr(sample, role)
            members[role + FILM_SUFFIXES[films]] = film_bytes(sample.key, role, film, films)
    members[SAMPLE_MEMBER] = canonical_json(facts).encode()
    members[TENSORS_MEMBER] = save_tensors(
        {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    )
    return {name: members[name] for name in sorted(members)}


def describe(sample: Sample, *, films: FilmsKept) -> tuple[dict[str, Any], dict[str, Array]]:
    """What ``sample.json`` and the tensors of a sample hold."""
    kind = KIND_OF[type(sample)]
    facts: dict[str, Any] = {
        "kind": kind,
        "key": sample.key,
        "recipe": sample.recipe,
        "split": sample.split,
        "ids": {name: getattr(sample, name) for name in IDS},
        "age": sample.age,
        "sex": sample.sex,
        "labels": {},
        "attributes": {},
    }
    tensors: dict[str, Array] = {}
    for role in FILMS_OF_KIND[kind]:
        encode_film(getattr(sample, role), role, films, facts, tensors)
    if isinstance(sample, PairSample | StaySample):
        _encode_window(sample, facts, tensors)
    if isinstance(sample, ImageSample):
        tensors["static"] = sample.static
    facts["has"] = _has(tensors)
    return facts, tensors


def _encode_window(
    sample: PairSample | StaySample, facts: dict[str, Any], tensors: dict[str, Array]
) -> None:
    window = sample.window
    facts["window"] = _encode_hours(window)
    facts["window"] |= {"variables": window.variables, "events": len(window.event_row)}
    facts |= {name: getattr(sample, name) for name in ADMISSION_TEXTS}
    facts["history"] = None if sample.history is None else _encode_history(sample.history)
    if isinstance(sample, PairSample):
        facts["outcomes"] = {"died_in_hospital": _as_integer(sample.died_in_hospital)}
        facts["gap_hours"] = sample.gap_hours
        facts["is_null_event"] = sample.is_null_event
        facts["changes"] = dict(sample.changes)
    else:
        facts["hours_since_previous"] = sample.hours_since_previous
        facts["prediction_at"] = sample.prediction_at.isoformat()
        found = sample.generation
        facts["generation"] = None if found is None else _encode_hours(found)
        tensors["generation_hourly"] = window.hourly[:0] if found is None else found.hourly
        phenotypes = sample.phenotypes
        facts["outcomes"] = {
            **{name: _as_integer(getattr(sample, name)) for name in YES_OR_NO},
            **{name: getattr(sample, name) for name in NUMBERS},
            "phenotypes": None if phenotypes is None else dict(phenotypes),
        }
    for name in WINDOW_ARRAYS:
        tensors[name] = getattr(window, name)


def _encode_hours(window: Window | GenerationWindow) -> dict[str, Any]:
    return {
        "start_at": window.start_at.isoformat(),
        "end_at": window.end_at.isoformat(),
        "hours": len(window.hourly),
        "hourly_start_hours": window.hourly_start_hours,
        "latest_event_at": window.latest_event_at and window.latest_event_at.isoformat(),
        "latest_known_at": window.latest_known_at and window.latest_known_at.isoformat(),
    }


def _encode_history(history: History) -> dict[str, Any]:
    return {
        "bmi": history.bmi,
        "earlier_admissions": history.earlier_admissions,
        "comorbidities": dict(history.comorbidities),
    }


def _as_integer(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _as_bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def decode(members: Mapping[str, Any]) -> Sample:
    """Members -> sample; the handler for ``webdataset.WebDataset(url).map(decode)``.

    Names that begin with ``__`` are WebDataset's own. The films of a kind are all there or all
    absent.
    """
    key = str(members.get("__key__", "")) or None
    return assemble(read_facts(members.get(SAMPLE_MEMBER), key), members)


def assemble(facts: Mapping[str, Any], members: Mapping[str, Any]) -> Sample:
    """What ``read_facts`` gave, and the members beside it -> sample. Of levels a prefix will do."""
    kind, key = facts["kind"], facts["key"]
    found = {name for name in members if not name.startswith("__")} | {SAMPLE_MEMBER}
    if found not in _MEMBERS_OF_KIND[kind]:
        some = members_of(kind, films="png")
        raise refusal(key, f"members {sorted(found)}; a {kind} has {some}, or films as levels")
    tensors = _read_tensors(members[TENSORS_MEMBER], key)
    _check_tensors(kind, key, tensors, facts)
    common = {name: facts[name] for name in ("key", "recipe", "split", "age", "sex")}
    fields: dict[str, Any] = common | facts["ids"]
    for role in FILMS_OF_KIND[kind]:
        fields[role] = read_film(role, facts, tensors, members)
    if kind == "image":
        return ImageSample(**fields, static=tensors["static"])
    outcomes = facts["outcomes"]
    fields["window"] = _read_window(facts["window"], tensors)
    fields |= {name: facts[name] for name in ADMISSION_TEXTS}
    fields["history"] = None if facts["history"] is None else History(**facts["history"])
    if kind == "pair":
        own = {name: facts[name] for name in ("gap_hours", "is_null_event", "changes")}
        return PairSample(**fields, **own, died_in_hospital=_as_bool(outcomes["died_in_hospital"]))
    fields |= {name: _as_bool(outcomes[name]) for name in YES_OR_NO}
    fields |= {name: outcomes[name] for name in (*NUMBERS, "phenotypes")}
    found = facts["generation"]
    hourly = tensors["generation_hourly"]
    return StaySample(
        **fields,
        generation=None if found is None else GenerationWindow(**_read_hours(found), hourly=hourly),
        hours_since_previous=facts["hours_since_previous"],
        prediction_at=datetime.fromisoformat(facts["prediction_at"]),
    )


def _read_window(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> Window:
    arrays: dict[str, Any] = {name: tensors[name] for name in WINDOW_ARRAYS}
    return Window(**_read_hours(facts), variables=facts["variables"], **arrays)


def _read_hours(facts: Mapping[str, Any]) -> dict[str, Any]:
    times = {
        name: datetime.fromisoformat(facts[name]) if facts[name] is not None else None
        for name in ("start_at", "end_at", "latest_event_at", "latest_known_at")
    }
    return times | {"hourly_start_hours": facts["hourly_start_hours"]}


def _read_tensors(member: bytes, key: str) -> dict[str, Array]:
    try:
        return dict(load_tensors(member))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise refusal(key, f"{TENSORS_MEMBER}: {error}") from None


def _check_tensors(
    kind: str, key: str, tensors: Mapping[str, Array], facts: Mapping[str, Any]
) -> None:
    expected = TENSORS_OF_KIND[kind]
    require_keys(key, TENSORS_MEMBER, tensors, expected.keys())
    for name, dtype in expected.items():
        if tensors[name].dtype != dtype:
            raise refusal(key, f"{name} is {tensors[name].dtype}; it must be {dtype}")
    is_missing = facts[FILMS_OF_KIND[kind][0]] is None
    latent = NO_LATENT.shape if is_missing else tensors[f"{FILMS_OF_KIND[kind][0]}_mean"].shape
    shapes: dict[str, tuple[int, ...]] = {
        name: latent for name, dtype in expected.items() if dtype == "float16"
    }
    if kind == "image":
        shapes["static"] = (len(STATIC) if tensors["static"].size else 0,)
    else:
        hours, events = facts["window"]["hours"], facts["window"]["events"]
        variables = VARIABLE_SETS[facts["window"]["variables"]]
        shapes |= dict.fromkeys(WINDOW_ARRAYS, (events,)) | {"hourly": (hours, len(variables))}
        if kind == "stay":
            generation = facts["generation"] or {"hours": 0}
            shapes["generation_hourly"] = (generation["hours"], len(variables))
    for name, shape in shapes.items():
        if tensors[name].shape != shape or (name.endswith("_mean") and len(shape) != 3):
            raise refusal(key, f"{name} has shape {tensors[name].shape}; expected {shape}")
    if not is_missing and 0 in latent:
        raise refusal(key, f"a latent has shape {latent}, and no value")
    if kind != "image" and (tensors["event_table"] >= len(EVENT_TABLES)).any():
        raise refusal(key, f"event_table names a table beyond the {len(EVENT_TABLES)} known")
    if facts["has"] != _has(tensors):
        raise refusal(key, f"has is {facts['has']}, the arrays say {_has(tensors)}")


def _has(tensors: Mapping[str, Array]) -> dict[str, bool]:
    """Which modalities are there: those whose array is not empty."""
    arrays = {
        "hourly": "hourly",
        "events": "event_row",
        "static": "static",
        "previous": "previous_mean",
    }
    return {name: array in tensors and tensors[array].size > 0 for name, array in arrays.items()}

"""Croissant's file sets and record sets of a dataset: what its tars hold, member by member.

A path of ``sample.json`` is a field only where every sample of its kind has it: readers of
Croissant know no default. What is inside a film or history that a stay may lack is left out.
"""

from collections.abc import Iterable
from typing import Any

from cxrfuture_data.schema import (
    FILM_SUFFIXES,
    FILMS_OF_KIND,
    FINDINGS,
    SAMPLE_MEMBER,
    SPLITS,
    TENSORS_MEMBER,
)
from etl.card_facts import CardFacts

Node = dict[str, Any]
Path = tuple[str, str, str]  # in sample.json, type, words

_KINDS_OF_SPLIT = {"train": "TrainingSplit", "valid": "ValidationSplit", "test": "TestSplit"}
_EVERY_KIND: tuple[Path, ...] = (
    ("recipe", "sc:Text", "Whose rules made it"),
    ("age", "sc:Float", "Years, when the window begins, or of the film; over 89: 91"),
    ("sex", "sc:Text", "F or M"),
    ("ids.subject_id", "sc:Integer", "MIMIC's patient"),
    ("ids.hadm_id", "sc:Integer", "MIMIC's admission, or null"),
    ("ids.stay_id", "sc:Integer", "MIMIC's ICU stay, or null"),
)
_WINDOW: tuple[Path, ...] = (
    ("race", "sc:Text", "As the admission says, or null"),
    ("insurance", "sc:Text", "As the admission says, or null"),
    ("window.start_at", "sc:DateTime", "The window begins; dates are moved per patient"),
    ("window.end_at", "sc:DateTime", "The window ends"),
    ("window.latest_event_at", "sc:DateTime", "When the last of it happened, or null"),
    ("window.latest_known_at", "sc:DateTime", "When the last of it could be known, or null"),
    ("window.hours", "sc:Integer", "Rows of the tensor hourly"),
    ("window.events", "sc:Integer", "Length of the tensors event_*"),
    ("outcomes.died_in_hospital", "sc:Integer", "1, 0, or null: not known"),
)
_OF_KIND: dict[str, tuple[Path, ...]] = {
    "pair": (
        *_WINDOW,
        ("gap_hours", "sc:Float", "Hours from the previous film to the target"),
        ("is_null_event", "sc:Boolean", "Whether the target is the previous film itself"),
    ),
    "stay": (
        *_WINDOW,
        ("prediction_at", "sc:DateTime", "When the outcomes are predicted"),
        ("hours_since_previous", "sc:Float", "Hours from the film to the prediction, or null"),
        ("outcomes.remaining_hours", "sc:Float", "Hours until discharge, or null"),
        ("outcomes.icu_transfer", "sc:Integer", "1, 0, or null: not known"),
        ("outcomes.readmitted", "sc:Integer", "1, 0, or null: not known"),
    ),
    "image": (),
}
_FILM: tuple[Path, ...] = (
    ("study_id", "sc:Integer", "MIMIC's study"),
    ("dicom_id", "sc:Text", "MIMIC's film"),
    ("taken_at", "sc:DateTime", "When it was taken; the date is moved per patient"),
    ("view", "sc:Text", "AP or PA"),
)
# Of a stay's film: the whole may be null.
_CERTAIN_FILMS = {"pair": FILMS_OF_KIND["pair"], "stay": (), "image": FILMS_OF_KIND["image"]}
_KEY = r"^([0-9a-f]+)\."


def file_sets(facts: CardFacts) -> list[Node]:
    """For each kind, its members of one sort in all its tars."""
    return [one for kind in facts.kinds_with_samples for one in _file_sets_of(facts, kind)]


def _file_sets_of(facts: CardFacts, kind: str) -> list[Node]:
    formats = {
        SAMPLE_MEMBER: (f"{kind}_samples", "application/json"),
        TENSORS_MEMBER: (f"{kind}_safetensors", "https://github.com/huggingface/safetensors"),
    }
    sets = [_file_set(facts, kind, *formats[name], [f"*.{name}"]) for name in formats]
    kept = facts.manifest.films_kept
    if kept != "none":
        suffix = FILM_SUFFIXES[kept]
        encoding = "image/png" if kept == "png" else "application/octet-stream"
        globs = [f"*.{role}{suffix}" for role in FILMS_OF_KIND[kind]]
        sets.append(_file_set(facts, kind, f"{kind}_film_files", encoding, globs))
    return sets


def _file_set(facts: CardFacts, kind: str, name: str, encoding: str, globs: list[str]) -> Node:
    tars = [f"{split}/{shard.name}" for split, of, shard in facts.manifest.shards() if of == kind]
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "containedIn": [{"@id": tar} for tar in sorted(tars)],
        "encodingFormat": encoding,
        "includes": globs,
    }


def record_sets(facts: CardFacts) -> list[Node]:
    """Splits; for each kind its samples, its films where every sample has them, its tensors."""
    sets = [_splits()]
    for kind in facts.kinds_with_samples:
        sets += [_samples(kind), _texts(kind)]
        if facts.manifest.films_kept == "png" and facts.has_all_films(kind):
            sets.append(_films(kind))
        sets.append(_tensors(facts, kind))
    return sets


def _splits() -> Node:
    name = "splits"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": "By patient",
        "dataType": "cr:Split",
        "key": {"@id": f"{name}/name"},
        "field": [
            _field(name, "name", "sc:Text", "Folder of the split"),
            _field(name, "url", "sc:URL", "What it is for"),
        ],
        "data": [
            {f"{name}/name": split, f"{name}/url": f"cr:{_KINDS_OF_SPLIT[split]}"}
            for split in SPLITS
        ],
    }


def _samples(kind: str) -> Node:
    """What sample.json says."""
    paths: list[Path] = [("key", "sc:Text", "Names the sample: a hash"), *_EVERY_KIND]
    paths += _OF_KIND[kind]
    for role in _CERTAIN_FILMS[kind]:
        paths += [(f"{role}.{name}", *rest) for name, *rest in _FILM]  # type: ignore[misc]
    fields = [_json_field(kind, *path) for path in paths]
    split = _json_field(kind, "split", "sc:Text", "Its patient's split")
    fields.append(split | {"references": {"field": {"@id": "splits/name"}}})
    fields += [field for role in _CERTAIN_FILMS[kind] for field in _labels(kind, role)]
    return {
        "@type": "cr:RecordSet",
        "@id": kind,
        "name": kind,
        "description": f"Samples of the kind {kind}, as {SAMPLE_MEMBER} describes them",
        "key": {"@id": f"{kind}/key"},
        "field": fields,
    }


def _labels(kind: str, role: str) -> list[Node]:
    words = "1 present, 0 absent, -1 uncertain, null: the report does not mention it"
    return [
        _json_field(kind, f"labels.{role}.{finding}", "sc:Integer", words)
        | {"dataType": ["sc:Integer", "cr:Label"]}
        for finding in FINDINGS
    ]


def _texts(kind: str) -> Node:
    """sample.json whole, for readers that cannot look into JSON inside a tar (mlcroissant 1.1)."""
    name, files = f"{kind}_json", f"{kind}_samples"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{SAMPLE_MEMBER} of samples of the kind {kind}, as text",
        "field": [
            _field(name, "key", "sc:Text", "Of the sample") | _file_name(files, _KEY),
            _field(name, "json", "sc:Text", "JSON") | _content(files),
        ],
    }


def _films(kind: str) -> Node:
    """The films of samples, one a record."""
    name, files = f"{kind}_films", f"{kind}_film_files"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The films of samples of the kind {kind}",
        "field": [
            _field(name, "key", "sc:Text", "Of its sample") | _file_name(files, _KEY),
            _field(name, "role", "sc:Text", " or ".join(FILMS_OF_KIND[kind]))
            | _file_name(files, r"^[0-9a-f]+\.([a-z]+)\."),
            _field(name, "film", "sc:ImageObject", "Grey, 8 bits") | _content(files),
        ],
    }


def _file_name(files: str, regex: str) -> Node:
    extract = {"fileProperty": "filename"}
    source = {"fileSet": {"@id": files}, "extract": extract, "transform": {"regex": regex}}
    return {"source": source}


def _content(files: str) -> Node:
    return {"source": {"fileSet": {"@id": files}, "extract": {"fileProperty": "content"}}}


def _tensors(facts: CardFacts, kind: str) -> Node:
    """A record a tensor: Croissant has no way to look into safetensors."""
    name = f"{kind}_tensors"
    words = ("name", "dtype", "shape", "description")
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The tensors of {TENSORS_MEMBER}; -1: as long as the window",
        "key": {"@id": f"{name}/name"},
        "field": [_field(name, word, "sc:Text", word) for word in words],
        "data": [
            dict(
                zip(
                    (f"{name}/{word}" for word in words),
                    (tensor.name, tensor.dtype, tensor.shape, tensor.words),
                    strict=True,
                )
            )
            for tensor in facts.tensors(kind)
        ],
    }


def _json_field(kind: str, path: str, data_type: str, words: str) -> Node:
    parts = path.split(".")
    field = _field(kind, "/".join(parts), data_type, words)
    extract = {"jsonPath": _json_path(parts)}
    return field | {"source": {"fileSet": {"@id": f"{kind}_samples"}, "extract": extract}}


def _json_path(parts: Iterable[str]) -> str:
    return ".".join(f"'{part}'" if " " in part else part for part in parts)


def _field(of: str, name: str, data_type: str, words: str) -> Node:
    return {
        "@type": "cr:Field",
        "@id": f"{of}/{name}".replace(" ", "_"),
        "name": name,
        "description": words,
        "dataType": data_type,
    }

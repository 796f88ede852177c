"""Where a build comes from: sources, code, settings, models."""

import json
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from etl.report.facts import Section, Words
from etl.report.material import Material
from etl.report.tally import Draft
from etl.shard_facts import read_json

PACKAGES = ("cxrfuture", "duckdb", "numpy", "pillow", "polars", "pyarrow", "pydicom", "torch")
NAMES = {"mimic_iv": "MIMIC-IV", "mimic_cxr_jpg": "MIMIC-CXR-JPG"}
NONE = "none"
# Settings that may name a file of the user's.
PLACED = (("cohort", "index"), ("split", "lists"), ("window", "text"))
NOT_PLACES = ("", "plain")
OWN_PLACE = "a file of one's own"


def origin_of(material: Material) -> str:
    """Whose data it is, in words that cannot be mistaken."""
    source = _source(material)
    simulated = material.manifest.simulated
    tables, films = (f"{NAMES[key]} {source[key]['version']}" for key in NAMES)
    if simulated.tables and simulated.films:
        return f"Simulated: of no patient (shaped like {tables} and {films})"
    if simulated.films:
        return f"Tables of {tables}; films are simulated"
    if simulated.tables:
        return f"Simulated tables (shaped like {tables}); films of {films}"
    return f"{tables} and {films}"


def _source(material: Material) -> Mapping[str, Any]:
    return read_json(material.path("ingest", "source.json"))


def describe_provenance(material: Material) -> Section | None:
    draft = Draft(
        "provenance",
        "Provenance",
        [
            "What this build was made from. With the same sources, settings, models and versions"
            " the shards come out the same, byte for byte: compare digests to know that two builds"
            " are one.",
        ],
    )
    manifest = material.manifest
    source = _source(material)
    draft.add(
        Words(
            "made_from",
            "Made from",
            [
                *((NAMES[key], _title(source[key])) for key in NAMES),
                ("Licence", manifest.licence),
                ("Digest of the ingested tables", manifest.input_digest),
                ("Digest of the params", manifest.params_digest),
                ("Digest of all that the shards are made from", manifest.made_from),
                ("Commit of the code", manifest.git_commit or "not known"),
                ("Autoencoder's weights", manifest.weights.vae),
                ("Embedder's weights", manifest.weights.embedder or NONE),
            ],
        )
    )
    draft.add(Words("settings", "Settings of the recipe", list(_settings(material))))
    corrections = list(_corrections(material))
    if corrections:
        draft.add(Words("corrections", "Corrections of what was published", corrections))
    draft.add(Words("versions", "Versions", list(_versions(material))))
    draft.add(Words("places", "Places", list(_places(material)), is_shareable=False))
    return draft.finish()


def _places(material: Material) -> Iterator[tuple[str, str]]:
    """And what a user wrote or named in his own words."""
    source = _source(material)
    yield "Build", str(material.params.build(material.recipe.name))
    for key in NAMES:
        yield NAMES[key], str(source[key]["root"])
    for section, name in PLACED:
        value = getattr(getattr(material.recipe, section), name, "")
        if value not in NOT_PLACES:
            yield f"{section}.{name}", value
    yield "Embedder", material.manifest.embeddings.model or NONE
    yield "Attestation", material.manifest.attestation or NONE


def _title(source: Mapping[str, Any]) -> str:
    return f"{source['version']}{', simulated' if source['simulated'] else ''}"


def _settings(material: Material) -> Iterator[tuple[str, str]]:
    recipe = material.recipe
    yield "Recipe", recipe.name
    yield "Paper", recipe.paper
    yield "Fidelity", recipe.fidelity
    yield "Availability", recipe.availability
    for name in ("cohort", "split", "window", "labels", "image"):
        body = getattr(recipe, name).model_dump(mode="json")
        for key, value in body.items():
            is_place = (name, key) in PLACED and value not in NOT_PLACES
            yield f"{name}.{key}", OWN_PLACE if is_place else _spell(value)
    rule = getattr(recipe, "events", None)
    if rule is not None:
        for key, value in rule.model_dump(mode="json").items():
            yield f"events.{key}", _spell(value)
    yield "Films kept", material.manifest.films_kept


def _spell(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _corrections(material: Material) -> Iterator[tuple[str, str]]:
    """Each with the section of the specification that it answers, and whether it is in force."""
    recipe = material.recipe
    for name, section in sorted(recipe.corrections.items()):
        state = section if recipe.is_in_force(name) else f"not in force: {section}"
        yield name.replace("_", " "), state


def _versions(material: Material) -> Iterator[tuple[str, str]]:
    yield "Schema of the dataset", str(material.manifest.schema_version)
    yield "Python", platform.python_version()
    for package in PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            yield package, "not installed"

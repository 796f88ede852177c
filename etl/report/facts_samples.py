"""How many samples, patients and films there are; and who they are: Table 1."""

import numpy as np

from cxrfuture_data.columns import NO_ID
from cxrfuture_data.schema import FILMS_OF_KIND
from etl.report.facts import Counts, Section
from etl.report.material import KIND_WORDS, Material
from etl.report.tally import (
    Draft,
    Heading,
    count_words,
)

YES, NO = "yes", "no"


def describe_samples(material: Material) -> Section | None:
    draft = Draft(
        "samples",
        "Samples and patients",
        [
            "What was built, by kind and split. A patient is in one split only; a patient with"
            " many films or admissions gives many samples, so compare both tables.",
            "Look for a split that is empty or too small to judge a model by.",
        ],
    )
    samples = {kind: _samples(material, kind) for kind in material.kinds}
    draft.draw(
        _counts(material, samples, Heading("samples", "Samples", "kind")),
        "bars",
        "Samples of each kind by split. Look for splits far from the shares that the recipe asks"
        " for: patients are split, not samples.",
    )
    for key, unit, found in (
        ("patients", "patients", _distinct(material, "subject_id")),
        ("admissions", "admissions", _distinct(material, "hadm_id")),
        ("films", "films", _films(material)),
    ):
        if found:
            heading = Heading(key, f"{unit.capitalize()} with a sample", "kind", unit)
            draft.add(_counts(material, found, heading))
    if "pair" in material.kinds:
        is_null = material.of("pair", "is_null_event")
        if any(column.any() for column in is_null.values()):
            words = {split: np.where(column, YES, NO) for split, column in is_null.items()}
            heading = Heading(
                "null_pairs", "Pairs without events in between, by rule", "null event"
            )
            draft.add(count_words(heading, words, (YES, NO)))
    return draft.finish()


def _samples(material: Material, kind: str) -> dict[str, int]:
    return {split: columns.samples for split, columns in material.columns(kind).items()}


def _distinct(material: Material, name: str) -> dict[str, dict[str, int]]:
    """Distinct ids by kind and split, of kinds that have any."""
    found = {
        kind: {
            split: len(np.unique(column[column != NO_ID]))
            for split, column in material.of(kind, name).items()
        }
        for kind in material.kinds
    }
    return {kind: counted for kind, counted in found.items() if any(counted.values())}


def _films(material: Material) -> dict[str, dict[str, int]]:
    return {
        kind: {
            split: len(
                set(
                    np.concatenate([columns[f"{r}.dicom_id"] for r in FILMS_OF_KIND[kind]]).tolist()
                )
                - {""}
            )
            for split, columns in material.columns(kind).items()
        }
        for kind in material.kinds
    }


def _counts(material: Material, found: dict[str, dict[str, int]], heading: Heading) -> Counts:
    """Kinds by split; the splits of a kind add up to its headline."""
    return Counts(
        key=heading.key,
        caption=heading.caption,
        corner=heading.corner,
        unit=heading.unit,
        rows=[KIND_WORDS[kind] for kind in found],
        columns=material.splits,
        values=[list(counted.values()) for counted in found.values()],
        rows_add_up=False,
    )


def headline(material: Material) -> list[tuple[str, int]]:
    """Samples of each kind, patients, films and events of windows."""
    patients = set().union(*(material.patients(split) for split in material.splits))
    films = set().union(*(material.films(split) for split in material.splits))
    events = sum(
        int(column.sum())
        for kind in material.windowed
        for column in material.of(kind, "events").values()
    )
    numbers = [(KIND_WORDS[kind], material.count(kind)) for kind in material.kinds]
    numbers += [("patients", len(patients)), ("films", len(films))]
    return [*numbers, ("events in windows", events)] if events else numbers

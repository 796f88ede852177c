"""How many samples, patients and films there are; and who they are: Table 1."""

import re

import numpy as np

from cxrfuture_data.columns import NO_ID
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import COMORBIDITIES, FILMS_OF_KIND
from etl.report.facts import Counts, Section
from etl.report.length_of_stay import stay_days
from etl.report.material import KIND_WORDS, Material, as_floats
from etl.report.tally import (
    NOT_KNOWN,
    Bins,
    BySplit,
    Draft,
    Heading,
    count_bins,
    count_true,
    count_words,
    spread_of,
)

YES, NO = "yes", "no"
NO_PAST = "no earlier coded admission"
# Charlson's weights, in the order of COMORBIDITIES (Charlson 1987); of three diseases only the
# graver form counts.
CHARLSON = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 6, 6)
GRAVER = {
    "mild liver disease": "moderate or severe liver disease",
    "diabetes without chronic complication": "diabetes with chronic complication",
    "malignancy": "metastatic solid tumour",
}
OLDEST = 90  # MIMIC gives all older patients one age
AGES = Bins(
    (0, 18, 30, 40, 50, 60, 70, 80, OLDEST),
    (
        "under 18",
        "18-29",
        "30-39",
        "40-49",
        "50-59",
        "60-69",
        "70-79",
        "80-89",
        f"{OLDEST} or more",
    ),
)


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


def describe_people(material: Material, kind: str) -> Section | None:
    """Table 1 of a kind."""
    words = KIND_WORDS[kind]
    draft = Draft(
        f"table1-{kind}",
        f"Table 1: {words}",
        [
            f"Who the {words} are of, by split. Each sample counts, so a patient with ten of them"
            " counts ten times.",
            "Look for splits that differ (Distance of the splits says how much), and for groups"
            " with so few samples that nothing can be said of them.",
        ],
    )
    if not material.count(kind):
        return None
    sex = {
        split: np.where(male, "male", "female") for split, male in _of(material, kind, "is_male")
    }
    draft.add(count_words(Heading(f"{kind}_sex", "Sex", "sex"), sex, ("female", "male")))
    heading = Heading(f"{kind}_age", "Age", "age")
    draft.draw(
        _without_empty(count_bins(heading, material.of(kind, "age"), AGES)),
        "histogram",
        f"Ages of the samples. MIMIC gives all patients above 89 one age, so {OLDEST} is open.",
    )
    if kind != "image":
        _add_admission(draft, material, kind)
        _add_history(draft, material, kind)
    draft.add(
        spread_of(Heading(f"{kind}_spread", "Numbers", "number"), _numbers(material, kind)),
    )
    return draft.finish()


def _of(material: Material, kind: str, name: str) -> list[tuple[str, Array]]:
    return list(material.of(kind, name).items())


def _without_empty(counts: Counts) -> Counts:
    """Without bins before the first and after the last that has a sample."""
    full = [at for at, row in enumerate(counts.values) if any(row)]
    kept = slice(full[0], full[-1] + 1) if full else slice(0)
    of = counts.of[kept] if counts.of is not None else None
    rows, values = counts.rows[kept], counts.values[kept]
    return Counts(**vars(counts) | {"rows": rows, "values": values, "of": of})


def _add_admission(draft: Draft, material: Material, kind: str) -> None:
    race = {split: group_race(column) for split, column in _of(material, kind, "race")}
    draft.add(count_words(Heading(f"{kind}_race", "Race, as MIMIC's first word", "race"), race))
    insurance = material.of(kind, "insurance")
    draft.add(count_words(Heading(f"{kind}_insurance", "Insurance", "insurance"), insurance))
    in_icu = {split: column != NO_ID for split, column in _of(material, kind, "stay_id")}
    if any(column.any() for column in in_icu.values()):
        words = {split: np.where(column, YES, NO) for split, column in in_icu.items()}
        draft.add(count_words(Heading(f"{kind}_icu", "In an ICU stay", "ICU stay"), words))
    died = material.of(kind, "died_in_hospital")
    draft.add(count_flags(Heading(f"{kind}_died", "Died in hospital", "died"), died))


def count_flags(heading: Heading, flags: BySplit) -> Counts:
    """Of a column of 1, 0 and -1, not known."""
    words = {
        split: np.select([column == 1, column == 0], [YES, NO], NOT_KNOWN)
        for split, column in flags.items()
    }
    return count_words(heading, words, (YES, NO))


def group_race(race: Array) -> Array:
    """``WHITE - RUSSIAN`` and ``WHITE`` are White, ``BLACK/AFRICAN AMERICAN`` is Black."""
    if not len(race):
        return race
    known, at = np.unique(race, return_inverse=True)
    first = [re.split(r" - |/| OR ", text)[0].strip().capitalize() for text in known.tolist()]
    return np.array(first)[at]


def _add_history(draft: Draft, material: Material, kind: str) -> None:
    """Comorbidities, where the recipe has them; of patients with earlier admissions."""
    has_past = {s: column > 0 for s, column in _of(material, kind, "earlier_admissions")}
    if not any(column.any() for column in has_past.values()):
        return
    tables = material.of(kind, "comorbidities")
    flags = {
        name: {split: (table[:, at] == 1) & has_past[split] for split, table in tables.items()}
        for at, name in enumerate(COMORBIDITIES)
    }
    flags[NO_PAST] = {split: ~column for split, column in has_past.items()}
    draft.draw(
        count_true(Heading(f"{kind}_comorbidity", "Comorbidities", "comorbidity"), flags),
        "points",
        "Share with each of Charlson's comorbidities, a dot a split. Look for dots far apart. They"
        " are of earlier admissions: an admission's own diagnoses are coded at its discharge.",
    )


def charlson_scores(table: Array) -> Array:
    """(N, 17) of 0 and 1 -> (N,) Charlson's score."""
    counted = table.astype(np.int64)
    for mild, grave in GRAVER.items():
        counted[table[:, COMORBIDITIES.index(grave)] == 1, COMORBIDITIES.index(mild)] = 0
    return (counted @ np.array(CHARLSON)).astype(np.float64)


def _numbers(material: Material, kind: str) -> dict[str, BySplit]:
    numbers: dict[str, BySplit] = {"Age, years": material.of(kind, "age")}
    if kind == "image":
        return numbers
    past = material.of(kind, "earlier_admissions")
    scores = {
        split: np.where(past[split] > 0, charlson_scores(table), np.nan)
        for split, table in material.of(kind, "comorbidities").items()
    }
    numbers |= {
        "Earlier admissions": as_floats(past, NO_ID),
        "Charlson's score, of those with earlier admissions": scores,
        "Body mass index, kg/m2": material.of(kind, "bmi"),
    }
    numbers |= stay_days(material, kind)
    if material.recipe.window.hourly:
        numbers["Hours in the window's record"] = as_floats(material.of(kind, "hours"))
    if material.recipe.window.events:
        numbers["Events in the window"] = as_floats(material.of(kind, "events"))
    if kind == "pair":
        return numbers | {"Hours between the films": material.of(kind, "gap_hours")}
    return numbers | {
        "Hours since the last film": material.of(kind, "hours_since_previous"),
        "Hours left in hospital": material.of(kind, "remaining_hours"),
        "Label of the index": material.of(kind, "label"),
    }

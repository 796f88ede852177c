"""Table 1: who the samples are of, a patient once, and what is known of each sample.

What is a patient's counts patients, so that what is small is told by patients too: of each the
first sample of the kind, in time.
"""

import re

import numpy as np

from cxrfuture_data.columns import NO_ID
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import COMORBIDITIES
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
# When a sample of each kind is, for the order of a patient's.
TIME = {"pair": "target.taken_at", "stay": "prediction_at", "image": "image.taken_at"}


def describe_people(material: Material, kind: str) -> Section | None:
    words = KIND_WORDS[kind]
    draft = Draft(
        f"table1-{kind}",
        f"Table 1: {words}",
        [
            f"Who the {words} are of, by split: each patient once, as in the first of the patient's"
            f" {words}. Tables that say so count the {words} themselves.",
            "Look for splits that differ (Distance of the splits says how much), and for groups"
            " with so few patients that nothing can be said of them.",
        ],
    )
    if not material.count(kind):
        return None
    people = People(material, kind)
    male = people.of("is_male")
    sex = {split: np.where(column, "male", "female") for split, column in male.items()}
    draft.add(count_words(people.heading("sex", "Sex"), sex, ("female", "male")))
    draft.draw(
        _without_empty(count_bins(people.heading("age", "Age"), people.of("age"), AGES)),
        "histogram",
        f"Ages of the patients. MIMIC gives all patients above 89 one age, so {OLDEST} is open.",
    )
    if kind != "image":
        _add_admission(draft, people)
        _add_history(draft, people)
        _add_samples(draft, material, kind)
    heading = Heading(f"{kind}_patient_spread", "Numbers of the patients", "number")
    draft.add(spread_of(heading, _patient_numbers(people)))
    numbers = _sample_numbers(material, kind)
    if numbers:
        heading = Heading(f"{kind}_spread", f"Numbers of the {words}", "number")
        draft.add(spread_of(heading, numbers))
    return draft.finish()


class People:
    """The first sample, in time, of each patient with samples of a kind."""

    def __init__(self, material: Material, kind: str) -> None:
        self.kind, self._columns = kind, material.columns(kind)
        self._first = {
            split: first_of_each_patient(columns["subject_id"], columns[TIME[kind]])
            for split, columns in self._columns.items()
        }
        self.stay_days = {
            name: self.choose(columns) for name, columns in stay_days(material, kind).items()
        }

    def of(self, name: str) -> dict[str, Array]:
        """A column, a patient a value."""
        return self.choose({split: columns[name] for split, columns in self._columns.items()})

    def choose(self, columns: BySplit) -> dict[str, Array]:
        return {split: column[self._first[split]] for split, column in columns.items()}

    def heading(self, name: str, caption: str) -> Heading:
        return Heading(f"{self.kind}_{name}", caption, name, "patients")


def first_of_each_patient(subjects: Array, times: Array) -> Array:
    """Positions."""
    order = np.lexsort((times.astype(np.int64), subjects))
    _, first = np.unique(subjects[order], return_index=True)
    return order[first]


def _without_empty(counts: Counts) -> Counts:
    """Without bins before the first and after the last that has a sample."""
    full = [at for at, row in enumerate(counts.values) if any(row)]
    kept = slice(full[0], full[-1] + 1) if full else slice(0)
    of = counts.of[kept] if counts.of is not None else None
    rows, values = counts.rows[kept], counts.values[kept]
    return Counts(**vars(counts) | {"rows": rows, "values": values, "of": of})


def _add_admission(draft: Draft, people: People) -> None:
    race = {split: group_race(column) for split, column in people.of("race").items()}
    draft.add(count_words(people.heading("race", "Race, as MIMIC's first word"), race))
    draft.add(count_words(people.heading("insurance", "Insurance"), people.of("insurance")))


def _add_samples(draft: Draft, material: Material, kind: str) -> None:
    """Each sample counts."""
    words = KIND_WORDS[kind]
    stays = material.of(kind, "stay_id")
    if len({bool(found) for column in stays.values() for found in column != NO_ID}) > 1:
        in_icu = {split: np.where(column != NO_ID, YES, NO) for split, column in stays.items()}
        heading = Heading(f"{kind}_icu", f"In an ICU stay: {words}", "ICU stay")
        draft.add(count_words(heading, in_icu, (YES, NO)))
    heading = Heading(f"{kind}_died", f"Died in hospital: {words}", "died")
    draft.add(count_flags(heading, material.of(kind, "died_in_hospital")))


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


def _add_history(draft: Draft, people: People) -> None:
    """Comorbidities, where the recipe has them."""
    has_past = {s: column > 0 for s, column in people.of("earlier_admissions").items()}
    if not any(column.any() for column in has_past.values()):
        return
    tables = people.of("comorbidities")
    flags = {
        name: {split: (table[:, at] == 1) & has_past[split] for split, table in tables.items()}
        for at, name in enumerate(COMORBIDITIES)
    }
    flags[NO_PAST] = {split: ~column for split, column in has_past.items()}
    draft.draw(
        count_true(people.heading("comorbidity", "Comorbidities"), flags),
        "points",
        "Share of patients with each of Charlson's comorbidities, a dot a split. They"
        " are of earlier admissions: an admission's own diagnoses are coded at its discharge.",
    )


def charlson_scores(table: Array) -> Array:
    """(N, 17) of 0 and 1 -> (N,) Charlson's score."""
    counted = table.astype(np.int64)
    for mild, grave in GRAVER.items():
        counted[table[:, COMORBIDITIES.index(grave)] == 1, COMORBIDITIES.index(mild)] = 0
    return (counted @ np.array(CHARLSON)).astype(np.float64)


def _patient_numbers(people: People) -> dict[str, BySplit]:
    numbers: dict[str, BySplit] = {"Age, years": people.of("age")}
    if people.kind == "image":
        return numbers
    past, tables = people.of("earlier_admissions"), people.of("comorbidities")
    scores = {
        split: np.where(past[split] > 0, charlson_scores(table), np.nan)
        for split, table in tables.items()
    }
    return numbers | {
        "Earlier admissions": as_floats(past, NO_ID),
        "Charlson's score, of those with earlier admissions": scores,
        "Body mass index, kg/m2": people.of("bmi"),
        **people.stay_days,
    }


def _sample_numbers(material: Material, kind: str) -> dict[str, BySplit]:
    numbers: dict[str, BySplit] = {}
    if kind == "image":
        return numbers
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

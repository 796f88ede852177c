"""The columns that samples are filtered and sorted by: names, units, words. No id and no time.

A column is of numbers, or of words: every sample has the code of a word. The words of a closed
column are the same in every dataset; those of an open one (race, view) are the dataset's own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cxrfuture_data.labels import FINDING_CHANGES
from cxrfuture_data.schema import COMORBIDITIES, FILMS_OF_KIND, FINDINGS, PHENOTYPES

Form = Literal["number", "word", "finding"]

NO_YES = ("no", "yes")
NO_YES_UNKNOWN = ("no", "yes", "not known")
FINDING_WORDS = ("absent", "present", "uncertain", "not said")
CHANGE_WORDS = (*FINDING_CHANGES, "not known")
NOT_RECORDED = "not recorded"


@dataclass(frozen=True, kw_only=True)
class Column:
    """``values``: the words of a closed column, in the order of their codes; of an open one None.

    ``is_listed``: shown in the list of samples without being asked for.
    """

    name: str
    label: str
    form: Form
    unit: str = ""
    values: tuple[str, ...] | None = None
    is_listed: bool = False

    def facts(self, values: Sequence[str] | None, ends: Sequence[float | None]) -> dict[str, Any]:
        """As JSON: with the words, or the smallest and largest number, of a dataset."""
        return {
            "name": self.name,
            "label": self.label,
            "form": self.form,
            "unit": self.unit,
            "values": None if values is None else list(values),
            "min": ends[0],
            "max": ends[1],
            "is_listed": self.is_listed,
        }


def _number(name: str, label: str, unit: str = "") -> Column:
    return Column(name=name, label=label, form="number", unit=unit)


def _word(name: str, label: str, values: tuple[str, ...] | None = None) -> Column:
    return Column(name=name, label=label, form="word", values=values)


def _listed(columns: Iterable[Column]) -> list[Column]:
    return [replace(column, is_listed=True) for column in columns]


_PATIENT = [_number("age", "age", "years"), _word("sex", "sex", ("F", "M"))]
_WINDOW = [
    _number("window_hours", "window", "h"),
    _number("events", "events"),
    _word("died_in_hospital", "died in hospital", NO_YES_UNKNOWN),
]
_ADMISSION = [
    _number("hours", "hours of the record", "h"),
    _word("race", "race"),
    _word("insurance", "insurance"),
    _number("bmi", "body mass index", "kg/m2"),
    _number("earlier_admissions", "earlier admissions"),
]
_STAY = [
    _word("icu_transfer", "moved to the ICU", NO_YES_UNKNOWN),
    _word("readmitted", "admitted again", NO_YES_UNKNOWN),
    _number("remaining_hours", "hours left in hospital", "h"),
    _number("label", "label of the index file"),
    _number("generation_hours", "hours a film is generated from", "h"),
]


def columns_of(kind: str) -> list[Column]:
    """Those of a kind of samples, in the order in which a page shows them."""
    views = [_word(f"{role}.view", f"view, {role}") for role in FILMS_OF_KIND[kind]]
    findings = [
        Column(
            name=f"{role}.{finding}",
            label=f"{finding}, {role}",
            form="finding",
            values=FINDING_WORDS,
        )
        for role in FILMS_OF_KIND[kind]
        for finding in FINDINGS
    ]
    if kind == "image":
        own = _listed([*_PATIENT, *views])
        return [*own, _word("has_static", "static values", NO_YES), *findings]
    comorbidities = [
        _word(f"comorbidity.{name}", f"{name}, earlier", NO_YES) for name in COMORBIDITIES
    ]
    if kind == "pair":
        first = [_number("gap_hours", "gap between films", "h"), *_PATIENT, *_WINDOW, *views]
        changes = [_word(f"change.{name}", f"{name}, change", CHANGE_WORDS) for name in FINDINGS]
        null = _word("is_null_event", "null event", NO_YES)
        return [*_listed(first), null, *_ADMISSION, *findings, *changes, *comorbidities]
    since = _number("hours_since_previous", "since the previous film", "h")
    phenotypes = [
        _word(f"phenotype.{name}", f"{name}, phenotype", NO_YES_UNKNOWN) for name in PHENOTYPES
    ]
    has = _word("previous.has", "has a previous film", NO_YES)
    first = _listed([since, *_PATIENT, *_WINDOW, *views])
    return [*first, has, *_ADMISSION, *_STAY, *findings, *phenotypes, *comorbidities]

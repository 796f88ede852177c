"""Patients and their planned visits: who comes, when, why, and to which units.

Times are int64 seconds since 1970. What becomes of them is decided in ``course``.
"""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from etl.simulate.draw import Array, Draw, Numbers

HOUR = 3600
DAY = 24 * HOUR
LEAD_HOURS = 24  # every course begins a day before admission, so that ED films have a state

HEART_FAILURE, PNEUMONIA, SEPSIS, SURGERY, TRAUMA, OTHER = range(6)
_ILLNESS_WEIGHTS = (0.2, 0.2, 0.2, 0.14, 0.08, 0.18)

UNITS = (
    "Medical Intensive Care Unit (MICU)",
    "Surgical Intensive Care Unit (SICU)",
    "Cardiac Vascular Intensive Care Unit (CVICU)",
    "Coronary Care Unit (CCU)",
    "Medical/Surgical Intensive Care Unit (MICU/SICU)",
    "Trauma SICU (TSICU)",
)
_UNIT_WEIGHTS = {
    HEART_FAILURE: (2, 0, 1, 5, 2, 0),
    PNEUMONIA: (5, 0, 0, 1, 4, 0),
    SEPSIS: (4, 2, 0, 0, 4, 0),
    SURGERY: (0, 0, 1, 0, 0, 0),
    TRAUMA: (0, 2, 0, 0, 0, 5),
    OTHER: (3, 3, 0, 1, 3, 0),
}
YEAR_GROUPS = ("2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019", "2020 - 2022")
FILMED_GROUPS = (1, 2)  # MIMIC-CXR covers 2011 to 2016
# Every 50th patient's last admission is recorded as ending before it began.
REVERSED_EVERY, REVERSED_AT = 50, 13


@dataclass(frozen=True)
class People:
    """One row a patient, in order of subject_id."""

    key: Array
    subject_id: Array
    is_female: Array
    anchor_age: Array
    anchor_year: Array
    year_group: Array
    visits: Array
    heart: Array
    """Lasting enlargement of the heart, 0 to 1."""
    lung: Array
    """Lasting disease of the lung, 0 to 1."""
    height: Array
    weight: Array
    has_pacemaker: Array
    is_filmed: Array


@dataclass(frozen=True)
class Admissions:
    """One row an admission, by patient and time."""

    key: Array
    person: Array
    hadm_id: Array
    ordinal: Array
    illness: Array
    severity: Array
    admit_at: Array
    discharge_at: Array
    ed_at: Array  # -1: not through the ED
    ed_out_at: Array
    is_reversed: Array


@dataclass(frozen=True)
class Stays:
    """One row an ICU stay, by admission and time."""

    admission: Array
    stay_id: Array
    in_at: Array
    out_at: Array
    first_unit: Array
    last_unit: Array


Rows = TypeVar("Rows", People, Admissions, Stays)


def take_rows(rows: Rows, keep: Array) -> Rows:
    """The rows of a mask or of indices."""
    return replace(rows, **{field.name: getattr(rows, field.name)[keep] for field in fields(rows)})


def year_start(year: Array) -> Array:
    """Seconds at the first of January."""
    text = (np.asarray(year) - 1970).astype("datetime64[Y]")
    return text.astype("datetime64[s]").astype(np.int64)


def make_people(first: int, count: int, patients: int, draw: Draw) -> People:
    """Patients ``first`` to ``first + count`` of a hospital of ``patients``."""
    key = np.arange(first, first + count, dtype=np.int64)
    step = 9_999_999 // patients
    age = np.clip(63 + 17 * draw.normal("age", key), 18, 95).astype(np.int64)
    female = draw.uniform("gender", key) < 0.47
    filmed = draw.uniform("filmed", key) < 0.93
    group = draw.pick("year group", key, weights=(2, 2, 2, 2, 1))
    inside = np.asarray(FILMED_GROUPS)[draw.below("filmed group", key, limit=2)]
    visits = draw.pick("visits", key, weights=(0.1, 0.42, 0.27, 0.14, 0.07))
    visits = np.where(key % REVERSED_EVERY == REVERSED_AT, np.maximum(visits, 2), visits)
    return People(
        key=key,
        subject_id=10_000_000 + key * step + draw.below("subject", key, limit=step),
        is_female=female,
        anchor_age=np.where(age > 89, 91, age),
        anchor_year=2110 + draw.below("anchor year", key, limit=82),
        year_group=np.where(filmed, inside, group),
        visits=visits,
        heart=np.clip(draw.uniform("heart", key) ** 2 * (0.4 + age / 90), 0, 0.9),
        lung=draw.uniform("lung", key) ** 3,
        height=np.where(female, 162, 176) + 7 * draw.normal("height", key),
        weight=np.clip(np.where(female, 74, 86) + 18 * draw.normal("weight", key), 38, 180),
        has_pacemaker=draw.uniform("pacemaker", key) < 0.08,
        is_filmed=filmed,
    )


def plan_admissions(people: People, draw: Draw, numbers: Numbers) -> Admissions:
    """Admissions one after another, each at least a month after the last."""
    person = np.repeat(np.arange(len(people.key)), people.visits)
    start = (np.cumsum(people.visits) - people.visits)[person]
    ordinal = np.arange(len(person)) - start
    who = people.key[person]
    key = who * 64 + ordinal
    illness = draw.pick("illness", key, weights=_ILLNESS_WEIGHTS)
    severity = 0.2 + 0.8 * draw.uniform("severity", key)
    last = ordinal == people.visits[person] - 1
    turned = last & (who % REVERSED_EVERY == REVERSED_AT)
    days = np.clip(np.exp(1.75 + 0.6 * draw.normal("length", key)) * (0.5 + severity), 1.2, 28)
    length = (np.where(turned, 1.2, days) * DAY).astype(np.int64) // 60 * 60
    gap = ((30 + 250 * draw.uniform("gap", key) ** 2) * DAY).astype(np.int64)
    before = np.cumsum(length + gap) - (length + gap)  # spent by this and earlier patients
    admit = year_start(people.anchor_year)[person] + draw.below("day", who, limit=300) * DAY
    admit = admit + (before - before[start]) // DAY * DAY
    admit = admit + draw.below("minute", key, limit=1440) * 60
    through_ed = draw.uniform("ed", key) < np.where(illness == SURGERY, 0.05, 0.8)
    waited = (1.5 + 8 * draw.uniform("ed hours", key)) * HOUR
    stayed = 5 * draw.uniform("ed out", key) * HOUR
    return Admissions(
        key=key,
        person=person,
        hadm_id=numbers.take(len(key)),
        ordinal=ordinal,
        illness=np.where(turned, OTHER, illness),
        severity=severity,
        admit_at=admit,
        discharge_at=admit + length,
        ed_at=np.where(through_ed, admit - waited.astype(np.int64) // 60 * 60, -1),
        ed_out_at=np.where(through_ed, admit + stayed.astype(np.int64) // 60 * 60, -1),
        is_reversed=turned,
    )


def plan_stays(admissions: Admissions, draw: Draw, numbers: Numbers) -> Stays:
    """No, one or two ICU stays an admission, inside it."""
    key = admissions.key
    chance = np.where(admissions.illness == OTHER, 0.55, 0.85)
    has_stay = (draw.uniform("icu", key) < chance) & ~admissions.is_reversed
    wait = 20 * draw.uniform("icu wait", key) ** 2 * HOUR
    first_in = admissions.admit_at + wait.astype(np.int64)
    room = admissions.discharge_at - first_in
    hours = np.exp(4.35 + 0.75 * draw.normal("icu length", key)) * (0.5 + admissions.severity)
    length = np.clip(hours * HOUR, 5 * HOUR, np.maximum(room - HOUR, 5 * HOUR)).astype(np.int64)
    pause = ((10 + 40 * draw.uniform("icu pause", key)) * HOUR).astype(np.int64)
    second_in = first_in + length + pause
    again = (draw.uniform("icu again", key) < 0.2) & (second_in + DAY < admissions.discharge_at)
    second_length = (admissions.discharge_at - second_in) * 0.6
    at = np.concatenate([np.flatnonzero(has_stay), np.flatnonzero(has_stay & again)])
    is_second = np.arange(len(at)) >= int(has_stay.sum())
    order = np.lexsort((is_second, at))
    at, is_second = at[order], is_second[order]
    start = np.where(is_second, second_in[at], first_in[at])
    stop = start + np.where(is_second, second_length[at].astype(np.int64), length[at])
    who = key[at] * 2 + is_second
    unit = _choose_unit(admissions.illness[at], "unit", who, draw)
    moved = draw.uniform("moved", who) < 0.1
    other = (unit + 1 + draw.below("moved to", who, limit=len(UNITS) - 1)) % len(UNITS)
    return Stays(
        admission=at,
        stay_id=numbers.take(len(at)),
        in_at=start,
        out_at=stop,
        first_unit=unit,
        last_unit=np.where(moved, other, unit),
    )


def _choose_unit(illness: Array, stream: str, who: Array, draw: Draw) -> Array:
    unit = np.zeros(len(illness), dtype=np.int64)
    for number, weights in _UNIT_WEIGHTS.items():
        rows = illness == number
        unit[rows] = draw.pick(stream, who[rows], weights=weights)
    return unit

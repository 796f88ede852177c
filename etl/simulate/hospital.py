"""A group of patients with everything that happened to them: visits, courses, deaths."""

from dataclasses import dataclass, replace

import numpy as np

from etl.simulate.course import (
    MAXIMUM_HOURS,
    Cases,
    Course,
    Given,
    run_course,
    start_hour,
)
from etl.simulate.draw import Array, Draw, Numbers
from etl.simulate.people import (
    HOUR,
    LEAD_HOURS,
    Admissions,
    People,
    Stays,
    make_people,
    plan_admissions,
    plan_stays,
    take_rows,
)


class Ids:
    """Every id a hospital hands out, in order of patients: groups of any size give the same."""

    def __init__(self, seed: int) -> None:
        self.hadm = Numbers(20_000_000, seed)
        self.stay = Numbers(30_000_000, seed)
        self.transfer = Numbers(30_000_000, seed + 1)
        self.study = Numbers(50_000_000, seed)
        self.specimen = Numbers(10_000_000, seed)
        self.culture = Numbers(0, seed + 2)
        self.pharmacy = Numbers(10_000_000, seed + 1)
        self.input = Numbers(0, seed)
        self.procedure = Numbers(0, seed + 1)
        self._running: dict[str, int] = {}

    def running(self, name: str, count: int) -> Array:
        """1, 2, 3, ... over the whole hospital."""
        first = self._running.get(name, 0) + 1
        self._running[name] = first + count - 1
        return np.arange(first, first + count, dtype=np.int64)


@dataclass(frozen=True)
class Hospital:
    """One group of patients. Arrays of ``course`` are (admissions, hours)."""

    draw: Draw
    ids: Ids
    people: People
    admissions: Admissions
    stays: Stays
    cases: Cases
    course: Course

    @property
    def died_at(self) -> Array:
        """Seconds of death in hospital, -1: survived."""
        return death_time(self.cases, self.course, self.draw)

    @property
    def subject(self) -> Array:
        """subject_id of every admission."""
        return self.people.subject_id[self.admissions.person]

    @property
    def alive(self) -> Array:
        """(A, T): True in hospital and alive."""
        hour = np.arange(self.cases.icu.shape[1])
        death = self.course.death_hour[:, None]
        return np.asarray(self.cases.inside & ((death < 0) | (hour < death)))

    def time(self, admission: Array, hour: Array) -> Array:
        """Seconds at the beginning of an hour of a course."""
        return np.asarray(self.cases.start_at[admission] + hour * HOUR)


def death_time(cases: Cases, course: Course, draw: Draw) -> Array:
    """Seconds of death in hospital, -1: survived."""
    minute = draw.below("death minute", cases.key, limit=60) * 60
    at = cases.start_at + course.death_hour * HOUR + minute
    return np.asarray(np.where(course.death_hour >= 0, at, -1))


def build_hospital(first: int, count: int, patients: int, draw: Draw, ids: Ids) -> Hospital:
    """Patients ``first`` to ``first + count``; nobody is admitted after death."""
    people = make_people(first, count, patients, draw)
    admissions = plan_admissions(people, draw, ids.hadm)
    stays = plan_stays(admissions, draw, ids.stay)
    cases = make_cases(people, admissions, stays)
    course = run_course(cases, draw, Given())
    died = death_time(cases, course, draw)
    # Recorded ends before its beginning: such an admission is nobody's last hours.
    died = np.where(admissions.is_reversed, -1, died)
    course = replace(course, death_hour=np.where(died < 0, -1, course.death_hour))
    keep = ~_is_after_death(admissions, died)
    admissions, stays = _end_at_death(admissions, stays, died, keep)
    course = Course(
        {name: trace[keep] for name, trace in course.traces.items()}, course.death_hour[keep]
    )
    hours = cases.icu.shape[1]
    cases = make_cases(people, admissions, stays, hours)
    return Hospital(draw, ids, people, admissions, stays, cases, course)


def make_cases(
    people: People, admissions: Admissions, stays: Stays, hours: int | None = None
) -> Cases:
    """The hourly grid of every admission, and where its patient starts from."""
    start = start_hour(admissions.admit_at)
    stop = np.minimum((admissions.discharge_at - start) // HOUR + 1, MAXIMUM_HOURS)
    width = hours or (int(stop.max()) if len(stop) else LEAD_HOURS)
    icu = np.full((len(start), width), -1, dtype=np.int32)
    for number, row in enumerate(stays.admission):
        low = max(-((start[row] - stays.in_at[number]) // HOUR), 0)  # the next full hour
        high = (stays.out_at[number] - start[row]) // HOUR + 1
        icu[row, low:high] = number
    return Cases(
        key=admissions.key,
        start_at=start,
        admit_hour=np.full(len(start), LEAD_HOURS),
        stop_hour=stop,
        icu=icu,
        illness=admissions.illness,
        severity=admissions.severity,
        heart=people.heart[admissions.person],
        has_pacemaker=people.has_pacemaker[admissions.person],
    )


def _is_after_death(admissions: Admissions, died: Array) -> Array:
    """True for visits that follow a death of the same patient."""
    dead = (died >= 0).astype(np.int64)
    before = np.cumsum(dead) - dead
    first = np.arange(len(dead)) - admissions.ordinal
    return np.asarray(before > before[first])


def _end_at_death(
    admissions: Admissions, stays: Stays, died: Array, keep: Array
) -> tuple[Admissions, Stays]:
    at = admissions.discharge_at
    admissions = replace(admissions, discharge_at=np.where(died >= 0, died, at))
    death = np.where(died >= 0, died, np.iinfo(np.int64).max)[stays.admission]
    stays = replace(stays, out_at=np.minimum(stays.out_at, death))
    stays = take_rows(stays, keep[stays.admission] & (stays.in_at + 600 < stays.out_at))
    place = np.cumsum(keep) - 1
    return take_rows(admissions, keep), replace(stays, admission=place[stays.admission])

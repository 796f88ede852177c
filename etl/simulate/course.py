"""The causal core: hidden findings that live hour by hour, moved by illness and treatment.

Arrays are (A, T): admissions by hours since the course began, a day before admission. Findings
are severities from 0 to 1. What a doctor decides (fluid, diuretic, ventilator, ...) follows from
the state of the hour before; vitals, labs, films and death follow from the state of the hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from etl.simulate.draw import Array, Draw
from etl.simulate.people import (
    HEART_FAILURE,
    HOUR,
    LEAD_HOURS,
    PNEUMONIA,
    SEPSIS,
    SURGERY,
    TRAUMA,
)

FINDING_NAMES = (
    "edema",
    "effusion",
    "consolidation",
    "atelectasis",
    "pneumothorax",
    "cardiomegaly",
    "devices",
)
MAXIMUM_HOURS = 40 * 24
_TRACES = (
    *FINDING_NAMES,
    "infection",
    "shock",
    "shunt",
    "oxygen",  # inspired fraction
    "saturation",
    "fluid",  # mL given in the hour
    "furosemide",  # mg given in the hour
)
_STATES = ("ventilated", "antibiotic", "pressor", "line", "chest_tube")


@dataclass(frozen=True)
class Cases:
    """What a course starts from. One row an admission."""

    key: Array
    start_at: Array
    """Seconds; a full hour of the clock."""
    admit_hour: Array
    stop_hour: Array
    icu: Array
    """(A, T): the running number of the ICU stay, or -1."""
    illness: Array
    severity: Array
    heart: Array
    has_pacemaker: Array

    @property
    def inside(self) -> Array:
        """(A, T): True between admission and planned discharge."""
        hour = np.arange(self.icu.shape[1])
        return (hour >= self.admit_hour[:, None]) & (hour < self.stop_hour[:, None])


@dataclass(frozen=True)
class Given:
    """What is not left to the doctor: withheld treatments, and treatments and needs on record."""

    withheld: frozenset[str] = frozenset()
    recorded: Mapping[str, Array] = field(default_factory=dict)
    """(A, T) each: fluid, furosemide, antibiotic, pressor, ventilated, line."""
    oxygen_debt: Array | None = None
    """(A, T): what SpO2 and FiO2 on record say of the lungs, 0 to 1; NaN where nothing is."""
    expected: Mapping[str, Array] = field(default_factory=dict)
    """(A, T) each: the severity of a finding that treatments soon to come speak of; else NaN."""
    may_die: bool = True


@dataclass(frozen=True)
class Course:
    """The state of every hour, (A, T), and the hour of death in hospital (-1: survived)."""

    traces: Mapping[str, Array]
    death_hour: Array

    def __getitem__(self, name: str) -> Array:
        return self.traces[name]


def start_hour(at: Array) -> Array:
    """Seconds of the full hour from which the course of an admission counts."""
    return at // HOUR * HOUR - LEAD_HOURS * HOUR


def run_course(cases: Cases, draw: Draw, given: Given) -> Course:
    """Live every admission of ``cases`` at once, one hour a step."""
    count, hours = cases.icu.shape
    luck = _Luck(cases, draw, hours)
    state = _first_state(cases, draw)
    traces = {name: np.zeros((count, hours), dtype=np.float32) for name in _TRACES}
    traces |= {name: np.zeros((count, hours), dtype=bool) for name in _STATES}
    death = np.full(count, -1)
    inside = cases.inside
    for hour in range(hours):
        state["in hospital"] = inside[:, hour] & (death < 0)
        state["in icu"] = (cases.icu[:, hour] >= 0) & (death < 0)
        _treat(state, cases, luck, hour)
        _place_devices(state, cases, luck, hour)
        for name, values in given.recorded.items():
            state[name] = values[:, hour]
        for name in given.withheld:
            state[name] = np.zeros_like(state[name])
        _evolve(state, cases, luck, hour)
        _breathe(state, luck, given, hour)
        if given.may_die:
            frail = 3.2 * state["shunt"] + 2.6 * state["shock"]
            dies = state["in hospital"] & (luck.fate[:, hour] < 1e-4 * np.exp(frail))
            dies &= hour >= cases.admit_hour + 8
            death[dies] = hour
        for name, trace in traces.items():
            trace[:, hour] = state[name]
    return Course(traces, death)


class _Luck:
    """Every random number of a course, drawn beforehand: decisions do not shift one another."""

    def __init__(self, cases: Cases, draw: Draw, hours: int) -> None:
        who, when = cases.key[:, None], np.arange(hours)[None, :]
        self.edema = draw.normal("luck edema", who, when)
        self.infection = draw.normal("luck infection", who, when)
        self.atelectasis = draw.normal("luck atelectasis", who, when)
        self.saturation = draw.normal("luck saturation", who, when)
        self.doctor = draw.uniform("luck doctor", who, when)
        self.accident = draw.uniform("luck accident", who, when)
        self.fate = draw.uniform("luck fate", who, when)
        self.phase = draw.below("luck phase", cases.key, limit=6)
        self.habit = draw.uniform("luck habit", cases.key)


def _first_state(cases: Cases, draw: Draw) -> dict[str, Array]:
    """A day before admission: the illness has begun, nothing is done about it yet."""
    count = len(cases.key)
    ill, bad = cases.illness, cases.severity
    spread = draw.uniform("first", cases.key)
    chest = draw.uniform("first chest", cases.key)
    state = {name: np.zeros(count) for name in (*_TRACES, "diuresis", "vent_hours", "drive")}
    state |= {name: np.zeros(count, dtype=bool) for name in _STATES}
    heart_failure, septic = ill == HEART_FAILURE, ill == SEPSIS
    state["cardiomegaly"] = np.clip(cases.heart + 0.35 * heart_failure, 0, 1)
    state["edema"] = np.where(heart_failure, 0.35 + 0.5 * spread * bad, 0.15 * spread)
    state["effusion"] = np.where(heart_failure, 0.55 * chest, 0.3 * chest**2)
    state["infection"] = np.where(ill == PNEUMONIA, 0.4 + 0.55 * bad * spread, 0.0)
    state["infection"] = np.where(septic, 0.3 + 0.5 * bad, state["infection"])
    # Where the infection sits: in the lung for pneumonia, sometimes for sepsis.
    state["drive"] = np.where(ill == PNEUMONIA, 1.0, np.where(septic & (spread < 0.5), 0.8, 0.15))
    state["consolidation"] = state["infection"] * state["drive"] * 0.7
    state["atelectasis"] = 0.1 + 0.15 * chest
    broken = (ill == TRAUMA) & (chest < 0.55)
    state["pneumothorax"] = np.where(broken, 0.25 + 0.5 * spread, 0.0)
    state["oxygen"] = np.full(count, 0.21)
    return state


def _treat(state: dict[str, Array], cases: Cases, luck: _Luck, hour: int) -> None:
    """Fluids and drugs ordered this hour, from the state of the last one."""
    doctor, shock = luck.doctor[:, hour], state["shock"]
    in_hospital = state["in hospital"]
    resuscitated = (hour - cases.admit_hour < 10) & (shock > 0.3)
    fluid = np.where(resuscitated, 650 * shock, 40 + 260 * np.maximum(shock - 0.25, 0))
    state["fluid"] = np.where(in_hospital, fluid * (0.7 + 0.6 * luck.habit), 0.0)
    due = (hour + luck.phase) % 6 == 0
    wet = (state["edema"] > 0.3) & (shock < 0.6) & (doctor < 0.75)
    dose = np.where(state["edema"] > 0.6, 80.0, np.where(state["edema"] > 0.42, 40.0, 20.0))
    state["furosemide"] = np.where(in_hospital & due & wet, dose, 0.0)
    begins = (state["infection"] > 0.3) & (doctor < 0.1)
    keeps = state["antibiotic"] & (state["infection"] > 0.05)
    state["antibiotic"] = in_hospital & (begins | keeps)
    state["pressor"] = state["in icu"] & ((shock > 0.5) | (state["pressor"] & (shock > 0.3)))


def _place_devices(state: dict[str, Array], cases: Cases, luck: _Luck, hour: int) -> None:
    """Ventilators, lines and chest tubes of this hour, from the state of the last one."""
    doctor, shunt = luck.doctor[:, hour], state["shunt"]
    fresh = hour - cases.admit_hour
    in_icu, surgical = state["in icu"], cases.illness == SURGERY
    failing = (shunt > 0.46) & (doctor < 0.3)
    after_surgery = surgical & (fresh < 14)
    weans = (state["vent_hours"] > 14) & (shunt < 0.42) & (doctor < 0.08)
    state["ventilated"] = in_icu & (failing | after_surgery | (state["ventilated"] & ~weans))
    placed = in_icu & (state["pressor"] | state["ventilated"]) & (doctor < 0.5)
    state["line"] = state["in hospital"] & (state["line"] | placed)
    drained = (state["pneumothorax"] > 0.25) & (doctor > 0.75)
    drained |= (state["effusion"] > 0.65) & (doctor > 0.97)
    needed = (state["pneumothorax"] > 0.04) | (state["effusion"] > 0.3)
    state["chest_tube"] = state["in hospital"] & (drained | (state["chest_tube"] & needed))
    state["chest_tube"] |= in_icu & surgical & (fresh < 40)


def _evolve(state: dict[str, Array], cases: Cases, luck: _Luck, hour: int) -> None:
    """One hour of disease under the treatment of the hour."""
    edema, infection = state["edema"], state["infection"]
    septic = cases.illness == SEPSIS
    new = state["ventilated"] & (luck.accident[:, hour] < 0.0025)  # ventilator pneumonia
    infection = infection + 0.35 * new
    state["drive"] = np.maximum(state["drive"], np.where(new, 0.9, 0))
    growth = 0.02 * infection * (1 - infection) + 0.006 * luck.infection[:, hour] * infection
    infection = infection + growth - 0.017 * state["antibiotic"] * (0.3 + infection)
    state["infection"] = np.clip(infection, 0, 1)

    state["diuresis"] = state["diuresis"] * 0.82 + state["furosemide"] / 80
    weak = 0.35 + 0.9 * state["cardiomegaly"] + 0.3 * septic
    inflow = state["fluid"] / 1000 * 0.07 * weak
    leak = 0.011 * state["cardiomegaly"] * (cases.illness == HEART_FAILURE)
    cleared = 0.02 * state["diuresis"] + 0.005 * edema
    edema = edema + inflow + leak - cleared + 0.006 * luck.edema[:, hour]
    state["edema"] = np.clip(edema, 0, 1)

    goal = 1.1 * state["infection"] * state["drive"]
    state["consolidation"] = _toward(state["consolidation"], goal, 0.035)
    wet = 0.85 * state["edema"] + 0.4 * state["consolidation"]
    drain = 0.05 * state["chest_tube"] * state["effusion"]
    state["effusion"] = _toward(state["effusion"], wet, 0.008) - drain
    lying = (
        0.14 + 0.34 * state["ventilated"] + 0.2 * (cases.illness == SURGERY) * state["in hospital"]
    )
    state["atelectasis"] = _toward(state["atelectasis"], lying + 0.2 * state["effusion"], 0.03)
    state["atelectasis"] += 0.012 * luck.atelectasis[:, hour]
    hurt = state["line"] & (luck.accident[:, hour] > 0.9992)
    healing = np.where(state["chest_tube"], 0.03, 0.002)
    state["pneumothorax"] = state["pneumothorax"] * (1 - healing) + 0.4 * hurt
    rest = np.clip(cases.heart + 0.25 * (cases.illness == HEART_FAILURE), 0, 1)
    state["cardiomegaly"] = _toward(state["cardiomegaly"], rest + 0.15 * state["edema"], 0.01)
    for name in ("effusion", "atelectasis", "pneumothorax", "cardiomegaly"):
        state[name] = np.clip(state[name], 0, 1)
    tube = 0.5 * state["ventilated"] + 0.25 * state["line"] + 0.2 * state["chest_tube"]
    state["devices"] = np.clip(tube + 0.3 * cases.has_pacemaker, 0, 1)
    state["vent_hours"] = (state["vent_hours"] + 1) * state["ventilated"]
    toward = np.where(septic, 1.25, 0.6) * state["infection"] + 0.4 * state["pneumothorax"]
    state["shock"] = np.clip(_toward(state["shock"], toward, 0.15), 0, 1)


def _breathe(state: dict[str, Array], luck: _Luck, given: Given, hour: int) -> None:
    """Shunt from the findings, oxygen from the need, saturation from both."""
    if given.oxygen_debt is not None:
        _believe(state, given.oxygen_debt[:, hour])
    for name, goals in given.expected.items():
        goal = goals[:, hour]
        state[name] = np.where(np.isnan(goal), state[name], _toward(state[name], goal, 0.12))
    shunt = 0.62 * state["consolidation"] + 0.5 * state["edema"] + 0.22 * state["effusion"]
    shunt = shunt + 0.28 * state["atelectasis"] + 0.5 * state["pneumothorax"]
    state["shunt"] = np.clip(shunt, 0, 1)
    need = np.where(state["ventilated"], 0.4, 0.21) + 0.5 * np.maximum(state["shunt"] - 0.15, 0)
    state["oxygen"] = np.clip(_toward(state["oxygen"], need, 0.35), 0.21, 1.0)
    lack = state["shunt"] * (1.1 - state["oxygen"])
    drop = 12.5 * lack - 1.1 * luck.saturation[:, hour]
    state["saturation"] = np.clip(99.2 - drop, 70, 100)


def _believe(state: dict[str, Array], debt: Array) -> None:
    """Move the findings that explain a want of oxygen toward what was charted."""
    surprise = np.where(np.isnan(debt), 0.0, debt - state["shunt"])
    for name, share in (("consolidation", 0.08), ("edema", 0.06), ("atelectasis", 0.05)):
        state[name] = np.clip(state[name] + share * surprise, 0, 1)


def _toward(now: Array, goal: Array, rate: float) -> Array:
    return now + rate * (goal - now)

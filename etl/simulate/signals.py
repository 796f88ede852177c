"""What the hidden state of an hour looks like from outside: vital signs, gases, blood."""

from collections.abc import Mapping

import numpy as np

from etl.simulate.draw import Array
from etl.simulate.hospital import Hospital
from etl.simulate.people import HEART_FAILURE, SEPSIS, SURGERY

_SLOW = 6  # hours over which a remark or a patient's mood keeps its luck


def read_signals(hospital: Hospital, admission: Array, hour: Array) -> dict[str, Array]:
    """Every signal at the given hours of the given admissions, noise of the instrument left out."""
    state = {name: trace[admission, hour] for name, trace in hospital.course.traces.items()}
    rows = hospital.admissions
    person = rows.person[admission]
    key = rows.key[admission]
    habit = _Habits(hospital, key, hour)
    signals = _circulation(state, habit)
    signals |= _gases(state, habit)
    signals |= _blood(state, habit, rows.illness[admission], hospital.people.heart[person])
    signals |= _mind(state, habit)
    signals |= _lungs(state, habit)
    signals |= _machine(state, hospital.people.weight[person])
    signals["weight"] = hospital.people.weight[person] + 2.5 * state["edema"]
    signals["height"] = hospital.people.height[person]
    signals["shock"] = state["shock"]
    signals |= _constants(len(hour))
    signals |= _occasions(state, habit, rows.illness[admission])
    return signals


class _Habits:
    """Luck that lasts: of a visit (``lasting``) or of some hours (``passing``)."""

    def __init__(self, hospital: Hospital, key: Array, hour: Array) -> None:
        self._draw = hospital.draw
        self._key = key
        self._hour = hour

    def lasting(self, name: str) -> Array:
        return self._draw.normal(f"habit {name}", self._key)

    def passing(self, name: str) -> Array:
        return self._draw.uniform(f"mood {name}", self._key, self._hour // _SLOW)

    @property
    def day(self) -> Array:
        """-1 to 1, once a day: the temperature's rhythm."""
        return np.sin(self._hour * (2 * np.pi / 24))


def _circulation(state: Mapping[str, Array], habit: _Habits) -> dict[str, Array]:
    shock, shunt, infection = state["shock"], state["shunt"], state["infection"]
    mean = 82 - 24 * shock + 7 * habit.lasting("pressure") + 6 * state["pressor"]
    celsius = 36.6 + 2.0 * infection + 0.25 * habit.day
    return {
        "heart rate": 76 + 30 * shock + 14 * infection + 22 * shunt + 7 * habit.lasting("rate"),
        "mean": mean,
        "systolic": mean * 1.44,
        "diastolic": mean * 0.76,
        "celsius": celsius,
        "fahrenheit": celsius * 1.8 + 32,
        "cvp": 6 + 12 * state["edema"],
        "urine": np.clip(85 - 60 * shock, 8, None) + 4 * state["furosemide"],
    }


def _gases(state: Mapping[str, Array], habit: _Habits) -> dict[str, Array]:
    shunt, shock = state["shunt"], state["shock"]
    mixed = np.where(state["oxygen"] > 0.215, np.rint(state["oxygen"] * 20) * 5, 21)
    alveolar = 95 + 560 * (state["oxygen"] - 0.21)
    carbon = 39 + 7 * shunt + 3 * habit.lasting("carbon") - 3 * state["infection"]
    lactate = 1.1 + 4.5 * shock
    acid = 7.41 - 0.006 * (carbon - 40) - 0.13 * shock
    return {
        "saturation": state["saturation"],
        "oxygen": mixed,
        "flow": np.clip(12 * (state["oxygen"] - 0.21), 1, 15),
        "po2": np.clip(alveolar * (1 - shunt) ** 1.5, 38, 420),
        "pco2": carbon,
        "ph": acid,
        "lactate": lactate,
        "bicarbonate": 25 - 1.6 * lactate + 0.2 * (carbon - 39),
        "base excess": 1 - 1.8 * lactate,
        "respiratory rate": 15 + 14 * shunt + 5 * state["infection"] + habit.lasting("breath"),
    }


def _blood(
    state: Mapping[str, Array], habit: _Habits, illness: Array, heart: Array
) -> dict[str, Array]:
    infection, shock, edema = state["infection"], state["shock"], state["edema"]
    kidney = np.exp(0.4 * habit.lasting("kidney")) * (1 + 1.3 * shock)
    strain = 5.2 + 2.6 * edema + 2.2 * heart + 0.5 * habit.lasting("strain")
    sugar = np.maximum(habit.lasting("sugar"), 0)
    pale = 10.6 + 1.4 * habit.lasting("pale") - 0.8 * (illness == SURGERY)
    return {
        "wbc": 8 + 15 * infection + 1.5 * habit.lasting("white"),
        "crp": 6 + 230 * infection,
        "bnp": np.exp(strain),
        "troponin": 0.01 + 0.3 * shock * (illness != SEPSIS) + 0.08 * (illness == HEART_FAILURE),
        "creatinine": kidney,
        "urea": 18 * kidney,
        "sodium": 138.5 + 2 * habit.lasting("salt") - 2 * edema,
        "chloride": 102 + 2 * habit.lasting("salt"),
        "potassium": 4.1 + 0.2 * kidney - 0.2,
        "glucose": 118 + 45 * sugar + 35 * shock,
        "hemoglobin": pale,
        "hematocrit": 3 * pale,
        "red cells": pale / 2.95,
        "platelets": 220 + 60 * habit.lasting("platelets") - 90 * shock,
        "clotting": 1.15 + 0.4 * shock,
        "prothrombin": 12.4 + 5 * shock,
        "thromboplastin": 31 + 8 * shock,
        "liver": np.exp(3.3 + 1.2 * shock),
        "bilirubin": 0.6 + 1.4 * shock,
        "albumin": 3.6 - 0.8 * infection,
        "calcium": 8.6 + 0.3 * habit.lasting("calcium"),
        "magnesium": 2.0 + 0.1 * habit.lasting("calcium"),
        "phosphate": 3.4 + 0.6 * kidney - 0.6,
        "gap": 12 + 1.2 * (1.1 + 4.5 * shock),
    }


def _mind(state: Mapping[str, Array], habit: _Habits) -> dict[str, Array]:
    """Places in the words of the coma scale and the sedation scale."""
    sleepy = 1.5 * state["ventilated"] + 1.6 * state["shock"] + 0.5 * habit.passing("mind")
    return {
        "eyes": np.clip(3 - np.floor(1.25 * sleepy), 0, 3).astype(np.int64),
        "motor": np.clip(5 - np.floor(1.5 * np.maximum(sleepy - 0.6, 0)), 0, 5).astype(np.int64),
        "verbal": np.where(
            state["ventilated"], 0, np.clip(5 - np.floor(1.8 * sleepy), 1, 5)
        ).astype(np.int64),
        "rass": np.clip(3 - np.floor(1.4 * sleepy) + (habit.passing("rass") > 0.9), 0, 4).astype(
            np.int64
        ),
        "pain": (habit.passing("pain") > 0.3).astype(np.int64),
    }


def _lungs(state: Mapping[str, Array], habit: _Habits) -> dict[str, Array]:
    """Places in the words for what is heard, seen and sucked out."""
    wet, full = state["edema"] > 0.35, state["consolidation"] > 0.35
    lower = np.where(wet, 2, np.where(full, 3, np.where(state["effusion"] > 0.3, 1, 0)))
    upper = np.where(state["pneumothorax"] > 0.3, 5, np.where(full & wet, 3, 0))
    sputum = np.where(full, 1 + (habit.passing("sputum") > 0.6), np.where(wet, 3, 0))
    device = np.where(state["oxygen"] > 0.45, 2, np.where(state["oxygen"] > 0.23, 1, 0))
    fast = state["shock"] + state["infection"] > 0.5
    faint = (habit.lasting("rhythm") > 1.1) & (habit.passing("rhythm") > 0.3)
    return {
        "lower": np.where(habit.passing("lower") > 0.85, 1, lower),
        "upper": np.where(habit.passing("upper") > 0.9, 1, upper),
        "sputum": sputum.astype(np.int64),
        "device": np.where(state["ventilated"], 3, device),
        "breathing": (state["shunt"] > 0.45).astype(np.int64),
        "refill": (state["shock"] > 0.45).astype(np.int64),
        "rhythm": np.where(faint, 2, fast.astype(np.int64)),
        "ectopy": np.where(habit.passing("ectopy") > 0.85, 1, 0),
        "site": np.where(state["line"] & (state["shock"] > 0.2), 2, 0),
        "safety": (habit.passing("safety") * 3).astype(np.int64),
        "turn": (habit.passing("turn") * 3).astype(np.int64),
        "mode": (state["shunt"] < 0.42).astype(np.int64),
    }


def _machine(state: Mapping[str, Array], weight: Array) -> dict[str, Array]:
    stiff = state["shunt"]
    return {
        "peep": np.where(stiff > 0.6, 10.0, np.where(stiff > 0.4, 8.0, 5.0)),
        "tidal": 380 + 1.1 * (weight - 60),
        "minute": 7 + 5 * stiff,
        "spontaneous": np.where(stiff < 0.42, 14.0, 1.0),
        "peak": 15 + 14 * stiff,
        "plateau": 13 + 13 * stiff,
        "airway": 7 + 7 * stiff,
    }


def _constants(count: int) -> dict[str, Array]:
    values = {
        "high alarm": 120.0,
        "low alarm": 50.0,
        "full": 100.0,
        "low saturation": 92.0,
        "high breathing": 35.0,
        "low breathing": 8.0,
    }
    return {name: np.full(count, value) for name, value in values.items()} | {
        "zero": np.zeros(count, dtype=np.int64)
    }


def _occasions(state: Mapping[str, Array], habit: _Habits, illness: Array) -> dict[str, Array]:
    """When something is charted at all."""
    ventilated = state["ventilated"].astype(bool)
    line = state["line"].astype(bool)
    core = (illness == SURGERY) | (habit.lasting("core") > 1.2)
    supplied = state["oxygen"] > 0.23
    return {
        "always": np.ones(len(illness), dtype=bool),
        "ventilated": ventilated,
        "line": line,
        "no line": ~line,
        "core": core,
        "no core": ~core,
        "on much oxygen": ventilated | (state["oxygen"] > 0.35),
        "on a cannula": supplied & ~ventilated,
    }

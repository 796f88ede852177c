"""chartevents: what nurses and monitors write down, hour by hour, from the hidden state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from etl.simulate.draw import Array
from etl.simulate.hospital import Hospital
from etl.simulate.items import unit_of
from etl.simulate.people import HOUR
from etl.simulate.signals import read_signals
from etl.simulate.spelling import CAREGIVERS, Pool


@dataclass(frozen=True)
class Reading:
    """A number charted every so many hours, while ``when`` holds."""

    itemid: int
    signal: str
    every: int
    deviation: float = 0.0
    decimals: int = 0
    when: str = "always"


@dataclass(frozen=True)
class Remark:
    """A word charted every so many hours: the signal is a place in ``words``."""

    itemid: int
    signal: str
    every: int
    words: Sequence[str]
    numbers: Sequence[float] = ()
    when: str = "always"


READINGS = (
    Reading(220045, "heart rate", 1, 3),
    Reading(220210, "respiratory rate", 1, 2),
    Reading(220277, "saturation", 1, 0.8),
    Reading(220050, "systolic", 1, 6, when="line"),
    Reading(220051, "diastolic", 1, 4, when="line"),
    Reading(220052, "mean", 1, 4, when="line"),
    Reading(220179, "systolic", 1, 7, when="no line"),
    Reading(220180, "diastolic", 1, 5, when="no line"),
    Reading(220181, "mean", 1, 5, when="no line"),
    Reading(220179, "systolic", 6, 8, when="line"),
    Reading(220180, "diastolic", 6, 6, when="line"),
    Reading(220181, "mean", 6, 6, when="line"),
    Reading(223761, "fahrenheit", 4, 0.3, 1, when="no core"),
    Reading(223762, "celsius", 2, 0.15, 1, when="core"),
    Reading(223835, "oxygen", 3, when="on much oxygen"),
    Reading(223834, "flow", 4, 0.6, when="on a cannula"),
    Reading(220339, "peep", 4, 0.4, when="ventilated"),
    Reading(224422, "respiratory rate", 4, 2, when="ventilated"),
    Reading(224684, "tidal", 4, 2, when="ventilated"),
    Reading(224685, "tidal", 4, 40, when="ventilated"),
    Reading(224687, "minute", 4, 0.7, 1, when="ventilated"),
    Reading(224689, "spontaneous", 4, 2, when="ventilated"),
    Reading(224690, "respiratory rate", 4, 1, when="ventilated"),
    Reading(224695, "peak", 4, 2, when="ventilated"),
    Reading(224696, "plateau", 8, 2, when="ventilated"),
    Reading(224697, "airway", 4, 1, when="ventilated"),
    Reading(220224, "po2", 6, 9, when="ventilated"),
    Reading(220235, "pco2", 6, 3, when="ventilated"),
    Reading(223830, "ph", 6, 0.02, 2, when="ventilated"),
    Reading(220227, "saturation", 12, 0.7, when="ventilated"),
    Reading(220274, "ph", 24, 0.02, 2, when="no line"),
    Reading(220546, "wbc", 24, 0.6, 1),
    Reading(220615, "creatinine", 24, 0.08, 1),
    Reading(220621, "glucose", 12, 14),
    Reading(220645, "sodium", 12, 1.5),
    Reading(227442, "potassium", 12, 0.3, 1),
    Reading(225668, "lactate", 8, 0.2, 1, when="line"),
    Reading(225664, "glucose", 6, 22),
    Reading(226537, "glucose", 12, 18, when="line"),
    Reading(224639, "weight", 24, 0.6, 1),
    Reading(220074, "cvp", 4, 1.5, when="line"),
    Reading(220046, "high alarm", 12),
    Reading(220047, "low alarm", 12),
    Reading(223769, "full", 12),
    Reading(223770, "low saturation", 12),
    Reading(224161, "high breathing", 12),
    Reading(224162, "low breathing", 12),
)
_SOUNDS = ("Clear", "Diminished", "Crackles", "Rhonchi", "Exp Wheeze", "Absent")
_YES = ("Yes", "No")
REMARKS = (
    Remark(220739, "eyes", 4, ("None", "To Pain", "To Speech", "Spontaneously"), (1, 2, 3, 4)),
    Remark(
        223901,
        "motor",
        4,
        (
            "No response",
            "Abnormal extension",
            "Abnormal Flexion",
            "Flex-withdraws",
            "Localizes Pain",
            "Obeys Commands",
        ),
        (1, 2, 3, 4, 5, 6),
    ),
    Remark(
        223900,
        "verbal",
        4,
        (
            "No Response-ETT",
            "No Response",
            "Incomprehensible sounds",
            "Inappropriate Words",
            "Confused",
            "Oriented",
        ),
        (1, 1, 2, 3, 4, 5),
    ),
    Remark(
        220048,
        "rhythm",
        1,
        ("SR (Sinus Rhythm)", "ST (Sinus Tachycardia) ", "AF (Atrial Fibrillation)"),
    ),
    Remark(224650, "ectopy", 2, ("None", "PVC's", "PAC's")),
    Remark(224642, "site", 4, ("Oral", "Axillary", "Blood")),
    Remark(226732, "device", 4, ("None", "Nasal cannula", "High flow neb", "Endotracheal tube")),
    Remark(223848, "zero", 6, ("Drager",), (1,), when="ventilated"),
    Remark(223849, "mode", 6, ("CMV/ASSIST/AutoFlow", "CPAP/PSV"), (49, 11), when="ventilated"),
    Remark(224370, "sputum", 6, ("White", "Yellow", "Tan", "Blood Tinged"), when="ventilated"),
    Remark(224369, "sputum", 6, ("Thin", "Thick", "Thick", "Frothy"), when="ventilated"),
    Remark(224372, "zero", 6, ("Suctioned",), when="ventilated"),
    Remark(223986, "upper", 4, _SOUNDS),
    Remark(223987, "lower", 4, _SOUNDS),
    Remark(223988, "upper", 4, _SOUNDS),
    Remark(223989, "lower", 4, _SOUNDS),
    Remark(223985, "breathing", 4, ("Regular", "Tachypneic")),
    Remark(223990, "breathing", 4, ("Non-Labored", "Labored")),
    Remark(223951, "refill", 8, ("Normal <3 Seconds", "Abnormal >3 Seconds")),
    Remark(224308, "refill", 8, ("Normal <3 Seconds", "Abnormal >3 Seconds")),
    Remark(223781, "pain", 4, _YES),
    Remark(228096, "rass", 4, ("-4", "-2", "-1", "0", "1"), (-4, -2, -1, 0, 1)),
    Remark(224289, "zero", 8, ("WNL",), when="line"),
    Remark(227969, "safety", 1, ("Call light within reach", "Bed in low position", "Side Rails")),
    Remark(224080, "zero", 2, ("30 Degrees",)),
    Remark(224082, "turn", 2, ("Left Side", "Right Side", "Back")),
)
POOL = Pool([word for remark in REMARKS for word in remark.words])
# Monitors chart these again half an hour later while a patient is in shock.
_WATCHED = (220045, 220210, 220277, 220050, 220051, 220052)


@dataclass
class _Rows:
    """Pieces of columns, one list entry an item; ``cell`` is a place among ICU hours."""

    cell: list[Array]
    minute: list[Array]
    itemid: list[Array]
    value: list[Array]
    number: list[Array]

    def add(
        self, itemid: int, cell: Array, minute: Array | int, value: Array, number: Array
    ) -> None:
        self.cell.append(cell)
        self.minute.append(np.broadcast_to(np.asarray(minute), cell.shape))
        self.itemid.append(np.full(cell.shape, itemid, dtype=np.int32))
        self.value.append(value)
        self.number.append(number)


def chart_rows(hospital: Hospital) -> pl.DataFrame:
    """chartevents of a group, by subject, time and item."""
    admission, hour = np.nonzero((hospital.cases.icu >= 0) & hospital.alive)
    at = hospital.time(admission, hour)
    stay = hospital.cases.icu[admission, hour]
    inside = (at >= hospital.stays.in_at[stay]) & (at <= hospital.stays.out_at[stay])
    admission, hour, at, stay = admission[inside], hour[inside], at[inside], stay[inside]
    signals = read_signals(hospital, admission, hour)
    rows = _Rows([], [], [], [], [])
    address = (hospital.admissions.key[admission], hour)
    clock = at // HOUR + hospital.admissions.key[admission]
    _add_readings(rows, hospital, signals, address, clock)
    _add_remarks(rows, hospital, signals, address, clock)
    _add_arrivals(rows, hospital, signals, stay)
    return _frame(rows, hospital, (admission, at, stay))


def _add_readings(
    rows: _Rows,
    hospital: Hospital,
    signals: Mapping[str, Array],
    address: tuple[Array, Array],
    clock: Array,
) -> None:
    draw = hospital.draw
    who, when = address
    late = (signals["shock"] > 0.4) & (draw.uniform("watched", who, when) < 0.5)
    for number, reading in enumerate(READINGS):
        stream = f"reading {number}"
        due = (clock + number * (reading.every > 4)) % reading.every == 0
        cell = np.flatnonzero(due & signals[reading.when])
        luck = draw.normal(stream, who[cell], when[cell])
        cell, luck = cell[luck < 2.4], luck[luck < 2.4]  # now and then nothing is written
        value = signals[reading.signal][cell] + reading.deviation * luck
        place = POOL.number(_possible(reading, value), reading.decimals)
        rows.add(reading.itemid, cell, 0, place, place)
        if reading.itemid in _WATCHED:
            again = late[cell]
            extra = POOL.number(_possible(reading, value[again] + 1), reading.decimals)
            rows.add(reading.itemid, cell[again], 30, extra, extra)


def _possible(reading: Reading, value: Array) -> Array:
    return np.clip(value, 0, 100) if reading.signal == "saturation" else np.maximum(value, 0)


def _add_remarks(
    rows: _Rows,
    hospital: Hospital,
    signals: Mapping[str, Array],
    address: tuple[Array, Array],
    clock: Array,
) -> None:
    for remark in REMARKS:
        cell = np.flatnonzero((clock % remark.every == 0) & signals[remark.when])
        cell = cell[
            hospital.draw.uniform(f"remark {remark.itemid}", address[0][cell], address[1][cell])
            < 0.95
        ]
        choice = signals[remark.signal][cell]
        value = POOL.words(remark.words)[choice]
        numbers = np.asarray(remark.numbers or [np.nan] * len(remark.words), dtype=np.float64)
        rows.add(remark.itemid, cell, 0, value, POOL.number(numbers, 0)[choice])


def _add_arrivals(
    rows: _Rows, hospital: Hospital, signals: Mapping[str, Array], stay: Array
) -> None:
    """Height and weight, once a stay, at its first charted hour."""
    cell = np.unique(stay, return_index=True)[1]
    minute = 1 + hospital.stays.stay_id[stay[cell]] % 29
    for itemid, signal, factor in (
        (226512, "weight", 1.0),
        (226531, "weight", 2.20462),
        (226707, "height", 1 / 2.54),
        (226730, "height", 1.0),
    ):
        place = POOL.number(signals[signal][cell] * factor, 0 if signal == "height" else 1)
        rows.add(itemid, cell, minute, place, place)


def _frame(rows: _Rows, hospital: Hospital, grid: tuple[Array, Array, Array]) -> pl.DataFrame:
    draw = hospital.draw
    admission, at, stay = grid
    cell = np.concatenate(rows.cell)
    itemid = np.concatenate(rows.itemid)
    minute = np.concatenate(rows.minute)
    order = np.argsort((cell * 60 + minute) * 300_000 + itemid, kind="stable")
    cell, itemid, minute = cell[order], itemid[order], minute[order]
    subject = hospital.subject[admission]
    shift = draw.below(
        "caregiver", hospital.stays.stay_id[stay], at // (12 * HOUR), limit=len(CAREGIVERS)
    )
    charted = at[cell] + minute * 60
    luck = draw.bits("stored", charted, itemid)
    delay = (luck % np.uint64(45)).astype(np.int64) * 60
    items, places = np.unique(itemid, return_inverse=True)
    units = pl.Series([unit_of(item) for item in items], dtype=pl.String)
    return pl.DataFrame(
        {
            "subject_id": subject[cell],
            "hadm_id": hospital.admissions.hadm_id[admission][cell],
            "stay_id": hospital.stays.stay_id[stay][cell],
            "caregiver_id": np.asarray(CAREGIVERS)[shift][cell],
            "charttime": charted,
            "storetime": np.where(luck % np.uint64(251) == 0, -1, charted + delay),
            "itemid": itemid,
            "value": POOL.spell(np.concatenate(rows.value)[order]),
            "valuenum": POOL.spell(np.concatenate(rows.number)[order]),
            "valueuom": units.gather(pl.Series(places.astype(np.uint32))),
            "warning": (luck % np.uint64(997) == 0).astype(np.int8),
        }
    )

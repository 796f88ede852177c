"""ICU tables about what goes in, comes out and is done: from treatments of the hidden course."""

import numpy as np
import polars as pl

from etl.mimic_schema import TABLES
from etl.simulate.draw import Array
from etl.simulate.hospital import Hospital
from etl.simulate.items import ITEMS
from etl.simulate.people import HOUR, UNITS
from etl.simulate.signals import read_signals
from etl.simulate.spelling import CAREGIVERS, name

_Order = tuple[str, str | None, str]
# Order category, second category, description.
_DRIP = ("01-Drips", "02-Fluids (Crystalloids)", "Continuous Med")
_BOLUS = ("05-Med Bolus", None, "Drug Push")
_ANTIBIOTIC = ("08-Antibiotics (IV)", "02-Fluids (Crystalloids)", "Drug Push")
_FLUID = ("02-Fluids (Crystalloids)", "Additive (Crystalloid)", "Continuous IV")
_FAST = ("03-IV Fluid Bolus", None, "Bolus")
_MOUTH = ("14-Oral/Gastric Intake", None, "Bolus")
_PROPHYLAXIS = ("11-Prophylaxis (Non IV)", None, "Drug Push")
_LONGEST_DRIP = 8  # hours until a rate is charted anew


def runs(mask: Array) -> tuple[Array, Array, Array]:
    """Unbroken stretches of True in (A, T): row, first hour, first hour after."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    step = np.diff(padded, axis=1)
    row, first = np.nonzero(step == 1)
    return row, first, np.nonzero(step == -1)[1]


def icustay_rows(hospital: Hospital) -> pl.DataFrame:
    """icustays of a group."""
    stays = hospital.stays
    return pl.DataFrame(
        {
            "subject_id": hospital.subject[stays.admission],
            "hadm_id": hospital.admissions.hadm_id[stays.admission],
            "stay_id": stays.stay_id,
            "first_careunit": name(UNITS, stays.first_unit),
            "last_careunit": name(UNITS, stays.last_unit),
            "intime": stays.in_at,
            "outtime": stays.out_at,
            "los": (stays.out_at - stays.in_at) / 86_400,
        }
    )


def input_rows(hospital: Hospital) -> tuple[pl.DataFrame, pl.DataFrame]:
    """inputevents, and the ingredientevents of the same orders."""
    course, inside = hospital.course, icu_hours(hospital)
    hours = np.arange(inside.shape[1])[None, :]
    wakes = inside & ~course["ventilated"]
    every = {n: (hours + hospital.cases.key[:, None]) % n == 0 for n in (3, 6, 8, 12)}
    drug = hospital.draw.below("which antibiotic", hospital.cases.key, limit=2)[:, None]
    treated = inside & course["antibiotic"]
    shock = course["shock"]
    ml = course["fluid"]
    cells: list[tuple[int, str, _Order, Array, Array | float]] = [
        (221794, "mg", _BOLUS, inside & (course["furosemide"] > 0), course["furosemide"]),
        (225798, "dose", _ANTIBIOTIC, treated & every[12], 1.0),
        (225893, "dose", _ANTIBIOTIC, treated & every[8] & (drug == 0), 1.0),
        (225851, "dose", _ANTIBIOTIC, treated & every[12] & (drug == 1), 1.0),
        (220949, "ml", _ANTIBIOTIC, treated & every[8], 100.0),
        (225828, "ml", _FAST, inside & (ml > 220), ml),
        (225975, "dose", _PROPHYLAXIS, inside & every[8] & (shock < 0.5), 1.0),
        (226452, "ml", _MOUTH, wakes & every[6], 120.0),
        (223258, "units", ("06-Insulin (Non IV)", None, "Drug Push"), inside & every[6], 4.0),
        (221744, "mcg", _BOLUS, inside & course["ventilated"] & every[6], 50.0),
    ]
    parts = [_single(hospital, *cell) for cell in cells]
    weight = hospital.people.weight[hospital.admissions.person][:, None]
    pressor = np.clip(shock * 0.4, 0.02, 0.6)
    parts += [
        _drip(hospital, (221906, "mg", "mcg/kg/min"), _DRIP, inside & course["pressor"], pressor,
              pressor * weight * 0.06),
        _drip(hospital, (222168, "mg", "mcg/kg/min"), _DRIP, inside & course["ventilated"],
              np.full(shock.shape, 30.0), 30.0 * weight * 0.06 + 0 * shock),
        _drip(hospital, (225158, "ml", "mL/hour"), _FLUID, inside & (ml <= 220), ml, ml),
    ]  # fmt: skip
    frame = pl.concat(parts).sort("subject_id", "starttime", "itemid", "endtime")
    order = hospital.ids.input.take(frame.height)
    frame = frame.with_columns(orderid=pl.Series(order), linkorderid=pl.Series(order))
    return frame.drop("volume"), _ingredients(frame)


def icu_hours(hospital: Hospital) -> Array:
    return np.asarray((hospital.cases.icu >= 0) & hospital.alive)


def owner(hospital: Hospital, admission: Array, hour: Array) -> dict[str, Array]:
    """Ids of rows that begin in the given ICU hours."""
    stay = hospital.cases.icu[admission, hour]
    shift = hospital.draw.below(
        "caregiver", hospital.stays.stay_id[stay], hour // 12, limit=len(CAREGIVERS)
    )
    return {
        "subject_id": hospital.subject[admission],
        "hadm_id": hospital.admissions.hadm_id[admission],
        "stay_id": hospital.stays.stay_id[stay],
        "caregiver_id": np.asarray(CAREGIVERS)[shift],
    }


def begin(hospital: Hospital, admission: Array, hour: Array, itemid: int) -> Array:
    """A minute inside the hour, and inside the stay."""
    minute = hospital.draw.below(f"minute {itemid}", hospital.cases.key[admission], hour, limit=50)
    return np.asarray(hospital.time(admission, hour) + minute * 60)


def _single(
    hospital: Hospital, itemid: int, unit: str, order: _Order, mask: Array, amount: Array | float
) -> pl.DataFrame:
    """A dose or bolus at once."""
    admission, hour = np.nonzero(mask)
    at = begin(hospital, admission, hour, itemid)
    given = np.broadcast_to(np.asarray(amount, dtype=np.float64), mask.shape)[admission, hour]
    given = np.rint(given)
    nothing = np.full(len(at), np.nan)
    return _input(
        hospital, (admission, hour), (at, at + 60), (itemid, unit, None), order
    ).with_columns(
        amount=pl.Series(given),
        rate=pl.Series(nothing),
        totalamount=pl.Series(np.where(given > 10, given, 100.0)),
        originalamount=pl.Series(given),
        originalrate=pl.Series(given),
        volume=pl.Series(given if unit == "ml" else nothing),
    )


def _drip(
    hospital: Hospital,
    what: tuple[int, str, str | None],
    order: _Order,
    mask: Array,
    rate: Array,
    amount: Array,
) -> pl.DataFrame:
    """Infusions: a row for every rate, at most some hours long. ``amount`` is per hour."""
    itemid, unit, _ = what
    hours = np.arange(mask.shape[1])[None, :]
    starts = mask & ((hours % _LONGEST_DRIP == 0) | ~np.pad(mask, ((0, 0), (1, 0)))[:, :-1])
    admission, hour = np.nonzero(starts)
    ends = mask & ((hours % _LONGEST_DRIP == 7) | ~np.pad(mask, ((0, 0), (0, 1)))[:, 1:])
    length = np.nonzero(ends)[1] - hour + 1
    at = begin(hospital, admission, hour, itemid)
    stay = hospital.cases.icu[admission, hour]
    stop = np.minimum(at + length * HOUR, np.maximum(hospital.stays.out_at[stay], at + 60))
    speed = rate[admission, hour].astype(np.float64)
    given = amount[admission, hour].astype(np.float64) * (stop - at) / HOUR
    frame = _input(hospital, (admission, hour), (at, stop), what, order)
    volume = given if unit == "ml" else np.full(len(at), np.nan)
    return frame.with_columns(
        amount=pl.Series(given),
        rate=pl.Series(speed),
        totalamount=pl.Series(np.where(unit == "ml", 1000.0, 250.0) + 0 * given),
        originalamount=pl.Series(given * 1.2),
        originalrate=pl.Series(speed),
        volume=pl.Series(volume),
    )


def _input(
    hospital: Hospital,
    cell: tuple[Array, Array],
    span: tuple[Array, Array],
    what: tuple[int, str, str | None],
    order: _Order,
) -> pl.DataFrame:
    (admission, hour), (itemid, unit, rate_unit) = cell, what
    person = hospital.admissions.person[admission]
    ended = hospital.draw.uniform(f"ended {itemid}", hospital.cases.key[admission], hour)
    status = ["FinishedRunning", "ChangeDose/Rate", "Stopped", "Paused"]
    place = np.searchsorted([0.5, 0.85, 0.95], ended) if rate_unit else np.zeros(len(hour), int)
    weight = np.rint(hospital.people.weight[person] * 10) / 10
    late = hospital.draw.below(f"stored {itemid}", hospital.cases.key[admission], hour, limit=30)
    return pl.DataFrame(
        {
            **owner(hospital, admission, hour),
            "starttime": span[0],
            "endtime": span[1],
            "storetime": span[0] + late * 60,
            "itemid": np.full(len(hour), itemid),
            "patientweight": weight,
            "statusdescription": name(status, place),
            "isopenbag": np.zeros(len(hour), dtype=np.int8),
            "continueinnextdept": np.zeros(len(hour), dtype=np.int8),
        }
    ).with_columns(
        amountuom=pl.lit(unit),
        rateuom=pl.lit(rate_unit, dtype=pl.String),
        ordercategoryname=pl.lit(order[0]),
        secondaryordercategoryname=pl.lit(order[1], dtype=pl.String),
        ordercomponenttypedescription=pl.lit("Main order parameter"),
        ordercategorydescription=pl.lit(order[2]),
        totalamountuom=pl.lit("ml"),
    )


def _ingredients(inputs: pl.DataFrame) -> pl.DataFrame:
    """Water and total volume of every fluid among the inputs."""
    fluid = inputs.filter(pl.col("volume").is_not_nan()).with_columns(
        amount=pl.col("volume"), originalamount=pl.lit(0.0), amountuom=pl.lit("ml")
    )
    columns = [name for name in TABLES["ingredientevents"].columns if name in fluid.columns]
    kinds = [fluid.with_columns(itemid=pl.lit(item, dtype=pl.Int64)) for item in (220490, 227074)]
    frame = pl.concat(kinds).select(columns)
    return frame.sort("subject_id", "starttime", "orderid", "itemid")


def output_rows(hospital: Hospital) -> pl.DataFrame:
    """outputevents: urine by the hour, more after furosemide; chest tubes."""
    inside = icu_hours(hospital)
    hours = np.arange(inside.shape[1])[None, :]
    watched = hospital.course["line"]
    tube = inside & hospital.course["chest_tube"]
    parts = []
    for itemid, mask, signal, scale in (
        (226559, inside & watched, "urine", 1.0),
        (226560, inside & ~watched & (hours % 5 == 0), "urine", 4.0),
        (226588, tube & (hours % 4 == 0), "cvp", 8.0),
    ):
        admission, hour = np.nonzero(mask)
        signals = read_signals(hospital, admission, hour)
        key = hospital.cases.key[admission]
        luck = 1 + 0.35 * hospital.draw.normal(f"out {itemid}", key, hour)
        at = hospital.time(admission, hour)
        late = hospital.draw.below(f"stored {itemid}", key, hour, limit=30)
        value = np.maximum(np.rint(signals[signal] * scale * np.maximum(luck, 0) / 5) * 5, 0)
        parts.append(
            pl.DataFrame(
                {
                    **owner(hospital, admission, hour),
                    "charttime": at,
                    "storetime": at + late * 60,
                    "itemid": np.full(len(at), itemid),
                    "value": value,
                }
            ).with_columns(valueuom=pl.lit("ml"))
        )
    return pl.concat(parts).sort("subject_id", "charttime", "itemid")


def caregiver_rows() -> pl.DataFrame:
    """Everybody who charts."""
    return pl.DataFrame({"caregiver_id": list(CAREGIVERS)})


def item_rows() -> pl.DataFrame:
    """d_items."""
    return pl.DataFrame([vars(item) for item in sorted(ITEMS.values(), key=lambda i: i.itemid)])

"""procedureevents and datetimeevents: ventilators, lines, tubes, imaging."""

import numpy as np
import polars as pl

from etl.simulate.draw import Array
from etl.simulate.hospital import Hospital
from etl.simulate.icu import begin, icu_hours, owner, runs
from etl.simulate.people import HOUR
from etl.simulate.spelling import name

_SITES = (None, "Right Radial", "Left Radial", "Right IJ", "Left Subclavian")
_DAY = 24 * HOUR


def procedure_rows(hospital: Hospital, film_hours: Array) -> pl.DataFrame:
    """procedureevents of a group. ``film_hours``: (A, T), True where a portable film is taken."""
    course, inside = hospital.course, icu_hours(hospital)
    hours = np.arange(inside.shape[1])[None, :]
    shift = (hours + hospital.cases.key[:, None]) % 48
    lasting = (
        (225792, "Ventilation", inside & course["ventilated"], 0),
        (225752, "Invasive Lines", inside & course["line"], 1),
        (224263, "Invasive Lines", inside & course["pressor"], 3),
        (224275, "Peripheral Lines", inside & (shift < 40), 0),
        (225794, "Ventilation", inside & ~course["ventilated"] & (course["oxygen"] > 0.48), 0),
    )
    parts = [_lasting(hospital, *kind) for kind in lasting]
    for itemid, order, mask in (
        (224385, "Intubation/Extubation", _edge(inside & course["ventilated"], first=True)),
        (227194, "Intubation/Extubation", _edge(inside & course["ventilated"], first=False)),
        (225433, "Procedures", _edge(inside & course["chest_tube"], first=True)),
        (225402, "Procedures", inside & (shift == 5)),
        (225401, "Procedures", _edge(inside & course["antibiotic"], first=True)),
        (225459, "Imaging", inside & film_hours),
    ):
        parts.append(_task(hospital, itemid, order, mask))
    frame = pl.concat(parts).sort("subject_id", "starttime", "itemid", "endtime")
    number = hospital.ids.procedure.take(frame.height)
    return frame.with_columns(orderid=pl.Series(number), linkorderid=pl.Series(number))


def _edge(mask: Array, *, first: bool) -> Array:
    """The first or the last hour of every stretch."""
    row, start, stop = runs(mask)
    edge = np.zeros_like(mask)
    edge[row, start if first else stop - 1] = True
    return edge


def _lasting(hospital: Hospital, itemid: int, order: str, mask: Array, site: int) -> pl.DataFrame:
    row, start, stop = runs(mask)
    at = begin(hospital, row, start, itemid)
    stay = hospital.cases.icu[row, start]
    end = np.minimum(hospital.time(row, stop), hospital.stays.out_at[stay])
    end = np.maximum(end, at + 60)
    side = hospital.draw.below(f"site {itemid}", hospital.cases.key[row], start, limit=3)
    place = np.where((side > 0) & (site > 0), np.minimum(site + side - 1, 4), 0)
    frame = _procedure(hospital, (row, start), (at, end), itemid, (end - at) / 60)
    return frame.with_columns(
        location=name(_SITES, place),
        locationcategory=name([None, "Invasive Arterial", "Invasive Venous"], (place > 0) * 1
                              + (place > 2)),
        valueuom=pl.lit("min"),
        ordercategoryname=pl.lit(order),
        ordercategorydescription=pl.lit("ContinuousProcess"),
        isopenbag=pl.lit(1),
        originalrate=pl.lit(1.0),
    )  # fmt: skip


def _task(hospital: Hospital, itemid: int, order: str, mask: Array) -> pl.DataFrame:
    row, hour = np.nonzero(mask)
    at = begin(hospital, row, hour, itemid)
    frame = _procedure(hospital, (row, hour), (at, at + 60), itemid, np.ones(len(at)))
    return frame.with_columns(
        location=pl.lit(None, dtype=pl.String),
        locationcategory=pl.lit(None, dtype=pl.String),
        valueuom=pl.lit("None"),
        ordercategoryname=pl.lit(order),
        ordercategorydescription=pl.lit("Task"),
        isopenbag=pl.lit(0),
        originalrate=pl.lit(0.0),
    )


def _procedure(
    hospital: Hospital,
    cell: tuple[Array, Array],
    span: tuple[Array, Array],
    itemid: int,
    value: Array,
) -> pl.DataFrame:
    row, hour = cell
    person = hospital.admissions.person[row]
    amount = np.rint(value).astype(np.float64)
    late = hospital.draw.below(f"stored {itemid}", hospital.cases.key[row], hour, limit=90)
    return pl.DataFrame(
        {
            **owner(hospital, row, hour),
            "starttime": span[0],
            "endtime": span[1],
            "storetime": np.where(late > 87, -1, span[1] + late * 60),
            "itemid": np.full(len(hour), itemid),
            "value": amount,
            "patientweight": np.rint(hospital.people.weight[person] * 10) / 10,
            "originalamount": amount,
            "continueinnextdept": np.zeros(len(hour), dtype=np.int8),
            "statusdescription": name(["FinishedRunning"], np.zeros(len(hour), int)),
        }
    )


def datetime_rows(hospital: Hospital) -> pl.DataFrame:
    """datetimeevents: the date of a line, charted each shift as long as it lies."""
    inside = icu_hours(hospital)
    hours = np.arange(inside.shape[1])[None, :]
    parts = []
    for itemid, mask in (
        (224288, inside & hospital.course["line"]),
        (224280, inside & hospital.course["pressor"]),
        (225754, inside),
    ):
        row, start, stop = runs(mask)
        since = np.zeros(mask.shape, dtype=np.int64)
        for one, low, high in zip(row, start, stop, strict=True):
            since[one, low:high] = low
        admission, hour = np.nonzero(mask & ((hours - since) % 12 == 0))
        at = hospital.time(admission, hour)
        put = hospital.time(admission, since[admission, hour]) // _DAY * _DAY
        parts.append(
            pl.DataFrame(
                {
                    **owner(hospital, admission, hour),
                    "charttime": at,
                    "storetime": at + 60 * (hour % 30),
                    "itemid": np.full(len(at), itemid),
                    "value": put,
                    "warning": np.zeros(len(at), dtype=np.int8),
                }
            ).with_columns(valueuom=pl.lit("Date"))
        )
    return pl.concat(parts).sort("subject_id", "charttime", "itemid")

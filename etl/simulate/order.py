"""Orders and drugs: poe, poe_detail, pharmacy, prescriptions, emar, emar_detail.

A drug course is a stretch of hours in which its reason holds. It is ordered once (poe), dispensed
once (pharmacy), prescribed once and given every so many hours (emar, emar_detail).
"""

import numpy as np
import polars as pl

from etl.simulate.draw import Array
from etl.simulate.drugs import DRUGS, Drug
from etl.simulate.hospital import Hospital
from etl.simulate.icu import runs
from etl.simulate.people import HEART_FAILURE, HOUR
from etl.simulate.spelling import name, provider

_GAP = 30  # hours: a reason that returns sooner continues the same course
# Orders that are not drugs: type, subtype, and a detail.
_OTHER_ORDERS = (
    ("Lab", None, None),
    ("Radiology", "General Xray", None),
    ("ADT orders", "Admit", ("Admit to", "Medicine")),
    ("Nutrition", "Diet Order", None),
    ("General Care", "Tubes/Drains",
     ("Tubes & Drains type", "Indwelling urinary catheter (IUC) - Foley")),
    ("General Care", "Code status", ("Code status", "Resuscitate (Full code)")),
    ("Respiratory", "Mechanical Ventilation", None),
)  # fmt: skip
LAB_ORDER, XRAY_ORDER, ADMIT_ORDER, DIET_ORDER, TUBE_ORDER, CODE_ORDER, VENT_ORDER = range(7)


def order_rows(hospital: Hospital, film_hours: Array) -> dict[str, pl.DataFrame]:
    """The six tables of a group."""
    courses = _drug_courses(hospital)
    orders = _orders(hospital, courses, film_hours)
    mine = orders.filter(pl.col("course") >= 0).select("course", "poe_id", "poe_seq")
    numbers = hospital.ids.pharmacy.take(courses.height)
    drugs = courses.with_columns(pharmacy_id=pl.Series(numbers)).join(
        mine, on="course", how="left", maintain_order="left"
    )
    given = _given(hospital, drugs)
    return {
        "poe": orders.drop("course", "other", "at_order"),
        "poe_detail": _details(orders),
        "pharmacy": _pharmacy(drugs),
        "prescriptions": _prescriptions(drugs),
        "emar": given.drop("dose", "unit", "code", "drug", "turn", "route"),
        "emar_detail": _given_details(given),
    }


def _reasons(hospital: Hospital) -> dict[str, Array]:
    course, alive, key = hospital.course, hospital.alive, hospital.cases.key
    second = hospital.draw.below("which antibiotic", key, limit=2)[:, None] == 1
    ill = (hospital.cases.heart > 0.45) | (hospital.cases.illness == HEART_FAILURE)
    infected = alive & course["antibiotic"]
    return {
        "wet": alive & (course["furosemide"] > 0),
        "infected": infected,
        "infected one": infected & ~second,
        "infected two": infected & second,
        "pressor": alive & course["pressor"],
        "ventilated": alive & course["ventilated"],
        "in hospital": alive,
        "breathless": alive & (course["shunt"] > 0.35),
        "heart": alive & ill[:, None],
        "fluid": alive & (course["fluid"] > 220),
    }


def _drug_courses(hospital: Hospital) -> pl.DataFrame:
    """One row a drug course: admission, drug, first hour and hour after the last."""
    masks = _reasons(hospital)
    parts = []
    for number, drug in enumerate(DRUGS):
        row, first, stop = runs(masks[drug.reason])
        new = np.r_[True, (row[1:] != row[:-1]) | (first[1:] - stop[:-1] > _GAP)][: len(row)]
        last = np.r_[new[1:], True][: len(row)]
        parts.append(
            pl.DataFrame(
                {
                    "admission": row[new].astype(np.int64),
                    "drug_number": np.full(int(new.sum()), number),
                    "first": first[new].astype(np.int64),
                    "stop": stop[last].astype(np.int64),
                }
            )
        )
    frame = pl.concat(parts).sort("admission", "first", "drug_number")
    row, hour = frame["admission"].to_numpy(), frame["first"].to_numpy()
    number = frame["drug_number"].to_numpy()
    minute = hospital.draw.below("drug minute", hospital.cases.key[row], number, limit=55)
    ordered = hospital.time(row, hour) + minute * 60
    pieces = {
        field: name([getattr(drug, field) for drug in DRUGS], number)
        for field in Drug._fields
        if field not in {"reason", "hours"}
    }
    return frame.with_columns(
        course=pl.Series(np.arange(frame.height)),
        subject_id=pl.Series(hospital.subject[row]),
        hadm_id=pl.Series(hospital.admissions.hadm_id[row]),
        ordertime=pl.Series(ordered),
        starttime=pl.Series((ordered // HOUR + 1) * HOUR),
        stoptime=pl.Series(_stop(hospital, row, frame["stop"].to_numpy(), ordered)),
        every=pl.Series(np.array([drug.hours for drug in DRUGS])[number]),
        order_provider_id=provider(hospital.draw.bits("orderer", hospital.cases.key[row], hour)),
        **pieces,
    )


def _stop(hospital: Hospital, row: Array, hour: Array, ordered: Array) -> Array:
    """End of a course, by the clock. As in the release, a few stop before they start."""
    stop = hospital.time(row, hour)
    hasty = hospital.draw.uniform("hasty", hospital.cases.key[row], ordered) < 0.02
    return np.asarray(np.where(hasty, ordered // HOUR * HOUR, np.maximum(stop, ordered + 2 * HOUR)))


def _orders(hospital: Hospital, courses: pl.DataFrame, film_hours: Array) -> pl.DataFrame:
    """poe: one row an order, numbered within the patient by time."""
    drugs = courses.select("subject_id", "hadm_id", "ordertime", "order_provider_id", "course")
    others = _other_orders(hospital, film_hours)
    frame = pl.concat([drugs.with_columns(other=pl.lit(-1, dtype=pl.Int64)), *others])
    frame = frame.sort("subject_id", "ordertime", "other", "course")
    words = [None, *_OTHER_ORDERS]
    kinds = ["Medications", *(kind for kind, _, _ in _OTHER_ORDERS)]
    place = frame["other"].to_numpy() + 1
    return frame.with_columns(
        poe_seq=pl.int_range(1, pl.len() + 1).over("subject_id"),
        order_type=name(kinds, place),
        order_subtype=name([word[1] if word else None for word in words], place),
        transaction_type=pl.lit("New"),
        order_status=pl.lit("Inactive"),
        at_order=place,
    ).with_columns(poe_id=pl.format("{}-{}", "subject_id", "poe_seq"))


def _other_orders(hospital: Hospital, film_hours: Array) -> list[pl.DataFrame]:
    """Orders that are not drugs, kind by kind."""
    alive = hospital.alive
    hours = np.arange(alive.shape[1])[None, :]
    first = alive & (hours == hospital.cases.admit_hour[:, None])
    on = np.zeros_like(alive)
    row, start, _ = runs(alive & hospital.course["ventilated"])
    on[row, start] = True
    masks = {
        LAB_ORDER: alive & (hours % 24 == 4),
        XRAY_ORDER: alive & film_hours,
        ADMIT_ORDER: first,
        DIET_ORDER: alive & (hours % 48 == 2),
        TUBE_ORDER: alive & (hours % 48 == 7) & (hospital.cases.icu >= 0),
        CODE_ORDER: first,
        VENT_ORDER: on,
    }
    parts = []
    for other, mask in masks.items():
        row, hour = np.nonzero(mask)
        key = hospital.cases.key[row]
        second = hospital.draw.below(f"order {other}", key, hour, limit=3600)
        parts.append(
            pl.DataFrame(
                {
                    "subject_id": hospital.subject[row],
                    "hadm_id": hospital.admissions.hadm_id[row],
                    "ordertime": hospital.time(row, hour) + second,
                    "order_provider_id": provider(hospital.draw.bits("orderer", key, hour)),
                    "course": np.full(len(row), -1),
                    "other": np.full(len(row), other),
                }
            )
        )
    return parts


def _details(orders: pl.DataFrame) -> pl.DataFrame:
    details = [None, *(detail for _, _, detail in _OTHER_ORDERS)]
    place = orders["at_order"].to_numpy()
    return (
        orders.select("poe_id", "poe_seq", "subject_id")
        .with_columns(
            field_name=name([detail[0] if detail else None for detail in details], place),
            field_value=name([detail[1] if detail else None for detail in details], place),
        )
        .filter(pl.col("field_name").is_not_null())
    )


def _pharmacy(drugs: pl.DataFrame) -> pl.DataFrame:
    drip = pl.col("route") == "IV DRIP"
    return drugs.sort("subject_id", "starttime", "pharmacy_id").select(
        "subject_id",
        "hadm_id",
        "pharmacy_id",
        "poe_id",
        "starttime",
        "stoptime",
        pl.col("drug").alias("medication"),
        pl.when(drip)
        .then(pl.lit("IV Piggyback"))
        .otherwise(pl.lit("Unit Dose"))
        .alias("proc_type"),
        pl.lit("Discontinued via patient discharge").alias("status"),
        pl.col("ordertime").alias("entertime"),
        pl.col("ordertime").alias("verifiedtime"),
        "route",
        pl.format("Q{}H", "every").alias("frequency"),
        (24 // pl.col("every")).alias("doses_per_24_hrs"),
        pl.lit("Ongoing").alias("duration_interval"),
        pl.lit(36).alias("expiration_value"),
        pl.lit("Hours").alias("expiration_unit"),
        pl.lit("Omnicell").alias("dispensation"),
    )


def _prescriptions(drugs: pl.DataFrame) -> pl.DataFrame:
    base = pl.lit("BASE")
    kind = pl.when(pl.col("drug").str.starts_with("0.9%")).then(base).otherwise(pl.lit("MAIN"))
    return drugs.sort("subject_id", "starttime", "pharmacy_id").select(
        "subject_id",
        "hadm_id",
        "pharmacy_id",
        "poe_id",
        "poe_seq",
        "order_provider_id",
        "starttime",
        "stoptime",
        kind.alias("drug_type"),
        "drug",
        pl.col("code").alias("formulary_drug_cd"),
        pl.lit("0").alias("ndc"),
        pl.col("strength").alias("prod_strength"),
        pl.col("dose").alias("dose_val_rx"),
        pl.col("unit").alias("dose_unit_rx"),
        pl.col("form_value").alias("form_val_disp"),
        pl.col("form_unit").alias("form_unit_disp"),
        (24 // pl.col("every")).alias("doses_per_24_hrs"),
        "route",
    )


def _given(hospital: Hospital, drugs: pl.DataFrame) -> pl.DataFrame:
    """emar: one row an administration, numbered within the patient by time."""
    last = pl.max_horizontal("stoptime", pl.col("starttime") + 1)
    step = pl.col("every") * HOUR
    rows = (
        drugs.with_columns(scheduletime=pl.int_ranges("starttime", last, step))
        .explode("scheduletime")
        .sort("subject_id", "scheduletime", "course")
    )
    who, when = rows["subject_id"].to_numpy(), rows["scheduletime"].to_numpy()
    luck = hospital.draw.uniform("given", who, when * 32 + rows["drug_number"].to_numpy())
    charted = when + (luck * 70).astype(np.int64) * 60
    words = ["Administered", "Not Given", "Delayed Administered", "Started", None]
    drip = (rows["route"] == "IV DRIP").to_numpy()
    place = np.where(drip, 3, np.searchsorted([0.9, 0.95, 0.985], luck))
    place = np.where(luck > 0.99, 4, np.where((place == 3) & ~drip, 0, place))
    return rows.select(
        "subject_id", "hadm_id", "pharmacy_id", "poe_id", "dose", "unit", "code", "route", "drug",
        "scheduletime", emar_seq=pl.int_range(1, pl.len() + 1).over("subject_id"),
        medication=pl.col("drug"), enter_provider_id=pl.lit(None, dtype=pl.String),
        charttime=pl.Series(charted), storetime=pl.Series(charted + 120),
        event_txt=name(words, place), turn=pl.Series(place),
    ).with_columns(emar_id=pl.format("{}-{}", "subject_id", "emar_seq"))  # fmt: skip


def _given_details(given: pl.DataFrame) -> pl.DataFrame:
    """emar_detail: a row for the order (no ordinal) and one for the product, an administration."""
    standard = pl.lit("Standard Maintenance Medication")
    empty = pl.lit(None, dtype=pl.String)
    order = given.select(
        "subject_id", "emar_id", "emar_seq", parent_field_ordinal=empty, part=pl.lit(0),
        administration_type=pl.when(pl.col("route") == "IV DRIP").then(pl.lit("IV Infusion"))
        .otherwise(standard), pharmacy_id=pl.lit(-1, dtype=pl.Int64), dose_due=pl.col("dose"),
        dose_due_unit=pl.col("unit"), dose_given=empty, dose_given_unit=empty,
        product_code=empty, product_description=empty, barcode_type=empty,
    )  # fmt: skip
    product = given.filter(pl.col("turn").is_in([0, 2, 3])).select(
        "subject_id", "emar_id", "emar_seq", parent_field_ordinal=pl.lit("1.1"), part=pl.lit(1),
        administration_type=empty, pharmacy_id=pl.col("pharmacy_id"), dose_due=empty,
        dose_due_unit=empty,
        dose_given=pl.when(pl.col("emar_seq") % 41 == 7).then(pl.lit("___"))
        .otherwise(pl.col("dose")),
        dose_given_unit=pl.col("unit"), product_code=pl.col("code"),
        product_description=pl.col("drug"), barcode_type=pl.lit("if"),
    )  # fmt: skip
    return pl.concat([order, product]).sort("subject_id", "emar_seq", "part").drop("part")

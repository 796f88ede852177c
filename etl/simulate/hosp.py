"""Tables of people and visits: patients, admissions, transfers, services, codes, omr."""

import numpy as np
import polars as pl

from etl.simulate.codes import (
    COMORBIDITIES,
    DIAGNOSES,
    DRGS,
    HCPCS,
    PROCEDURES,
    diagnosis_titles,
    procedure_titles,
)
from etl.simulate.draw import Array
from etl.simulate.film_plan import emergency_visits
from etl.simulate.hospital import Hospital
from etl.simulate.lab_items import LAB_ITEMS
from etl.simulate.people import (
    DAY,
    HEART_FAILURE,
    HOUR,
    SURGERY,
    TRAUMA,
    UNITS,
    YEAR_GROUPS,
)
from etl.simulate.spelling import PROVIDERS, name, provider

_RACES = ("WHITE", "BLACK/AFRICAN AMERICAN", "WHITE - OTHER EUROPEAN", 
          "HISPANIC/LATINO - DOMINICAN", "ASIAN - CHINESE", "OTHER", "UNKNOWN")  # fmt: skip
_INSURANCES = ("Medicare", "Private", "Medicaid", "Other", "Self-pay")
_MARRIED = ("MARRIED", "SINGLE", "WIDOWED", "DIVORCED", None)
_LANGUAGES = ("English", "Spanish", "Russian", "Chinese", "Portuguese")
_ENDS = ("HOME", "HOME HEALTH CARE", "SKILLED NURSING FACILITY", "REHAB", "DIED")
_TYPES = ("EW EMER.", "URGENT", "SURGICAL SAME DAY ADMISSION", "OBSERVATION ADMIT")
_SOURCES = ("EMERGENCY ROOM", "PHYSICIAN REFERRAL", "TRANSFER FROM HOSPITAL")
_SERVICES = {HEART_FAILURE: "CMED", SURGERY: "CSURG", TRAUMA: "TRAUM"}
_WARDS = ("Medicine", "Medicine/Cardiology", "Med/Surg", "Cardiac Surgery")


def patient_rows(hospital: Hospital) -> pl.DataFrame:
    """patients of a group; dod is known for deaths up to a year after discharge."""
    people, rows, draw = hospital.people, hospital.admissions, hospital.draw
    died = np.full(len(people.key), -1)
    last = np.flatnonzero(np.r_[rows.person[1:] != rows.person[:-1], True][: len(rows.person)])
    key = rows.key[last]
    later = rows.discharge_at[last] + (20 + draw.below("dod", key, limit=340)) * DAY
    outside = draw.uniform("dies outside", key) < 0.1
    died[rows.person[last]] = np.where(outside, later, -1)
    in_hospital = hospital.died_at >= 0
    died[rows.person[in_hospital]] = hospital.died_at[in_hospital]
    return pl.DataFrame(
        {
            "subject_id": people.subject_id,
            "gender": name(["M", "F"], people.is_female),
            "anchor_age": people.anchor_age,
            "anchor_year": people.anchor_year,
            "anchor_year_group": name(YEAR_GROUPS, people.year_group),
            "dod": died,
        }
    )


def admission_rows(hospital: Hospital) -> pl.DataFrame:
    """admissions of a group."""
    rows, draw, key = hospital.admissions, hospital.draw, hospital.admissions.key
    who = hospital.people.key[rows.person]
    died = hospital.died_at
    through_ed = rows.ed_at >= 0
    end = draw.pick("discharged to", key, weights=(4, 3, 2, 1))
    kind = np.where(through_ed, 0, np.where(rows.illness == SURGERY, 2, 1))
    kind = np.where(draw.uniform("observed", key) < 0.08, 3, kind)
    early = rows.admit_at - (1 + draw.below("reversed", key, limit=9)) * HOUR
    return pl.DataFrame(
        {
            "subject_id": hospital.subject,
            "hadm_id": rows.hadm_id,
            "admittime": rows.admit_at,
            "dischtime": np.where(rows.is_reversed, early, rows.discharge_at),
            "deathtime": died,
            "admission_type": name(_TYPES, kind),
            "admit_provider_id": provider(draw.bits("admits", key)),
            "admission_location": name(_SOURCES, np.where(through_ed, 0, 1 + key % 2)),
            "discharge_location": name(_ENDS, np.where(died >= 0, 4, end)),
            "insurance": name(_INSURANCES, draw.pick("insurance", key, weights=(5, 3, 2, 1, 0.3))),
            "language": name(_LANGUAGES, draw.pick("language", who, weights=(20, 2, 1, 1, 1))),
            "marital_status": name(_MARRIED, draw.pick("married", who, weights=(9, 7, 3, 2, 1))),
            "race": name(_RACES, draw.pick("race", who, weights=(13, 3, 1, 1, 1, 1, 1))),
            "edregtime": rows.ed_at,
            "edouttime": rows.ed_out_at,
            "hospital_expire_flag": (died >= 0).astype(np.int8),
        }
    )


def transfer_rows(hospital: Hospital) -> pl.DataFrame:
    """transfers of a group: ED, ward and ICU in turn, then discharge; ED-only visits too."""
    rows, stays = hospital.admissions, hospital.stays
    found: list[tuple[int, int, str, str | None, int, int]] = []
    of_admission: dict[int, list[int]] = {}
    for stay, admission in enumerate(stays.admission):
        of_admission.setdefault(int(admission), []).append(stay)
    for at, subject in enumerate(hospital.subject):
        ids = (int(subject), int(rows.hadm_id[at]))
        if rows.ed_at[at] >= 0:
            found.append((*ids, "ED", "Emergency Department", rows.ed_at[at], rows.ed_out_at[at]))
        now, kind = int(rows.admit_at[at]), "admit"
        ward = _WARDS[{HEART_FAILURE: 1, TRAUMA: 2, SURGERY: 3}.get(int(rows.illness[at]), 0)]
        for stay in of_admission.get(at, []):
            if stays.in_at[stay] > now + 600:
                found.append((*ids, kind, ward, now, stays.in_at[stay]))
                kind = "transfer"
            middle = stays.out_at[stay]
            if stays.first_unit[stay] != stays.last_unit[stay]:
                middle = (stays.in_at[stay] + stays.out_at[stay]) // 2
                found.append((*ids, kind, UNITS[stays.first_unit[stay]], stays.in_at[stay], middle))
                kind = "transfer"
            begin = stays.in_at[stay] if middle == stays.out_at[stay] else middle
            found.append((*ids, kind, UNITS[stays.last_unit[stay]], begin, stays.out_at[stay]))
            now, kind = int(stays.out_at[stay]), "transfer"
        if rows.discharge_at[at] > now + 600:
            found.append((*ids, kind, ward, now, rows.discharge_at[at]))
        found.append((*ids, "discharge", None, rows.discharge_at[at], -1))
    person, arrived = emergency_visits(hospital)
    for subject, at in zip(hospital.people.subject_id[person], arrived, strict=True):
        found.append((int(subject), -1, "ED", "Emergency Department", at, at + 7 * HOUR))
    columns = ["subject_id", "hadm_id", "eventtype", "careunit", "intime", "outtime"]
    types = {name: pl.String if name in ("eventtype", "careunit") else pl.Int64 for name in columns}
    rows_found = [tuple(int(x) if isinstance(x, np.integer) else x for x in row) for row in found]
    frame = pl.DataFrame(rows_found, schema=types, orient="row").sort(
        "subject_id", "intime", "eventtype"
    )
    return frame.with_columns(transfer_id=pl.Series(hospital.ids.transfer.take(frame.height)))


def service_rows(hospital: Hospital) -> pl.DataFrame:
    """services of a group: one an admission."""
    rows = hospital.admissions
    service = [_SERVICES.get(int(illness), "MED") for illness in rows.illness]
    return pl.DataFrame(
        {
            "subject_id": hospital.subject,
            "hadm_id": rows.hadm_id,
            "transfertime": rows.admit_at + 61,
            "curr_service": pl.Series(service, dtype=pl.String),
        }
    )


def _uses_icd10(hospital: Hospital) -> Array:
    """ICD-10 came in October 2015, in the midst of the third group of years."""
    group = hospital.people.year_group[hospital.admissions.person]
    half = hospital.draw.uniform("coded", hospital.admissions.key) < 0.4
    return np.asarray((group > 2) | ((group == 2) & half))


def code_rows(hospital: Hospital) -> dict[str, pl.DataFrame]:
    """diagnoses_icd, procedures_icd, drgcodes and hcpcsevents of a group."""
    return {
        "diagnoses_icd": _diagnoses(hospital),
        "procedures_icd": _procedures(hospital),
        "drgcodes": _groups(hospital),
        "hcpcsevents": _observations(hospital),
    }


def _diagnoses(hospital: Hospital) -> pl.DataFrame:
    """The illness first, then what the patient brought along."""
    rows, modern = hospital.admissions, _uses_icd10(hospital)
    found: list[tuple[object, ...]] = []
    turns = np.arange(len(COMORBIDITIES))
    who = hospital.people.key[rows.person]
    has = hospital.draw.uniform("comorbidity", who[:, None], turns[None, :]) < 0.35
    for at, subject in enumerate(hospital.subject.tolist()):
        ten = int(modern[at])
        mine = list(DIAGNOSES[int(rows.illness[at])])
        mine += [one for one, present in zip(COMORBIDITIES, has[at], strict=True) if present]
        for turn, one in enumerate(mine, start=1):
            found.append((subject, int(rows.hadm_id[at]), turn, one[2 * ten], 9 + ten))
    return _frame(found, "subject_id hadm_id seq_num icd_code icd_version")


def _procedures(hospital: Hospital) -> pl.DataFrame:
    """Ventilator, line and chest tube, the day after admission or on the last day."""
    rows, modern, alive = hospital.admissions, _uses_icd10(hospital), hospital.alive
    done = [
        np.asarray((alive & hospital.course[state]).any(axis=1))
        for state in ("ventilated", "line", "chest_tube")
    ]
    found: list[tuple[object, ...]] = []
    for at, subject in enumerate(hospital.subject.tolist()):
        ten = int(modern[at])
        day = min(int(rows.admit_at[at]) + DAY, int(rows.discharge_at[at]))
        made = [one for one, was in zip(PROCEDURES, done, strict=True) if was[at]]
        for turn, one in enumerate(made, start=1):
            found.append((subject, int(rows.hadm_id[at]), turn, day, one[2 * ten], 9 + ten))
    return _frame(found, "subject_id hadm_id seq_num chartdate icd_code icd_version")


def _groups(hospital: Hospital) -> pl.DataFrame:
    rows = hospital.admissions
    found: list[tuple[object, ...]] = []
    for at, subject in enumerate(hospital.subject.tolist()):
        hcfa, apr = DRGS[int(rows.illness[at])]
        level = 1 + int(rows.severity[at] * 3.9)
        found.append((subject, int(rows.hadm_id[at]), "APR", *apr, level, level))
        found.append((subject, int(rows.hadm_id[at]), "HCFA", *hcfa, None, None))
    return _frame(
        found, "subject_id hadm_id drg_type drg_code description drg_severity drg_mortality"
    )


def _observations(hospital: Hospital) -> pl.DataFrame:
    rows, draw = hospital.admissions, hospital.draw
    watched = np.flatnonzero(draw.uniform("observed", rows.key) < 0.08)
    code = draw.below("hcpcs", rows.key[watched], limit=len(HCPCS))
    return pl.DataFrame(
        {
            "subject_id": hospital.subject[watched],
            "hadm_id": rows.hadm_id[watched],
            "chartdate": rows.admit_at[watched],
            "hcpcs_cd": name([row[0] for row in HCPCS], code),
            "seq_num": np.ones(len(watched), dtype=np.int8),
            "short_description": name([row[2] for row in HCPCS], code),
        }
    )


_TEXT = {"icd_code", "drg_type", "drg_code", "description"}


def _frame(rows: list[tuple[object, ...]], columns: str) -> pl.DataFrame:
    types = {name: pl.String if name in _TEXT else pl.Int64 for name in columns.split()}
    return pl.DataFrame(rows, schema=types, orient="row")


def omr_rows(hospital: Hospital) -> pl.DataFrame:
    """omr of a group: what clinics measured in the weeks before admissions."""
    rows, draw, people = hospital.admissions, hospital.draw, hospital.people
    seen = np.flatnonzero(draw.uniform("clinic", rows.key) < 0.6)
    key, person = rows.key[seen], rows.person[seen]
    day = (rows.admit_at[seen] // DAY - 3 - draw.below("omr", key, limit=20)) * DAY
    height, weight = people.height[person] / 2.54, people.weight[person] * 2.20462
    top = 120 + np.rint(12 * draw.normal("omr pressure", key))
    results = {
        "BMI (kg/m2)": [f"{w / h**2 * 703:.1f}" for w, h in zip(weight, height, strict=True)],
        "Blood Pressure": [f"{int(high)}/{int(high * 0.62)}" for high in top],
        "Height (Inches)": [f"{value:.0f}" for value in height],
        "Weight (Lbs)": [f"{value:.1f}".removesuffix(".0") for value in weight],
    }
    parts = [
        pl.DataFrame(
            {
                "subject_id": hospital.subject[seen],
                "chartdate": day,
                "seq_num": np.ones(len(seen), dtype=np.int64),
                "result_value": pl.Series(values, dtype=pl.String),
            }
        ).with_columns(result_name=pl.lit(label))
        for label, values in results.items()
    ]
    return pl.concat(parts).sort("subject_id", "chartdate", "result_name")


def dictionary_rows() -> dict[str, pl.DataFrame]:
    """The dictionaries of hosp/, and provider."""
    labs = sorted(LAB_ITEMS, key=lambda item: item.itemid)
    return {
        "d_labitems": pl.DataFrame(
            {
                field: [getattr(item, field) for item in labs]
                for field in ("itemid", "label", "fluid", "category")
            }
        ),
        "d_icd_diagnoses": _titled(diagnosis_titles()),
        "d_icd_procedures": _titled(procedure_titles()),
        "d_hcpcs": pl.DataFrame(
            HCPCS, schema=["code", "long_description", "short_description"], orient="row"
        ),
        "provider": pl.DataFrame({"provider_id": PROVIDERS}),
    }


def _titled(rows: list[tuple[str, int, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["icd_code", "icd_version", "long_title"], orient="row")

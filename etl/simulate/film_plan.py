"""Studies and films: when a chest is filmed, in which views, and what the labellers would say."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from cxrfuture_data.schema import FINDINGS
from etl.simulate.course import FINDING_NAMES
from etl.simulate.draw import Array, Draw
from etl.simulate.hospital import Hospital
from etl.simulate.icu import runs
from etl.simulate.people import DAY, HOUR, year_start

PORTABLE, UPRIGHT = 0, 1
MICROSECONDS = 1_000_000
# What is clearly there is labelled 1; the steeper, the less the labeller hesitates.
_THRESHOLD, _STEEPNESS = 0.34, 14.0
_SAID_ABSENT = {"Pneumothorax": 0.6, "Pleural Effusion": 0.5, "Edema": 0.3, "Consolidation": 0.35}
_UNCERTAIN = {"Pneumonia": 0.4, "Atelectasis": 0.25, "Edema": 0.15, "Consolidation": 0.2}
_RARE = {"Fracture": 0.05, "Lung Lesion": 0.04, "Pleural Other": 0.02}
_NOT_A_DISEASE = ("Support Devices", "No Finding")


@dataclass(frozen=True)
class Studies:
    """One row a study. ``hour`` is -1 outside admissions, where the chest is at its baseline."""

    person: Array
    admission: Array
    hour: Array
    at: Array  # microseconds since 1970
    kind: Array
    severity: Array  # (studies, 7), as FINDING_NAMES


def portable_hours(hospital: Hospital) -> Array:
    """(A, T): hours of ICU care in which a portable film is taken."""
    course, draw = hospital.course, hospital.draw
    inside = (hospital.cases.icu >= 0) & hospital.alive
    hours = np.arange(inside.shape[1])[None, :]
    clock = (hospital.cases.start_at[:, None] // HOUR + hours) % 24
    luck = draw.uniform("portable", hospital.cases.key[:, None], hours)
    sick = course["ventilated"] | (course["shunt"] > 0.35)
    due = (clock == 5) & (luck < np.where(sick, 0.95, 0.62))
    due |= (clock == 17) & (luck < np.where(sick, 0.4, 0.1))
    arrived = _after_start(inside)
    changed = np.zeros_like(inside)
    for device in ("ventilated", "line", "chest_tube"):
        changed |= _after_start(course[device] & inside)
    return np.asarray(inside & (due | (arrived & (luck < 0.85)) | (changed & (luck < 0.6))))


def _after_start(mask: Array) -> Array:
    """The second hour of every stretch."""
    row, first, stop = runs(mask)
    lasts = stop - first > 1
    second = np.zeros_like(mask)
    second[row[lasts], first[lasts] + 1] = True
    return second


def emergency_visits(hospital: Hospital) -> tuple[Array, Array]:
    """Patients never admitted, and the second of their arrival in the ED."""
    people = hospital.people
    person = np.flatnonzero(people.visits == 0)
    key = people.key[person]
    day = hospital.draw.below("emergency day", key, limit=360)
    minute = hospital.draw.below("emergency minute", key, limit=1440)
    return person, year_start(people.anchor_year[person]) + day * DAY + minute * 60


def plan_studies(hospital: Hospital, portables: Array) -> Studies:
    """Every study of a group, by patient and time."""
    course, draw, rows = hospital.course, hospital.draw, hospital.admissions
    hours = np.arange(portables.shape[1])[None, :]
    at = hospital.cases.start_at[:, None] + hours * HOUR
    luck = draw.uniform("study", hospital.cases.key[:, None], hours)
    waits = (rows.ed_at[:, None] >= 0) & (at >= rows.ed_at[:, None])
    emergency = waits & (at < rows.admit_at[:, None] - HOUR) & (luck < 0.2)
    ward = hospital.alive & (hospital.cases.icu < 0) & (at // HOUR % 24 == 10)
    ward &= luck < np.where(course["shunt"] > 0.2, 0.4, 0.15)
    mask = portables | emergency | ward
    admission, hour = np.nonzero(mask)
    inside = hospital.cases.icu[admission, hour] >= 0
    upright = (~inside) & (luck[admission, hour] * 1e4 % 1 < 0.6)
    severity = np.stack([course[name][admission, hour] for name in FINDING_NAMES], axis=1)
    visits = Studies(
        person=rows.person[admission],
        admission=admission,
        hour=hour,
        at=_instant(draw, hospital.time(admission, hour), hospital.cases.key[admission], HOUR),
        kind=np.where(upright, UPRIGHT, PORTABLE),
        severity=severity.astype(np.float64),
    )
    return _by_time(hospital, [visits, _outside(hospital)])


def _instant(draw: Draw, second: Array, key: Array, span: int) -> Array:
    """Microseconds of a moment within ``span`` seconds; films are timed to the millisecond."""
    part = draw.below("instant", key, second, limit=span * 1000)
    return np.asarray(second * MICROSECONDS + part * 1000)


def _outside(hospital: Hospital) -> Studies:
    """Studies of outpatients, and of patients whom the ED sends home."""
    people, draw, rows = hospital.people, hospital.draw, hospital.admissions
    ed_person, ed_at = emergency_visits(hospital)
    first = np.flatnonzero(rows.ordinal == 0)
    before = draw.uniform("clinic before", rows.key[first])
    early = first[before < 0.4]
    days = 15 + draw.below("clinic before day", rows.key[early], limit=170)
    last = np.flatnonzero(np.r_[rows.person[1:] != rows.person[:-1], True][: len(rows.person)])
    after = last[
        (draw.uniform("clinic after", rows.key[last]) < 0.4) & (hospital.died_at[last] < 0)
    ]
    later = 12 + draw.below("clinic after day", rows.key[after], limit=17)
    person = np.concatenate([ed_person, rows.person[early], rows.person[after]])
    day = np.concatenate([
        ed_at + 2 * HOUR,
        rows.admit_at[early] // DAY * DAY - days * DAY + 8 * HOUR,
        rows.discharge_at[after] // DAY * DAY + later * DAY + 8 * HOUR,
    ])  # fmt: skip
    who = people.key[person]
    small = draw.uniform("baseline", who, day)
    heart, lung = people.heart[person], people.lung[person]
    still = np.stack([
        0.2 * heart * small, 0.35 * heart**2, 0.25 * lung * small, 0.05 + 0.2 * lung,
        np.zeros(len(who)), heart, 0.3 * people.has_pacemaker[person],
    ], axis=1)  # fmt: skip
    nothing = np.full(len(who), -1)
    at = _instant(draw, day, who, 8 * HOUR)
    return Studies(person, nothing, nothing, at, np.full(len(who), UPRIGHT), still)


def _by_time(hospital: Hospital, parts: list[Studies]) -> Studies:
    fields = ("person", "admission", "hour", "at", "kind", "severity")
    joined = {field: np.concatenate([getattr(part, field) for part in parts]) for field in fields}
    keep = np.flatnonzero(hospital.people.is_filmed[joined["person"]])
    order = keep[np.lexsort((joined["at"][keep], joined["person"][keep]))]
    return Studies(**{field: values[order] for field, values in joined.items()})


def film_rows(hospital: Hospital, studies: Studies) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Films and studies as ``write_cxr_tree`` wants them."""
    draw, who = hospital.draw, hospital.people.key[studies.person]
    key = draw.bits("studies", who, studies.at)
    study_id = hospital.ids.study.take(len(key))
    first = np.where(studies.kind == PORTABLE, "AP", "PA")
    more = draw.uniform("more films", key)
    side = np.where(more < 0.55, "LATERAL", np.where(more < 0.85, "LL", ""))
    second = np.where(studies.kind == UPRIGHT, side, np.where(more < 0.15, "AP", ""))
    study = np.concatenate([np.arange(len(key)), np.flatnonzero(second != "")])
    view = np.concatenate([first, second[second != ""]])
    turn = (np.arange(len(study)) >= len(key)).astype(np.int64)
    order = np.lexsort((turn, study))
    study, view, turn = study[order], view[order], turn[order]
    hidden = draw.uniform("no view", key[study], turn) < 0.04
    person = studies.person[study]
    frame = pl.DataFrame(
        {
            "subject_id": hospital.people.subject_id[person],
            "study_id": study_id[study],
            "dicom_id": _dicom_ids(draw, key[study], turn),
            "taken_at": pl.Series(studies.at[study]).cast(pl.Datetime("us")),
            "view": pl.Series(np.where(hidden, "", view)).replace("", None),
            "true_view": view,
            "anatomy_seed": draw.below("anatomy", hospital.people.key[person], limit=2**31),
            "film_seed": draw.below("film", key[study], turn, limit=2**31),
        }
    )
    severities = {
        f"severity_{finding}": studies.severity[study, column]
        for column, finding in enumerate(FINDING_NAMES)
    }
    labels = {"subject_id": hospital.people.subject_id[studies.person], "study_id": study_id}
    table = pl.DataFrame(labels).with_columns(
        taken_at=pl.Series(studies.at).cast(pl.Datetime("us")), **_labels(draw, studies, who, key)
    )
    return frame.with_columns(**{k: pl.Series(v) for k, v in severities.items()}), table


def _dicom_ids(draw: Draw, key: Array, turn: Array) -> list[str]:
    """Five groups of eight hexadecimal digits."""
    words = [draw.bits(f"dicom {group}", key, turn) >> np.uint64(32) for group in range(5)]
    return ["-".join(f"{int(word):08x}" for word in groups) for groups in zip(*words, strict=True)]


def _labels(draw: Draw, studies: Studies, who: Array, key: Array) -> dict[str, pl.Series]:
    """CheXpert's columns, and NegBio's under ``negbio ``: 1, 0, -1 or nothing."""
    severity = _label_severities(draw, studies, who)
    labels: dict[str, pl.Series] = {}
    silent = draw.uniform("unlabelled", key) < 0.008
    found = {name: _read(draw, name, severity[name], key, "chexpert") for name in severity}
    again = {name: _read(draw, name, severity[name], key, "negbio") for name in severity}
    for name in severity:
        differs = draw.uniform(f"disagree {name}", key) < 0.06
        again[name] = np.where(differs, again[name], found[name])
    for prefix, read in (("", found), ("negbio ", again)):
        sick = np.zeros(len(key), dtype=bool)
        for name, values in read.items():
            if name not in _NOT_A_DISEASE:
                sick |= (values == 1) | (values == -1)
        read["No Finding"] = np.where(sick, np.nan, 1.0)
        for name in FINDINGS:
            values = np.where(silent, np.nan, read[name])
            labels[prefix + name] = pl.Series(values).fill_nan(None)
    return labels


def _label_severities(draw: Draw, studies: Studies, who: Array) -> dict[str, Array]:
    """How strongly each of CheXpert's findings is there."""
    state = {name: studies.severity[:, column] for column, name in enumerate(FINDING_NAMES)}
    rare = {name: 0.7 * (draw.uniform(name, who) < share) for name, share in _RARE.items()}
    lungs = np.maximum.reduce([state["edema"], state["consolidation"], state["atelectasis"]])
    return {
        "Atelectasis": state["atelectasis"],
        "Cardiomegaly": 0.75 * state["cardiomegaly"],
        "Consolidation": state["consolidation"],
        "Edema": state["edema"],
        "Enlarged Cardiomediastinum": 0.4 * state["cardiomegaly"],
        "Lung Opacity": 0.8 * lungs,
        "Pleural Effusion": 1.3 * state["effusion"],
        "Pneumonia": 0.85 * state["consolidation"],
        "Pneumothorax": 1.6 * state["pneumothorax"],
        "Support Devices": 1.6 * state["devices"],
        **rare,
    }


def _read(draw: Draw, name: str, severity: Array, key: Array, reader: str) -> Array:
    chance = 1 / (1 + np.exp(-_STEEPNESS * (severity - _THRESHOLD)))
    there = draw.uniform(f"see {name} {reader}", key) < chance
    luck = draw.uniform(f"say {name} {reader}", key)
    seen = np.where(luck < _UNCERTAIN.get(name, 0.05), -1.0, np.where(luck > 0.93, np.nan, 1.0))
    return np.where(there, seen, np.where(luck < _SAID_ABSENT.get(name, 0.06), 0.0, np.nan))

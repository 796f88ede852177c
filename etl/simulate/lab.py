"""labevents: specimens drawn by the clock and by need, and their results."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from etl.simulate.draw import Array
from etl.simulate.hospital import Hospital
from etl.simulate.lab_items import COMMENTS, LAB_ITEMS, STEADY
from etl.simulate.people import DAY, HEART_FAILURE, HOUR
from etl.simulate.signals import read_signals
from etl.simulate.spelling import Pool, name, provider

HIDDEN = "___"  # how the release spells what was removed
POOL = Pool([HIDDEN, *(word for item in LAB_ITEMS for word in item.words)])
_COMMENT_WORDS = sorted({HIDDEN, *COMMENTS.values()})


@dataclass(frozen=True)
class Drawn:
    """Specimens of one panel: from whom, in which hour of the course, when by the clock."""

    admission: Array
    hour: Array
    at: Array
    in_hospital: Array


def lab_rows(hospital: Hospital) -> pl.DataFrame:
    """labevents of a group, by subject and time; labevent_id counts them."""
    parts = []
    for panel, drawn in _draw_specimens(hospital).items():
        parts.append(_results(hospital, panel, drawn))
    frame = pl.concat(parts).sort("subject_id", "charttime", "specimen", "itemid")
    specimen = frame["specimen"].to_numpy()
    new = np.r_[True, specimen[1:] != specimen[:-1]] if len(specimen) else np.array([], bool)
    # Panels drawn at once share no tube: a specimen is one panel at one time.
    numbers = hospital.ids.specimen.take(int(new.sum()))
    return frame.drop("specimen").with_columns(
        labevent_id=pl.Series(hospital.ids.running("labevent", frame.height)),
        specimen_id=pl.Series(numbers[np.cumsum(new) - 1] if len(new) else numbers),
    )


def _draw_specimens(hospital: Hospital) -> dict[str, Drawn]:
    """Which cells of the course have blood drawn for which panel."""
    course, draw = hospital.course, hospital.draw
    alive, icu = hospital.alive, hospital.cases.icu >= 0
    hours = np.arange(icu.shape[1])[None, :]
    clock = (hospital.cases.start_at[:, None] // HOUR + hours) % 24
    day = (hours - hospital.cases.admit_hour[:, None]) // 24
    first = hours == hospital.cases.admit_hour[:, None] + 1
    luck = draw.uniform("drawn", hospital.cases.key[:, None], hours)
    morning = alive & (clock == 5)
    waiting = hospital.admissions.ed_at[:, None] >= 0
    early = waiting & (hours == hospital.cases.admit_hour[:, None] - 2)
    sick = course["infection"] > 0.15
    failing = (hospital.admissions.illness == HEART_FAILURE)[:, None]
    breathing = icu & alive & course["ventilated"] & (hours % 6 == 1)
    wanting = icu & alive & (course["shunt"] > 0.38) & (hours % 12 == 3)
    masks = {
        "chemistry": morning | early | (alive & icu & (clock == 17)),
        "count": morning | early | (alive & icu & (clock == 17) & (luck < 0.4)),
        "clotting": (morning & icu) | early,
        "liver": morning & (day % 2 == 0) & (luck < 0.7),
        "gas": breathing | wanting,
        "inflammation": (morning & sick & (luck < 0.6)) | (early & sick),
        "heart": early & failing | (morning & failing & (day % 3 == 0)) | (early & (luck < 0.2)),
        "urine": (first & (luck < 0.8)) | (morning & (day % 4 == 3) & (luck < 0.5)),
        "urine chemistry": morning & icu & (luck < 0.1),
        "tube": alive & course["chest_tube"] & (clock == 9) & (luck < 0.3),
        "hold": early & (luck < 0.3),
    }
    drawn = {panel: _specimens(hospital, mask) for panel, mask in masks.items()}
    outside = _outpatient_visits(hospital)
    for panel in ("chemistry", "count"):
        drawn[panel] = _join(drawn[panel], outside)
    return drawn


def _specimens(hospital: Hospital, mask: Array) -> Drawn:
    admission, hour = np.nonzero(mask)
    minute = hospital.draw.below("drawn minute", hospital.cases.key[admission], hour, limit=50)
    at = hospital.time(admission, hour) + minute * 60
    since = hospital.admissions.admit_at[admission]
    return Drawn(admission, hour, at, at >= since)


def _outpatient_visits(hospital: Hospital) -> Drawn:
    """Clinic blood, days to weeks before an admission, in the state the course begins with."""
    key = hospital.cases.key
    count = hospital.draw.below("clinic visits", key, limit=3)
    admission = np.repeat(np.arange(len(key)), count)
    turn = np.arange(len(admission)) - np.repeat(np.cumsum(count) - count, count)
    days = 4 + hospital.draw.below("clinic", key[admission], turn, limit=22)
    at = hospital.cases.start_at[admission] // DAY * DAY - days * DAY + 9 * HOUR
    at += hospital.draw.below("clinic minute", key[admission], turn, limit=420) * 60
    nothing = np.zeros(len(admission), dtype=np.int64)
    return Drawn(admission, nothing, at, nothing.astype(bool))


def _join(one: Drawn, two: Drawn) -> Drawn:
    return Drawn(
        np.concatenate([one.admission, two.admission]),
        np.concatenate([one.hour, two.hour]),
        np.concatenate([one.at, two.at]),
        np.concatenate([one.in_hospital, two.in_hospital]),
    )


def _results(hospital: Hospital, panel: str, drawn: Drawn) -> pl.DataFrame:
    """Every item of a panel for every specimen."""
    items = [(n, item) for n, item in enumerate(LAB_ITEMS) if item.panel == panel]
    draw, key = hospital.draw, hospital.cases.key[drawn.admission]
    signals = read_signals(hospital, drawn.admission, drawn.hour)
    value, number, low_high = [], [], []
    for _, item in items:
        stream = f"lab {item.itemid}"
        if item.words:
            place = draw.below(stream, key, drawn.at, limit=len(item.words))
            value.append(POOL.words(item.words)[place])
            numbers = [float(word) if word.isdigit() else np.nan for word in item.words]
            number.append(POOL.number(np.asarray(numbers), 0)[place])
            low_high.append(np.zeros(len(key), dtype=bool))
            continue
        base = signals[item.signal] if item.signal in signals else STEADY[item.signal]
        result = base + item.deviation * draw.normal(stream, key, drawn.at)
        if item.signal != "base excess":
            result = np.maximum(result, 10.0**-item.decimals)
        result = np.minimum(result, 100) if item.signal == "saturation" else result
        place = POOL.number(result, item.decimals)
        hidden = draw.uniform(f"hidden {item.itemid}", key, drawn.at)
        value.append(np.where(hidden < 0.006, POOL.words([HIDDEN])[0], place))
        number.append(np.where(hidden < 0.004, 0, place))
        low, high = item.low or -np.inf, item.high or np.inf
        low_high.append((result < low) | (result > high))
    return _frame(hospital, drawn, [n for n, _ in items], (value, number, low_high))


def _frame(
    hospital: Hospital,
    drawn: Drawn,
    items: list[int],
    results: tuple[list[Array], list[Array], list[Array]],
) -> pl.DataFrame:
    draw, rows, width = hospital.draw, len(drawn.at), len(items)
    value, number, abnormal = (np.concatenate(part) for part in results)
    cell, item = np.tile(np.arange(rows), width), np.repeat(np.asarray(items), rows)
    key = hospital.cases.key[drawn.admission]
    luck = draw.uniform("lab", key, drawn.at)
    hadm = hospital.admissions.hadm_id[drawn.admission]
    stored = drawn.at + (20 + 90 * draw.uniform("lab stored", key, drawn.at)).astype(np.int64) * 60
    lost = draw.uniform("storetime", key, drawn.at) < 0.012
    urgent = hospital.course["shock"][drawn.admission, drawn.hour] > 0.3
    return pl.DataFrame(
        {
            "subject_id": hospital.subject[drawn.admission][cell],
            "hadm_id": np.where(drawn.in_hospital & (luck > 0.03), hadm, -1)[cell],
            "itemid": np.array([lab.itemid for lab in LAB_ITEMS])[item],
            "order_provider_id": provider(draw.bits("ordered", key, drawn.at))[
                pl.Series(cell.astype(np.uint32))
            ]
            if rows
            else pl.Series([], dtype=pl.String),
            "charttime": drawn.at[cell],
            "storetime": np.where(lost, -1, stored)[cell],
            "value": POOL.spell(value),
            "valuenum": POOL.spell(number),
            "valueuom": name([lab.unit for lab in LAB_ITEMS], item),
            "ref_range_lower": name([_spell(lab.low) for lab in LAB_ITEMS], item),
            "ref_range_upper": name([_spell(lab.high) for lab in LAB_ITEMS], item),
            "flag": name([None, "abnormal"], abnormal),
            "priority": name(["ROUTINE", "STAT"], (urgent | (luck > 0.7))[cell]),
            "comments": _comments(value, item),
            "specimen": ((drawn.admission * 4096 + drawn.hour) * 64 + min(items, default=0) % 64)[
                cell
            ],
        }
    )


def _comments(value: Array, item: Array) -> pl.Series:
    """What the laboratory adds to a result; of a hidden one the comment is hidden too."""
    of_item = [
        _COMMENT_WORDS.index(COMMENTS[lab.itemid]) if lab.itemid in COMMENTS else -1
        for lab in LAB_ITEMS
    ]
    hidden = value == POOL.words([HIDDEN])[0]
    place = np.where(hidden, _COMMENT_WORDS.index(HIDDEN), np.asarray(of_item)[item])
    return name([None, *_COMMENT_WORDS], place + 1)


def _spell(bound: float | None) -> str | None:
    return None if bound is None else f"{bound:g}"

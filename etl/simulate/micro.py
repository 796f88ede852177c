"""microbiologyevents: cultures when infection is suspected, growth when there is one."""

from typing import NamedTuple

import numpy as np
import polars as pl

from etl.simulate.draw import Array, Draw
from etl.simulate.hospital import Hospital
from etl.simulate.icu import runs
from etl.simulate.people import DAY
from etl.simulate.spelling import name, provider


class Culture(NamedTuple):
    spec_itemid: int
    specimen: str
    test_itemid: int
    test: str
    can_grow: bool
    comment: str


CULTURES = (
    Culture(70012, "BLOOD CULTURE", 90201, "Blood Culture, Routine", True, "NO GROWTH.  "),
    Culture(70062, "SPUTUM", 90055, "RESPIRATORY CULTURE", True,
            "SPARSE GROWTH Commensal Respiratory Flora.  "),
    Culture(70062, "SPUTUM", 90270, "GRAM STAIN", False, "___"),
    Culture(70079, "URINE", 90039, "URINE CULTURE", True, "NO GROWTH.  "),
    Culture(70091, "MRSA SCREEN", 90189, "MRSA SCREEN", False, "No MRSA isolated.  "),
    Culture(70054, "PLEURAL FLUID", 90268, "FLUID CULTURE", True, "NO GROWTH.  "),
    Culture(70021, "BRONCHOALVEOLAR LAVAGE", 90055, "RESPIRATORY CULTURE", True,
            "NO GROWTH.  "),
    Culture(70137, "Rapid Respiratory Viral Screen & Culture", 90056,
            "Respiratory Viral Antigen Screen", False, "Negative for Respiratory Viral Antigen.  "),
)  # fmt: skip
BLOOD, SPUTUM, STAIN, URINE, SCREEN, PLEURAL, LAVAGE, VIRAL = range(8)
_ORGANISMS = (
    (80023, "STAPH AUREUS COAG +"),
    (80004, "KLEBSIELLA PNEUMONIAE"),
    (80026, "PSEUDOMONAS AERUGINOSA"),
    (80002, "ESCHERICHIA COLI"),
)
_DRUGS = (
    (90012, "GENTAMICIN"),
    (90019, "CIPROFLOXACIN"),
    (90028, "CEFEPIME"),
    (90029, "MEROPENEM"),
    (90015, "VANCOMYCIN"),
)
_DILUTIONS = (("<=1", "<=        ", "1", "S"), ("4", "=         ", "4", "I"),
              ("=>16", "=>        ", "16", "R"))  # fmt: skip
_TESTED = 3  # drugs an organism is tested against


def micro_rows(hospital: Hospital) -> pl.DataFrame:
    """microbiologyevents of a group; microevent_id counts them."""
    kind, admission, hour = _specimens(hospital)
    key, draw = hospital.cases.key[admission], hospital.draw
    at = hospital.time(admission, hour) + draw.below("culture minute", key, hour, limit=55) * 60
    burden = hospital.course["infection"][admission, hour]
    fertile = np.array([culture.can_grow for culture in CULTURES])[kind]
    grows = fertile & (draw.uniform("grows", key, hour * 8 + kind) < 0.25 + 0.5 * burden)
    repeats = np.where(grows, _TESTED, 1)
    cell = np.repeat(np.arange(len(kind)), repeats)
    turn = np.arange(len(cell)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    frame = _frame(hospital, (kind, admission, hour), (at, grows), (cell, turn))
    frame = frame.sort("subject_id", "chartdate", "at", "kind", "turn")
    specimens = hospital.ids.culture.take(len(kind))
    turned = frame["turn"].to_numpy() == 0  # the first row of a specimen
    return frame.with_columns(
        microevent_id=pl.Series(hospital.ids.running("microevent", frame.height)),
        micro_specimen_id=pl.Series(specimens[np.cumsum(turned) - 1]),
    ).drop("at", "kind", "turn", "cell")


def _specimens(hospital: Hospital) -> tuple[Array, Array, Array]:
    course, alive = hospital.course, hospital.alive
    hours = np.arange(alive.shape[1])[None, :]
    icu = alive & (hospital.cases.icu >= 0)
    suspected = np.zeros_like(alive)
    row, first, _ = runs(alive & course["antibiotic"])
    suspected[row, first] = True
    later = alive & course["antibiotic"] & (hours % 72 == 30)
    arrived = np.zeros_like(alive)
    row, first, _ = runs(icu)
    arrived[row, first] = True
    lung = course["consolidation"] > 0.2
    masks = {
        BLOOD: suspected | later,
        SPUTUM: (suspected & lung) | (later & course["ventilated"]),
        STAIN: suspected & lung,
        URINE: suspected,
        SCREEN: arrived,
        PLEURAL: alive & course["chest_tube"] & (hours % 60 == 11),
        LAVAGE: icu & course["ventilated"] & lung & (hours % 90 == 40),
        VIRAL: suspected & lung & (hours % 3 == 0),
    }
    found = [np.nonzero(mask) for mask in masks.values()]
    kind = np.repeat(list(masks), [len(rows) for rows, _ in found])
    return (
        kind,
        np.concatenate([rows for rows, _ in found]),
        np.concatenate([hours for _, hours in found]),
    )


def _frame(
    hospital: Hospital,
    specimen: tuple[Array, Array, Array],
    outcome: tuple[Array, Array],
    rows: tuple[Array, Array],
) -> pl.DataFrame:
    kind, admission, hour = specimen
    (at, grows), (cell, turn), draw = outcome, rows, hospital.draw
    key = hospital.cases.key[admission]
    luck = draw.uniform("culture", key, hour * 8 + kind)
    grown = grows[cell]
    stored = at // DAY * DAY + 2 * DAY
    of = [CULTURES[place] for place in kind]

    every = pl.Series(cell.astype(np.uint32))
    return pl.DataFrame(
        {
            "subject_id": hospital.subject[admission][cell],
            "hadm_id": np.where(luck > 0.06, hospital.admissions.hadm_id[admission], -1)[cell],
            "order_provider_id": provider(draw.bits("micro", key))[every],
            "chartdate": (at // DAY * DAY)[cell],
            "charttime": np.where(luck > 0.9, -1, at)[cell],
            "spec_itemid": np.array([one.spec_itemid for one in of], np.int64)[cell],
            "spec_type_desc": name([one.specimen for one in CULTURES], kind[cell]),
            "test_seq": np.ones(len(cell), dtype=np.int8),
            "storedate": stored[cell],
            "storetime": np.where(luck < 0.02, -1, stored + (luck * 600).astype(int) * 60)[cell],
            "test_itemid": np.array([one.test_itemid for one in of], np.int64)[cell],
            "test_name": name([one.test for one in CULTURES], kind[cell]),
            **_growth(draw, (key[cell], hour[cell] * 8), grown, turn),
            "comments": name(
                [None, *(one.comment for one in CULTURES)], np.where(grown, 0, kind[cell] + 1)
            ),
            "at": at[cell],
            "kind": kind[cell],
            "turn": turn,
            "cell": cell,
        }
    )


def _growth(
    draw: Draw, address: tuple[Array, Array], grown: Array, turn: Array
) -> dict[str, Array | pl.Series]:
    """What grew, and what one drug after another does to it; empty where nothing grew."""
    key, when = address
    organism = draw.below("organism", key, limit=len(_ORGANISMS))  # one an admission
    drug = (organism + turn) % len(_DRUGS)
    dilution = draw.pick("dilution", key, when + turn, weights=(7, 1, 2))

    def where_grown(words: list[str], places: Array) -> pl.Series:
        return name([None, *words], np.where(grown, places + 1, 0))

    return {
        "org_itemid": np.where(grown, np.array([row[0] for row in _ORGANISMS])[organism], -1),
        "org_name": where_grown([row[1] for row in _ORGANISMS], organism),
        "isolate_num": np.where(grown, 1, -1),
        "ab_itemid": np.where(grown, np.array([row[0] for row in _DRUGS])[drug], -1),
        "ab_name": where_grown([row[1] for row in _DRUGS], drug),
        "dilution_text": where_grown([row[0] for row in _DILUTIONS], dilution),
        "dilution_comparison": where_grown([row[1] for row in _DILUTIONS], dilution),
        "dilution_value": where_grown([row[2] for row in _DILUTIONS], dilution),
        "interpretation": where_grown([row[3] for row in _DILUTIONS], dilution),
    }

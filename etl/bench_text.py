"""Texts like those of the stage ``event``, from a seed: of the same tables, words and lengths."""

import random
from collections.abc import Callable

Draw = Callable[[random.Random], str]

CHARTS = (
    ("Heart Rate", "bpm", 40, 170, 0),
    ("Respiratory Rate", "insp/min", 8, 45, 0),
    ("O2 saturation pulseoxymetry", "%", 78, 100, 0),
    ("Non Invasive Blood Pressure systolic", "mmHg", 70, 210, 0),
    ("Arterial Blood Pressure diastolic", "mmHg", 30, 120, 0),
    ("Temperature Celsius", "°C", 34, 41, 1),
    ("Tidal Volume (observed)", "mL", 250, 700, 0),
    ("Daily Weight", "kg", 40, 160, 1),
    ("Glucose (serum)", "", 50, 400, 0),
)
LABS = (
    ("Potassium", "mEq/L", 2.5, 6.5, 1, "3.3", "5.1"),
    ("Creatinine", "mg/dL", 0.4, 7, 1, "0.4", "1.1"),
    ("pO2", "mm Hg", 40, 300, 0, "85", "105"),
    ("White Blood Cells", "K/uL", 1, 40, 1, "4", "10"),
    ("C-Reactive Protein", "mg/L", 0, 300, 1, "0", "5"),
)
DRUGS = ("Furosemide", "Vancomycin", "Piperacillin-Tazobactam", "Metoprolol Tartrate", "Heparin")
ORGANISMS = ("PSEUDOMONAS AERUGINOSA", "STAPH AUREUS COAG +", "ESCHERICHIA COLI", "YEAST")


def make_event_texts(count: int, seed: int) -> list[str]:
    """``count`` distinct texts."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    kinds: list[Draw] = [_chart, _lab, _infusion, _prescription, _culture]
    while len(found) < count:
        draw = rng.choices(kinds, weights=(50, 25, 15, 6, 4))[0]
        found[draw(rng)] = None
    return list(found)


def _number(rng: random.Random, low: float, high: float, digits: int) -> str:
    return f"{rng.uniform(low, high):.{digits}f}"


def _chart(rng: random.Random) -> str:
    item, unit, low, high, digits = rng.choice(CHARTS)
    unit = f" valueuom {unit}" if unit else ""
    return f"chartevents itemid {item} value {_number(rng, low, high, digits + 2)}{unit}"


def _lab(rng: random.Random) -> str:
    item, unit, low, high, digits, least, most = rng.choice(LABS)
    value = _number(rng, low, high, digits + 2)
    flag = " flag abnormal" if rng.random() < 0.4 else ""
    return (
        f"labevents itemid {item} value {value} valueuom {unit} ref_range_lower {least} "
        f"ref_range_upper {most}{flag} priority {rng.choice(('STAT', 'ROUTINE'))}"
    )


def _infusion(rng: random.Random) -> str:
    rate = _number(rng, 0, 250, 4)
    return (
        f"inputevents itemid {rng.choice(DRUGS)} rate {rate} rateuom mL/hour ordercategoryname "
        "02-Fluids (Crystalloids) secondaryordercategoryname Additive (Crystalloid) "
        "ordercomponenttypedescription Main order parameter ordercategorydescription Continuous "
        f"IV patientweight {_number(rng, 40, 150, 1)} originalrate {rate}"
    )


def _prescription(rng: random.Random) -> str:
    return (
        f"prescriptions drug {rng.choice(DRUGS)} prod_strength {rng.randrange(5, 900)}mg Vial "
        f"dose_val_rx {rng.randrange(5, 4000)} dose_unit_rx mg form_unit_disp VIAL route IV"
    )


def _culture(rng: random.Random) -> str:
    return (
        f"microbiologyevents spec_type_desc SPUTUM test_name RESPIRATORY CULTURE org_name "
        f"{rng.choice(ORGANISMS)} isolate_num {rng.randrange(1, 9)} ab_name CEFEPIME dilution_text "
        f"=>{rng.randrange(1, 64)} dilution_comparison => dilution_value {rng.randrange(1, 64)}"
    )

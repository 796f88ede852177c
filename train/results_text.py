"""How the results page spells names and numbers."""

import math
from collections.abc import Mapping
from typing import Any

# A row is called after its folder; those of the papers as the papers spell them.
TITLES = {
    "daft": "DAFT",
    "ddl_cxr": "DDL-CXR",
    "drfuse": "DrFuse",
    "film_findings": "Film findings",
    "future_fusion": "Future fusion",
    "gan": "GAN-based",
    "last_cxr": "Last-CXR",
    "medfuse": "MedFuse",
    "mmtm": "MMTM",
    "tabular": "Age and sex",
    "uni_cxr": "Uni-CXR",
    "uni_ehr": "Uni-EHR",
    "uni_ehr_lstm": "Uni-EHR (LSTM)",
}
METRICS = {"auprc": "AUPRC", "auroc": "AUROC", "brier": "Brier", "ece": "ECE"}
OUTCOMES = {
    "mortality": "In-hospital death",
    "phenotypes": "Phenotypes",
    "findings": "Findings",
    "all": "All outcomes",
}
GROUPINGS = {
    "gap": "Hours since the last film",
    "sex": "Sex",
    "age": "Age in years",
    "race": "Race",
    "insurance": "Insurance",
    "view": "View of the last film",
    "devices": "Support devices on the last film",
}
NOTHING = DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def title_of(name: str) -> str:
    """Of a row."""
    return TITLES.get(name, name)


def name_grouping(grouping: str) -> str:
    """In words."""
    return GROUPINGS.get(grouping, grouping)


def name_outcome(outcome: str) -> str:
    """In words."""
    return OUTCOMES.get(outcome, outcome)


def name_group(group: str, *, is_hours: bool = False) -> str:
    """As people write it: MIMIC's capitals, ranges and hours."""
    if group.isupper() and len(group) > 2:
        group = group.capitalize()
    unit = " h" if is_hours and any(letter.isdigit() for letter in group) else ""
    group = group.replace(">=", "≥")
    return (group.replace("-", DASH) if group[0].isdigit() else group) + unit


def spell(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number with so many digits, a dash of none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    # "-0.000" is no number to show.
    text = text.lstrip("+-") if float(text) == 0 else text
    return text.replace("-", MINUS)


def spell_count(value: int | str | None) -> str:
    """With commas; words, such as those of a hidden count, as they are."""
    if value is None:
        return NOTHING
    return value if isinstance(value, str) else f"{value:,}"


def spell_interval(cell: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    """[low, high], or nothing."""
    if cell is None or cell.get("low") is None:
        return ""
    low, high = (spell(cell[name], signed=signed) for name in ("low", "high"))
    return f"[{low}, {high}]"


def spell_mean(cell: Mapping[str, Any] | None) -> str:
    """The mean, with its deviation over seeds if there is one."""
    if cell is None or cell.get("value") is None:
        return NOTHING
    deviation = cell.get("sd")
    return spell(cell["value"]) + ("" if deviation is None else f" ± {spell(deviation)}")


def spell_p(value: float | None) -> str:
    """Of 1,000 draws no p below .002 can come."""
    if value is None:
        return ""
    return "p <0.001" if value < 0.001 else f"p {spell(value)}"

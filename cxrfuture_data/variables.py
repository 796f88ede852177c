"""The variables of the hourly record: names, units, normal values and plausible bounds.

Stored values are neither clipped nor imputed. Two sets: ``benchmark``, the 17 of DDL-CXR, MedFuse
and DrFuse; ``wide``, those of the recipe `future` (docs/variables.md lists every item).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """One column of the hourly record. A categorical value is stored as its index in categories."""

    name: str
    unit: str
    default: float
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()


# Order, normal values and plausible bounds: specs ddl-cxr 3.4. ``default`` of a categorical
# variable is the index of its normal category.
VARIABLES = (
    Variable("Capillary refill rate", "category", 0, categories=("0.0", "1.0")),
    Variable("Diastolic blood pressure", "mmHg", 59.0, 17.7, 106.81),
    Variable("Fraction inspired oxygen", "fraction", 0.21, 0.0, 1.1),
    Variable(
        "GCS eye opening",
        "category",
        3,
        categories=(
            "To Pain",
            "3 To speech",
            "1 No Response",
            "4 Spontaneously",
            "None",
            "To Speech",
            "Spontaneously",
            "2 To pain",
        ),
    ),
    Variable(
        "GCS motor response",
        "category",
        9,
        categories=(
            "1 No Response",
            "3 Abnorm flexion",
            "Abnormal extension",
            "No response",
            "4 Flex-withdraws",
            "Localizes Pain",
            "Flex-withdraws",
            "Obeys Commands",
            "Abnormal Flexion",
            "6 Obeys Commands",
            "5 Localizes Pain",
            "2 Abnorm extensn",
        ),
    ),
    Variable(
        "GCS total",
        "category",
        4,
        categories=("11", "10", "13", "12", "15", "14", "3", "5", "4", "7", "6", "9", "8"),
    ),
    Variable(
        "GCS verbal response",
        "category",
        6,
        categories=(
            "1 No Response",
            "No Response",
            "Confused",
            "Inappropriate Words",
            "Oriented",
            "No Response-ETT",
            "5 Oriented",
            "Incomprehensible sounds",
            "1.0 ET/Trach",
            "4 Confused",
            "2 Incomp sounds",
            "3 Inapprop words",
        ),
    ),
    Variable("Glucose", "mg/dL", 128.0, 0.0, 318.17),
    Variable("Heart Rate", "1/min", 86.0, 33.21, 143.61),
    Variable("Height", "cm", 170.0, 134.48, 203.32),
    Variable("Mean blood pressure", "mmHg", 77.0, 31.9, 123.05),
    Variable("Oxygen saturation", "%", 98.0, 82.01, 110.68),
    Variable("Respiratory rate", "1/min", 19.0, 0.0, 41.95),
    Variable("Systolic blood pressure", "mmHg", 118.0, 55.61, 179.79),
    Variable("Temperature", "degC", 36.6, 35.06, 38.88),
    Variable("Weight", "kg", 81.0, 16.22, 149.31),
    Variable("pH", "1", 7.4, 5.83, 8.66),
)

# Every one is a number: scales are scored, and what runs (an infusion, a ventilator's setting) has
# a value in every hour in which it runs.
WIDE_VARIABLES = (Variable("Heart Rate", "1/min", 86.0, 0.0, 300.0),)

VARIABLE_SETS = {"benchmark": VARIABLES, "wide": WIDE_VARIABLES}

"""The variables of the hourly record: names, units, normal values and plausible bounds.

Stored values are neither clipped nor imputed. Two sets: ``benchmark``, the 17 of DDL-CXR, MedFuse
and DrFuse; ``wide``, those of the recipe `future` (docs/variables.md lists every item).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Variable:
    """One column of the hourly record. A categorical value is stored as its index in categories.

    hourly: what stands for an hour: its last value; the sum of it; or the mean rate over that part
    of it that is in the window, 0 while nothing ran. fill: what a model reads in an hour without
    one: the last value of an earlier hour, or 0.
    """

    name: str
    unit: str
    default: float
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    hourly: Literal["last", "sum", "mean"] = "last"
    fill: Literal["carry", "zero"] = "carry"


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

# Every one is a number: scales are scored; what runs has a value in every hour in which it runs.
# Bounds: values beyond them are errors and dropped (sql/event/future/wide_variable.sql says why).
WIDE_VARIABLES = (
    Variable("Heart Rate", "1/min", 86.0, 0.0, 350.0),
    Variable("Respiratory rate", "1/min", 19.0, 0.0, 120.0),
    Variable("Oxygen saturation", "%", 98.0, 1.0, 100.0),
    Variable("Temperature", "degC", 36.8, 15.0, 46.0),
    Variable("Systolic blood pressure", "mmHg", 118.0, 1.0, 400.0),
    Variable("Diastolic blood pressure", "mmHg", 62.0, 1.0, 300.0),
    Variable("Mean blood pressure", "mmHg", 77.0, 1.0, 330.0),
    Variable("Central venous pressure", "mmHg", 8.0, -20.0, 60.0),
    Variable("GCS eye opening", "1", 4.0, 1.0, 4.0),
    Variable("GCS motor response", "1", 6.0, 1.0, 6.0),
    Variable("GCS verbal response", "1", 5.0, 1.0, 5.0),
    Variable("GCS total", "1", 15.0, 3.0, 15.0),
    Variable("RASS", "1", 0.0, -5.0, 4.0),
    Variable("Fraction inspired oxygen", "fraction", 0.21, 0.2, 1.0),
    Variable("Oxygen flow", "L/min", 2.0, 0.0, 100.0),
    Variable("PEEP", "cmH2O", 5.0, 0.0, 50.0),
    Variable("Tidal volume set", "mL", 450.0, 50.0, 2000.0),
    Variable("Tidal volume observed", "mL", 450.0, 0.0, 3000.0),
    Variable("Minute volume", "L/min", 8.5, 0.0, 60.0),
    Variable("Respiratory rate set", "1/min", 16.0, 0.0, 100.0),
    Variable("Peak inspiratory pressure", "cmH2O", 18.0, 0.0, 120.0),
    Variable("Plateau pressure", "cmH2O", 18.0, 0.0, 100.0),
    Variable("Mean airway pressure", "cmH2O", 8.0, 0.0, 80.0),
    Variable("pH", "1", 7.4, 6.5, 8.0),
    Variable("PaO2", "mmHg", 95.0, 10.0, 800.0),
    Variable("PaCO2", "mmHg", 40.0, 5.0, 250.0),
    Variable("Base excess", "mmol/L", 0.0, -50.0, 50.0),
    Variable("Calculated total CO2", "mmol/L", 24.0, 1.0, 80.0),
    Variable("Lactate", "mmol/L", 1.5, 0.1, 40.0),
    Variable("SaO2", "%", 97.0, 1.0, 100.0),
    Variable("Sodium", "mmol/L", 139.0, 80.0, 210.0),
    Variable("Potassium", "mmol/L", 4.1, 0.8, 15.0),
    Variable("Chloride", "mmol/L", 103.0, 50.0, 175.0),
    Variable("Bicarbonate", "mmol/L", 25.0, 1.0, 80.0),
    Variable("Urea nitrogen", "mg/dL", 18.0, 0.0, 350.0),
    Variable("Creatinine", "mg/dL", 1.0, 0.0, 50.0),
    Variable("Glucose", "mg/dL", 120.0, 5.0, 2500.0),
    Variable("Calcium", "mg/dL", 8.7, 2.0, 25.0),
    Variable("Ionised calcium", "mmol/L", 1.15, 0.2, 5.0),
    Variable("Magnesium", "mg/dL", 2.0, 0.2, 25.0),
    Variable("Phosphate", "mg/dL", 3.5, 0.1, 40.0),
    Variable("Anion gap", "mmol/L", 14.0, -20.0, 80.0),
    Variable("Albumin", "g/dL", 3.5, 0.3, 8.0),
    Variable("Bilirubin", "mg/dL", 0.7, 0.0, 100.0),
    Variable("AST", "U/L", 30.0, 0.0, 50000.0),
    Variable("ALT", "U/L", 26.0, 0.0, 50000.0),
    Variable("Alkaline phosphatase", "U/L", 85.0, 0.0, 10000.0),
    Variable("LDH", "U/L", 220.0, 0.0, 60000.0),
    Variable("Troponin T", "ng/mL", 0.01, 0.0, 100.0),
    Variable("NT-proBNP", "pg/mL", 500.0, 0.0, 200000.0),
    Variable("Creatine kinase", "U/L", 100.0, 0.0, 500000.0),
    Variable("Creatine kinase MB", "ng/mL", 4.0, 0.0, 2000.0),
    Variable("C-reactive protein", "mg/L", 20.0, 0.0, 800.0),
    Variable("White blood cells", "K/uL", 8.5, 0.0, 1000.0),
    Variable("Haemoglobin", "g/dL", 11.0, 0.5, 28.0),
    Variable("Haematocrit", "%", 33.0, 1.0, 80.0),
    Variable("Platelets", "K/uL", 210.0, 0.0, 5000.0),
    Variable("Neutrophils", "%", 72.0, 0.0, 100.0),
    Variable("Lymphocytes", "%", 17.0, 0.0, 100.0),
    Variable("INR", "1", 1.2, 0.4, 50.0),
    Variable("Prothrombin time", "s", 13.5, 5.0, 250.0),
    Variable("Partial thromboplastin time", "s", 31.0, 10.0, 300.0),
    Variable("Fibrinogen", "mg/dL", 280.0, 10.0, 2500.0),
    Variable("D-dimer", "ng/mL", 800.0, 0.0, 200000.0),
    Variable("Urine output", "mL", 0.0, -10000.0, 10000.0, hourly="sum", fill="zero"),
    Variable("Fluid intake", "mL", 0.0, 0.0, 10000.0, hourly="sum", fill="zero"),
    Variable("Fluid output", "mL", 0.0, -10000.0, 10000.0, hourly="sum", fill="zero"),
    Variable("Fluid balance", "mL", 0.0, -20000.0, 20000.0, hourly="sum", fill="zero"),
    Variable("Vasopressors", "mcg/kg/min", 0.0, 0.0, 5.0, hourly="mean", fill="zero"),
    Variable("Weight", "kg", 81.0, 20.0, 500.0),
    Variable("Height", "cm", 170.0, 100.0, 250.0),
)

VARIABLE_SETS = {"benchmark": VARIABLES, "wide": WIDE_VARIABLES}

"""The contract: words, members, tensors and units of a built dataset. Nothing here reads a file.

A dataset is a folder of plain WebDataset tars (README, "What a dataset holds"). Every sample of a
kind has the same members; a modality that a sample lacks is an empty array plus a flag in
``sample.json``'s ``has``.
"""

from dataclasses import dataclass

SCHEMA_VERSION = 2

SPLITS = ("train", "valid", "test")
KINDS = ("pair", "stay", "image")

TENSORS_MEMBER = "tensors.safetensors"
SAMPLE_MEMBER = "sample.json"
FILM_SUFFIX = ".png"

# CheXpert's 14 labels, in the order of every label vector (alphabetical; specs ddl-cxr 4.1).
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)

# The 25 groups of diagnoses of the phenotyping benchmark, in the order of every phenotype vector
# (alphabetical; specs ddl-cxr 4.2, Table 8).
PHENOTYPES = (
    "Acute and unspecified renal failure",
    "Acute cerebrovascular disease",
    "Acute myocardial infarction",
    "Cardiac dysrhythmias",
    "Chronic kidney disease",
    "Chronic obstructive pulmonary disease and bronchiectasis",
    "Complications of surgical procedures or medical care",
    "Conduction disorders",
    "Congestive heart failure; nonhypertensive",
    "Coronary atherosclerosis and other heart disease",
    "Diabetes mellitus with complications",
    "Diabetes mellitus without complication",
    "Disorders of lipid metabolism",
    "Essential hypertension",
    "Fluid and electrolyte disorders",
    "Gastrointestinal hemorrhage",
    "Hypertension with complications and secondary hypertension",
    "Other liver diseases",
    "Other lower respiratory disease",
    "Other upper respiratory disease",
    "Pleurisy; pneumothorax; pulmonary collapse",
    "Pneumonia (except that caused by tuberculosis or sexually transmitted disease)",
    "Respiratory failure; insufficiency; arrest (adult)",
    "Septicemia (except in labor)",
    "Shock",
)

# The values of an image sample's static vector, in order, with their units (specs diff3m 9). One
# that is not known is NaN.
STATIC = {
    "is_male": "0 or 1",
    "age": "years",
    "is_ap": "0 or 1: AP, or PA",
    "bmi": "kg/m2",
    "systolic": "mmHg",
    "diastolic": "mmHg",
    "height": "inch",
    "weight": "pound",
}

# The seven tables whose rows become event texts; ``event_table`` indexes this tuple
# (order of specs ehrxdiff 3.1).
EVENT_TABLES = (
    "labevents",
    "prescriptions",
    "inputevents",
    "chartevents",
    "outputevents",
    "microbiologyevents",
    "procedureevents",
)


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
# variable is the index of its normal category. Stored values are neither clipped nor imputed.
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

# Tensor name -> dtype, per kind. Shapes: latents (C, h, w), and (0, 0, 0) of a film that a stay
# lacks; hourly (T, 17), NaN where nothing was measured in that hour (hour 0 begins
# ``hourly_start_hours`` after the window); events (E,), oldest first; static (S,).
LATENT_PARTS = ("mean", "logvar")
WINDOW_TENSORS = {
    "hourly": "float32",
    "event_row": "int32",  # row of embeddings/table.npy
    "event_hours": "float32",  # hours since the window's start
    "event_table": "uint8",  # index in EVENT_TABLES
}
FILMS_OF_KIND = {"pair": ("previous", "target"), "stay": ("previous",), "image": ("image",)}
TENSORS_OF_KIND = {
    kind: {f"{film}_{part}": "float16" for film in films for part in LATENT_PARTS}
    | ({"static": "float32"} if kind == "image" else WINDOW_TENSORS)
    for kind, films in FILMS_OF_KIND.items()
}


class ContractError(ValueError):
    """Something a user can fix. The command line prints it as one line and exits with 1."""

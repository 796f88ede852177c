"""The contract: words, members, tensors and units of a built dataset. Nothing here reads a file.

A dataset is a folder of plain WebDataset tars (README, "What a dataset holds"). Every sample of a
kind has the same members; a modality that a sample lacks is an empty array plus a flag in
``sample.json``'s ``has``.
"""

from typing import Literal, TypeAlias

from cxrfuture_data.variables import VARIABLE_SETS as VARIABLE_SETS
from cxrfuture_data.variables import VARIABLES as VARIABLES
from cxrfuture_data.variables import WIDE_VARIABLES as WIDE_VARIABLES
from cxrfuture_data.variables import Variable as Variable

SCHEMA_VERSION = 7

SPLITS = ("train", "valid", "test")
KINDS = ("pair", "stay", "image")

TENSORS_MEMBER = "tensors.safetensors"
SAMPLE_MEMBER = "sample.json"
# How the films of a dataset are kept, if at all: one member a film, with this suffix.
FilmsKept: TypeAlias = Literal["none", "png", "levels"]
FILM_SUFFIXES: dict[FilmsKept, str] = {"png": ".png", "levels": ".levels"}

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

# The tables whose rows become event texts; ``event_table`` indexes this tuple. EHRXDiff's seven
# come first (order of specs ehrxdiff 3.1). "report": radiology reports, of MIMIC-CXR.
EVENT_TABLES = (
    "labevents",
    "prescriptions",
    "inputevents",
    "chartevents",
    "outputevents",
    "microbiologyevents",
    "procedureevents",
    "emar",
    "ingredientevents",
    "datetimeevents",
    "transfers",
    "services",
    "omr",
    "procedures_icd",
    "hcpcsevents",
    "poe",
    "report",
)
EHRXDIFF_TABLES = EVENT_TABLES[:7]

# What pairs and stays hold of their admission, as it spells them; known when it begins.
ADMISSION_TEXTS = ("race", "insurance")

# Charlson's comorbidities (Quan 2005), in the order of every comorbidity vector.
COMORBIDITIES = (
    "myocardial infarction",
    "congestive heart failure",
    "peripheral vascular disease",
    "cerebrovascular disease",
    "dementia",
    "chronic pulmonary disease",
    "rheumatic disease",
    "peptic ulcer disease",
    "mild liver disease",
    "diabetes without chronic complication",
    "diabetes with chronic complication",
    "hemiplegia or paraplegia",
    "renal disease",
    "malignancy",
    "moderate or severe liver disease",
    "metastatic solid tumour",
    "AIDS or HIV",
)


# Tensor name -> dtype, per kind. Shapes: latents (C, h, w), and (0, 0, 0) of a film that a stay
# lacks; hourly (T, V), V variables of the dataset's set, NaN where nothing was measured in that
# hour (hour 0 begins ``hourly_start_hours`` after the window); generation_hourly (T, V) likewise,
# of the window that a film at a stay's prediction is generated from, (0, V) without one; events
# (E,), oldest first; static (S,).
LATENT_PARTS = ("mean", "logvar")
WINDOW_TENSORS = {
    "hourly": "float32",
    "event_row": "int32",  # row of embeddings/table.npy
    "event_hours": "float32",  # hours since the window's start; negative: before it, still of use
    "event_end_hours": "float32",  # NaN: a moment; +inf: it still runs at the window's end
    "event_table": "uint8",  # index in EVENT_TABLES
}
_TENSORS_OF_KIND = {
    "pair": WINDOW_TENSORS,
    "stay": WINDOW_TENSORS | {"generation_hourly": "float32"},
    "image": {"static": "float32"},
}
FILMS_OF_KIND = {"pair": ("previous", "target"), "stay": ("previous",), "image": ("image",)}
TENSORS_OF_KIND = {
    kind: {f"{film}_{part}": "float16" for film in films for part in LATENT_PARTS}
    | _TENSORS_OF_KIND[kind]
    for kind, films in FILMS_OF_KIND.items()
}


class ContractError(ValueError):
    """Something a user can fix. The command line prints it as one line and exits with 1."""

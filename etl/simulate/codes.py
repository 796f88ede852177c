"""ICD, DRG and HCPCS codes: those the simulated diagnoses use, with their official titles."""

# Illness of people.ILLNESSES -> its diagnoses: (ICD-9, title, ICD-10, title), the main one first.
DIAGNOSES = {
    0: (
        ("42833", "Acute on chronic diastolic heart failure",
         "I5033", "Acute on chronic diastolic (congestive) heart failure"),
        ("4280", "Congestive heart failure, unspecified", "I509", "Heart failure, unspecified"),
        ("5119", "Unspecified pleural effusion",
         "J90", "Pleural effusion, not elsewhere classified"),
    ),
    1: (
        ("486", "Pneumonia, organism unspecified", "J189", "Pneumonia, unspecified organism"),
        ("51881", "Acute respiratory failure",
         "J9601", "Acute respiratory failure with hypoxia"),
        ("5119", "Unspecified pleural effusion",
         "J90", "Pleural effusion, not elsewhere classified"),
    ),
    2: (
        ("0389", "Unspecified septicemia", "A419", "Sepsis, unspecified organism"),
        ("78552", "Septic shock", "R6521", "Severe sepsis with septic shock"),
        ("5849", "Acute kidney failure, unspecified",
         "N179", "Acute kidney failure, unspecified"),
    ),
    3: (
        ("41401", "Coronary atherosclerosis of native coronary artery", "I2510",
         "Atherosclerotic heart disease of native coronary artery without angina pectoris"),
        ("5180", "Pulmonary collapse", "J9811", "Atelectasis"),
        ("4241", "Aortic valve disorders", "I350", "Nonrheumatic aortic (valve) stenosis"),
    ),
    4: (
        ("8600", "Traumatic pneumothorax without mention of open wound into thorax",
         "S270XXA", "Traumatic pneumothorax, initial encounter"),
        ("80704", "Closed fracture of four ribs",
         "S2241XA",
         "Multiple fractures of ribs, right side, initial encounter for closed fracture"),
        ("E8889", "Unspecified fall", "W19XXXA", "Unspecified fall, initial encounter"),
    ),
    5: (
        ("5789", "Hemorrhage of gastrointestinal tract, unspecified",
         "K922", "Gastrointestinal hemorrhage, unspecified"),
        ("2851", "Acute posthemorrhagic anemia", "D62", "Acute posthemorrhagic anemia"),
        ("5715", "Cirrhosis of liver without mention of alcohol",
         "K7460", "Unspecified cirrhosis of liver"),
    ),
}  # fmt: skip
# What a patient brings along, by luck.
COMORBIDITIES = (
    ("4019", "Unspecified essential hypertension", "I10", "Essential (primary) hypertension"),
    ("25000", "Diabetes mellitus without mention of complication, type II or unspecified type, not "
     "stated as uncontrolled", "E119", "Type 2 diabetes mellitus without complications"),
    ("42731", "Atrial fibrillation", "I4891", "Unspecified atrial fibrillation"),
    ("496", "Chronic airway obstruction, not elsewhere classified",
     "J449", "Chronic obstructive pulmonary disease, unspecified"),
    ("5859", "Chronic kidney disease, unspecified", "N189", "Chronic kidney disease, unspecified"),
    ("2724", "Other and unspecified hyperlipidemia", "E785", "Hyperlipidemia, unspecified"),
)  # fmt: skip
# (ICD-9, title, ICD-10, title)
VENTILATION = ("9671", "Continuous invasive mechanical ventilation for less than 96 consecutive "
               "hours", "5A1945Z", "Respiratory Ventilation, 24-96 Consecutive Hours")  # fmt: skip
LINE = ("3897", "Central venous catheter placement with guidance", "02HV33Z",
        "Insertion of Infusion Device into Superior Vena Cava, Percutaneous Approach")  # fmt: skip
CHEST_TUBE = ("3404", "Insertion of intercostal catheter for drainage", "0W9930Z",
              "Drainage of Right Pleural Cavity with Drainage Device, Percutaneous "
              "Approach")  # fmt: skip
PROCEDURES = (VENTILATION, LINE, CHEST_TUBE)
# Illness -> (HCFA code, description), (APR code, description)
DRGS = {
    0: (("291", "HEART FAILURE & SHOCK W MCC"), ("194", "HEART FAILURE")),
    1: (("193", "SIMPLE PNEUMONIA & PLEURISY W MCC"), ("139", "OTHER PNEUMONIA")),
    2: (("871", "SEPTICEMIA OR SEVERE SEPSIS W/O MV 96+ HOURS W MCC"),
        ("720", "SEPTICEMIA & DISSEMINATED INFECTIONS")),
    3: (("235", "CORONARY BYPASS W/O CARDIAC CATH W MCC"),
        ("166", "CORONARY BYPASS W/O CARDIAC CATH OR PERCUTANEOUS CARDIAC PROCEDURE")),
    4: (("963", "OTHER MULTIPLE SIGNIFICANT TRAUMA W MCC"),
        ("135", "MAJOR CHEST & RESPIRATORY TRAUMA")),
    5: (("377", "G.I. HEMORRHAGE W MCC"), ("241", "PEPTIC ULCER & GASTRITIS")),
}  # fmt: skip
HCPCS = (
    ("99218", "Hospital observation services", "Hospital observation services"),
    ("99219", "Hospital observation services", "Hospital observation services"),
    ("G0378", "Hospital observation service, per hour", "Hospital observation per hr"),
)


def diagnosis_titles() -> list[tuple[str, int, str]]:
    """(code, version, title) of every diagnosis, each once."""
    rows = [row for group in DIAGNOSES.values() for row in group] + list(COMORBIDITIES)
    return _titles(rows)


def procedure_titles() -> list[tuple[str, int, str]]:
    """(code, version, title) of every procedure."""
    return _titles(list(PROCEDURES))


def _titles(rows: list[tuple[str, str, str, str]]) -> list[tuple[str, int, str]]:
    found = {(row[0], 9, row[1]) for row in rows} | {(row[2], 10, row[3]) for row in rows}
    return sorted(found, key=lambda one: (one[1], one[0]))

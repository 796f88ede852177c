"""d_labitems, and in which panels an item is measured. Ids, labels and ranges are MIMIC's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabItem:
    """One row of d_labitems, and how its result comes about: from a signal, or from words."""

    itemid: int
    label: str
    fluid: str
    category: str
    panel: str
    unit: str | None
    low: float | None
    high: float | None
    decimals: int
    signal: str
    deviation: float
    words: tuple[str, ...]


# Per panel: panel|fluid|category, then itemid|label|unit|low|high|decimals|signal|deviation, or
# itemid|label|unit|low|high|words, where words are joined by commas.
_PANELS = """
chemistry|Blood|Chemistry
50868|Anion Gap|mEq/L|8|20|0|gap|1.2
50882|Bicarbonate|mEq/L|22|32|0|bicarbonate|1.5
50893|Calcium, Total|mg/dL|8.4|10.3|1|calcium|0.2
50902|Chloride|mEq/L|96|108|0|chloride|1.5
50912|Creatinine|mg/dL|0.5|1.2|1|creatinine|0.07
50931|Glucose|mg/dL|70|100|0|glucose|16
50960|Magnesium|mg/dL|1.6|2.6|1|magnesium|0.15
50970|Phosphate|mg/dL|2.7|4.5|1|phosphate|0.4
50971|Potassium|mEq/L|3.3|5.1|1|potassium|0.3
50983|Sodium|mEq/L|133|145|0|sodium|1.5
51006|Urea Nitrogen|mg/dL|6|20|0|urea|2
50920|Estimated GFR (MDRD equation)||||___
count|Blood|Hematology
51221|Hematocrit|%|40|52|1|hematocrit|1
51222|Hemoglobin|g/dL|14|18|1|hemoglobin|0.3
51248|MCH|pg|27|32|1|mch|0.4
51249|MCHC|%|31|35|1|mchc|0.5
51250|MCV|fL|82|98|0|mcv|1
51265|Platelet Count|K/uL|150|440|0|platelets|14
51277|RDW|%|10.5|15.5|1|rdw|0.2
51279|Red Blood Cells|m/uL|4.6|6.2|2|red cells|0.1
51301|White Blood Cells|K/uL|4|11|1|wbc|0.8
clotting|Blood|Hematology
51237|INR(PT)||0.9|1.1|1|clotting|0.06
51274|PT|sec|9.4|12.5|1|prothrombin|0.5
51275|PTT|sec|25|36.5|1|thromboplastin|2
liver|Blood|Chemistry
50861|Alanine Aminotransferase (ALT)|IU/L|0|40|0|liver|5
50862|Albumin|g/dL|3.5|5.2|1|albumin|0.2
50863|Alkaline Phosphatase|IU/L|35|105|0|phosphatase|15
50878|Asparate Aminotransferase (AST)|IU/L|0|40|0|liver|6
50885|Bilirubin, Total|mg/dL|0|1.5|1|bilirubin|0.1
gas|Blood|Blood Gas
50802|Base Excess|mEq/L|||0|base excess|1
50804|Calculated Total CO2|mEq/L|21|30|0|bicarbonate|1
50808|Free Calcium|mmol/L|1.12|1.32|2|free calcium|0.05
50809|Glucose|mg/dL|70|105|0|glucose|14
50812|Intubated||||INTUBATED.,NOT INTUBATED.,___
50813|Lactate|mmol/L|0.5|2|1|lactate|0.2
50817|Oxygen Saturation|%|||0|saturation|1
50818|pCO2|mm Hg|35|45|0|pco2|3
50820|pH|units|7.35|7.45|2|ph|0.02
50821|pO2|mm Hg|85|105|0|po2|8
50822|Potassium, Whole Blood|mEq/L|3.3|5.1|1|potassium|0.3
52033|Specimen Type||||ART.,ART.,ART.,VEN.
inflammation|Blood|Chemistry
50889|C-Reactive Protein|mg/L|0|5|1|crp|6
heart|Blood|Chemistry
50963|NTproBNP|pg/mL|0|177|0|bnp|40
51003|Troponin T|ng/mL|0|0.01|2|troponin|0.01
urine|Urine|Hematology
51464|Bilirubin|mg/dL|||NEG,NEG,SM
51466|Blood|N/A|||NEG,TR,SM,LG
51478|Glucose|mg/dL|0|0|NEG,NEG,NEG,TR,150,1000
51484|Ketone|mg/dL|0|0|NEG,TR,10
51486|Leukocytes|N/A|||NEG,SM,LG
51487|Nitrite|N/A|||NEG,NEG,POS
51491|pH|units|5|8|1|urine ph|0.6
51492|Protein|mg/dL|0|0|NEG,TR,30,100
51498|Specific Gravity| |1.001|1.035|2|gravity|0.01
51506|Urine Appearance|N/A|||Clear,Hazy,Cloudy
51508|Urine Color|N/A|||Yellow,Straw,Amber
urine chemistry|Urine|Chemistry
51082|Creatinine, Urine|mg/dL|||0|urine creatinine|20
51094|pH|units|||0|urine ph|0.5
51100|Sodium, Urine|mEq/L|||0|urine salt|15
tube|Other Body Fluid|Blood Gas
50831|pH|units|||2|fluid ph|0.1
hold|Blood|Chemistry
50933|Green Top Hold (plasma)||||HOLD.  DISCARD GREATER THAN 4 HOURS OLD.
not measured|Blood|Chemistry
51652|High-Sensitivity CRP|mg/L|0|3|1|crp|1
"""


def _number(text: str) -> float | None:
    return float(text) if text else None


def _parse() -> tuple[LabItem, ...]:
    found, panel, fluid, category = [], "", "", ""
    for line in _PANELS.strip().splitlines():
        parts = line.split("|")
        if not parts[0].isdigit():
            panel, fluid, category = parts
            continue
        itemid, label, unit, low, high, *rest = parts
        numeric = len(rest) == 3
        found.append(
            LabItem(
                int(itemid),
                label,
                fluid,
                category,
                panel,
                unit or None,
                _number(low),
                _number(high),
                int(rest[0]) if numeric else 0,
                rest[1] if numeric else "",
                float(rest[2]) if numeric else 0.0,
                () if numeric else tuple(rest[0].split(",")),
            )
        )
    return tuple(found)


LAB_ITEMS = _parse()
# Signals that no state moves.
STEADY = {
    "mch": 29.8,
    "mchc": 32.6,
    "mcv": 90.0,
    "rdw": 14.6,
    "phosphatase": 88.0,
    "free calcium": 1.14,
    "urine ph": 6.0,
    "gravity": 1.017,
    "urine creatinine": 80.0,
    "urine salt": 45.0,
    "fluid ph": 7.35,
}
COMMENTS = {
    50931: "IF FASTING, 70-100 NORMAL, >125 PROVISIONAL DIABETES.",
    50809: "RANDOM.",
    50920: "Using this patient's age, gender, and serum creatinine value of ___.",
    50933: "HOLD.  DISCARD GREATER THAN 4 HOURS OLD.",
    51487: "NEG.",
    51466: "NEG.",
    51508: "Yellow.",
    51506: "Clear.",
}

"""The drugs of the simulated hospital, spelt as in prescriptions of the release."""

from typing import NamedTuple


class Drug(NamedTuple):
    """One way of giving one drug, in the release's spelling. ``gsn`` and ``ndc`` are left out."""

    reason: str
    drug: str
    strength: str
    code: str
    dose: str
    unit: str
    form_value: str
    form_unit: str
    hours: int
    route: str


# reason|drug|strength|code|dose|unit|form value|form unit|hours between doses|route
_DRUGS = """
wet|Furosemide|40mg/4mL Vial|FURO40I|40|mg|1|VIAL|6|IV
infected|Vancomycin|1g Frozen Bag|VANC1F|1000|mg|1|BAG|12|IV
infected one|Piperacillin-Tazobactam|4.5 g Frozen Bag|ZOSY4FPB|4.5|g|1|BAG|8|IV
infected two|CefePIME|2g Frozen Bag|CEFE2F|2|g|1|BAG|12|IV
pressor|Norepinephrine|8 mg / 250 mL|NORE8|0.03-0.25|mcg/kg/min|1|BAG|8|IV DRIP
ventilated|Propofol|1000mg/100mL Vial|PROP100IG|20-50|mcg/kg/min|1|VIAL|8|IV DRIP
ventilated|Fentanyl Citrate|2.5mg / 50 mL Premix Bag|FENT2.550|25-100|mcg/hr|1|BAG|8|IV DRIP
in hospital|Heparin|5000 Units / mL- 1mL Vial|HEPA5I|5000|UNIT|1|mL|8|SC
in hospital|Acetaminophen|325mg Tablet|ACET325|650|mg|2|TAB|12|PO/NG
in hospital|Docusate Sodium|100mg Capsule|DOCU100|100|mg|1|CAP|12|PO
in hospital|Insulin|100 Units / mL - 10 mL Vial|HUMU100I|0|UNIT|0|VIAL|8|SC
breathless|Albuterol 0.083% Neb Soln|0.083%;3mL Vial|ALBU3H|1|NEB|1|VIAL|6|IH
breathless|Ipratropium Bromide Neb|2.5mL Vial|IPRA2H|1|NEB|1|VIAL|6|IH
heart|Metoprolol Tartrate|25mg Tablet|METO25|25|mg|1|TAB|12|PO/NG
heart|Lisinopril|5mg Tablet|LISI5|5|mg|1|TAB|24|PO/NG
heart|Aspirin|81mg Tab|ASA81|81|mg|1|TAB|24|PO/NG
heart|Atorvastatin|40mg Tablet|ATOR40|40|mg|1|TAB|24|PO/NG
wet|Potassium Chloride|20mEq/50mL Premix|KCL20PM|40|mEq|100|mL|12|IV
fluid|0.9% Sodium Chloride|1000mL Bag|NS1000|1000|mL|1000|mL|8|IV
"""


def _parse(line: str) -> Drug:
    *words, hours, route = line.split("|")
    reason, drug, strength, code, dose, unit, form_value, form_unit = words
    return Drug(reason, drug, strength, code, dose, unit, form_value, form_unit, int(hours), route)


DRUGS = tuple(_parse(line) for line in _DRUGS.strip().splitlines())

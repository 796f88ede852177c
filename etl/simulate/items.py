"""d_items: what ICU rows mean. Ids, labels and categories are MIMIC's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One row of d_items."""

    itemid: int
    label: str
    abbreviation: str
    linksto: str
    category: str
    unitname: str | None
    param_type: str
    lownormalvalue: str | None
    highnormalvalue: str | None


# Per group: linksto|category|param_type, then one item a line: itemid|label|unit[|abbreviation].
_GROUPS = """
chartevents|Routine Vital Signs|Numeric
220045|Heart Rate|bpm|HR
220050|Arterial Blood Pressure systolic|mmHg|ABPs
220051|Arterial Blood Pressure diastolic|mmHg|ABPd
220052|Arterial Blood Pressure mean|mmHg|ABPm
220179|Non Invasive Blood Pressure systolic|mmHg|NBPs
220180|Non Invasive Blood Pressure diastolic|mmHg|NBPd
220181|Non Invasive Blood Pressure mean|mmHg|NBPm
223761|Temperature Fahrenheit|°F|Temperature F
223762|Temperature Celsius|°C|Temperature C
chartevents|Routine Vital Signs|Text
220048|Heart Rhythm
224642|Temperature Site||Temp Site
224650|Ectopy Type 1
chartevents|Respiratory|Numeric
220210|Respiratory Rate|insp/min|RR
220277|O2 saturation pulseoxymetry|%|SpO2
220339|PEEP set|cmH2O
223834|O2 Flow|L/min
223835|Inspired O2 Fraction|None|FiO2
224422|Spont RR|bpm
224684|Tidal Volume (set)|mL
224685|Tidal Volume (observed)|mL
224687|Minute Volume|L/min
224689|Respiratory Rate (spontaneous)|insp/min
224690|Respiratory Rate (Total)|insp/min
224695|Peak Insp. Pressure|cmH2O
224696|Plateau Pressure|cmH2O
224697|Mean Airway Pressure|cmH2O
chartevents|Respiratory|Text
223848|Ventilator Type
223849|Ventilator Mode
224369|Sputum Consistency
224370|Sputum Color
224372|Sputum Source
226732|O2 Delivery Device(s)
chartevents|Labs|Numeric
220224|Arterial O2 pressure|mmHg|PO2 (Arterial)
220227|Arterial O2 Saturation|%|SaO2
220235|Arterial CO2 Pressure|mmHg|PCO2 (Arterial)
220274|PH (Venous)|None
220546|WBC|None
220615|Creatinine (serum)|None
220621|Glucose (serum)|None
220645|Sodium (serum)|None
223830|PH (Arterial)|None
225664|Glucose finger stick (range 70-100)|None|Glucose FS (range 70 -100)
225668|Lactic Acid|None
226537|Glucose (whole blood)|None
chartevents|Labs|Numeric with tag
227442|Potassium (serum)|None
chartevents|Neurological|Text
220739|GCS - Eye Opening||Eye Opening
223900|GCS - Verbal Response||Verbal Response
223901|GCS - Motor Response||Motor Response
chartevents|General|Numeric
224639|Daily Weight|kg
226512|Admission Weight (Kg)|kg
226531|Admission Weight (lbs.)|None
226707|Height|Inch
226730|Height (cm)|cm
chartevents|Pulmonary|Text
223985|Respiratory Pattern
223986|RUL Lung Sounds
223987|RLL Lung Sounds
223988|LUL Lung Sounds
223989|LLL Lung Sounds
223990|Respiratory Effort
chartevents|Cardiovascular (Pulses)|Text
223951|Capillary Refill R
224308|Capillary Refill L
chartevents|Pain/Sedation|Text
223781|Pain Present
228096|Richmond-RAS Scale
chartevents|Alarms|Numeric
220046|Heart rate Alarm - High|bpm|HR Alarm - High
220047|Heart Rate Alarm - Low|bpm|HR Alarm - Low
223769|O2 Saturation Pulseoxymetry Alarm - High|%|SpO2 Alarm - High
223770|O2 Saturation Pulseoxymetry Alarm - Low|%|SpO2 Alarm - Low
224161|Resp Alarm - High|insp/min
224162|Resp Alarm - Low|insp/min
chartevents|Hemodynamics|Numeric
220074|Central Venous Pressure|mmHg
chartevents|Access Lines - Invasive|Text
224289|Arterial line Site Appear
chartevents|Restraint/Support Systems|Text
227969|Safety Measures
chartevents|Treatments|Text
224080|Head of Bed||HOB
224082|Turn
datetimeevents|Access Lines - Invasive|Date and time
224280|Multi Lumen Insertion Date
224288|Arterial line Insertion Date
datetimeevents|Access Lines - Peripheral|Date and time
225754|20 Gauge Insertion Date
inputevents|Fluids/Intake|Solution
220949|Dextrose 5%|mL
225158|NaCl 0.9%|mL
225828|LR|mL
226452|PO Intake|mL
inputevents|Medications|Solution
221744|Fentanyl|mg
221794|Furosemide (Lasix)|mg
221906|Norepinephrine|mg
222168|Propofol|mg
223258|Insulin - Regular|units
225975|Heparin Sodium (Prophylaxis)|dose
inputevents|Antibiotics|Solution
225798|Vancomycin|dose
225851|Cefepime|dose
225893|Piperacillin/Tazobactam (Zosyn)|dose
ingredientevents|Ingredients|Ingredient
220490|Water|mL|H2O
226509|Blood Ingredient|mL
227074|IVF ingredient|mL
outputevents|Output|Numeric
226559|Foley|mL
226560|Void|mL
226588|Chest Tube #1|mL
procedureevents|1-Intubation/Extubation|Processes
224385|Intubation|None
227194|Extubation|None
procedureevents|2-Ventilation|Processes
225792|Invasive Ventilation|None
225794|Non-invasive Ventilation|None
procedureevents|4-Procedures|Processes
225402|EKG|None
225433|Chest Tube Placed|None
procedureevents|5-Imaging|Processes
225459|Chest X-Ray|None
procedureevents|6-Cultures|Processes
225401|Blood Cultured|None
procedureevents|Access Lines - Invasive|Processes
224263|Multi Lumen|None
225752|Arterial Line|None
procedureevents|Access Lines - Peripheral|Processes
224275|20 Gauge|None
"""
_NORMAL = {
    220050: ("90", "140"),
    220051: ("60", "90"),
    224685: ("299", "750"),
    224690: (None, "36"),
}


def _parse() -> tuple[Item, ...]:
    found, linksto, category, kind = [], "", "", ""
    for line in _GROUPS.strip().splitlines():
        parts = line.split("|")
        if not parts[0].isdigit():
            linksto, category, kind = parts
            continue
        itemid, label, unit, abbreviation, *_ = [*parts, "", ""]
        low, high = _NORMAL.get(int(itemid), (None, None))
        found.append(
            Item(
                int(itemid),
                label,
                abbreviation or label,
                linksto,
                category,
                unit or None,
                kind,
                low,
                high,
            )
        )
    return tuple(found)


ITEMS = {item.itemid: item for item in _parse()}


def unit_of(itemid: int) -> str | None:
    """The unit an event row repeats; d_items spells a missing one "None"."""
    unit = ITEMS[itemid].unitname
    return None if unit == "None" else unit

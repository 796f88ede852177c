"""The source tables as we read them: columns, types, order and keys of MIMIC-IV and MIMIC-CXR-JPG.

Columns are those of the MIMIC-IV 3.1 release (2.2 has the same, two of them in capitals) in the
order of its files. Files are read by name, so neither case nor order matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cxrfuture_data.schema import FINDINGS

Module = Literal["hosp", "icu", "cxr"]

SOURCE_ROW = "source_row"

# One type per column name; the few tables that differ say so below. What is not listed is text.
# Ids of people in the hospital are text in hosp (provider) and numbers in icu (caregiver). Doses,
# dilutions and rates that hold values such as "1-2" or "See Flowsheet" stay text.
_NAMES_OF_TYPE = {
    "BIGINT": """subject_id hadm_id stay_id caregiver_id itemid specimen_id labevent_id
        microevent_id micro_specimen_id spec_itemid test_itemid org_itemid ab_itemid pharmacy_id
        transfer_id orderid linkorderid study_id seq_num icd_version drg_severity drg_mortality
        emar_seq poe_seq test_seq isolate_num anchor_age anchor_year hospital_expire_flag isopenbag
        continueinnextdept warning expiration_value Rows Columns""",
    "INTEGER": "StudyDate",
    "DOUBLE": """valuenum ref_range_lower ref_range_upper amount rate patientweight totalamount
        originalamount originalrate los lownormalvalue highnormalvalue dilution_value
        doses_per_24_hrs duration basal_rate StudyTime""",
    "DATE": "dod chartdate",
    "TIMESTAMP": """admittime dischtime deathtime edregtime edouttime intime outtime charttime
        storetime storedate starttime endtime stoptime entertime verifiedtime scheduletime ordertime
        transfertime expirationdate""",
}
_TYPE_OF = {name: kind for kind, names in _NAMES_OF_TYPE.items() for name in names.split()}


@dataclass(frozen=True)
class Table:
    """One source file. Output columns are the release's in lower case, but for the 14 findings."""

    module: Module
    stem: str
    columns: Mapping[str, str]
    """Release spelling of each column, in file order, to its DuckDB type."""
    order: tuple[str, ...]
    """Output columns by which the Parquet is sorted; ``source_row`` breaks every tie."""
    key: tuple[str, ...] = ()
    """Output columns that name a row; empty where the release promises no key we rely on."""

    @property
    def names(self) -> tuple[str, ...]:
        """Output columns, without ``source_row``."""
        return tuple(output_name(column) for column in self.columns)

    @property
    def file(self) -> str:
        """The file below the release's root, as it is shipped."""
        folder = "" if self.module == "cxr" else f"{self.module}/"
        return f"{folder}{self.stem}.csv.gz"

    @property
    def has_source_row(self) -> bool:
        """True for tables about patients: published rules depend on their row order."""
        return "subject_id" in self.columns


def output_name(column: str) -> str:
    """Our spelling of a release column: lower case, but findings keep the names of FINDINGS."""
    return column if column in FINDINGS else column.lower()


def _table(
    module: Module,
    stem: str,
    columns: str,
    order: str,
    key: str = "",
    **types: str,
) -> Table:
    names = columns.split()
    kinds = {name: types.get(name) or _TYPE_OF.get(name, "VARCHAR") for name in names}
    return Table(module, stem, kinds, tuple(order.split()), tuple(key.split()))


def _findings(stem: str) -> Table:
    columns = dict.fromkeys(("subject_id", "study_id"), "BIGINT") | dict.fromkeys(
        FINDINGS, "DOUBLE"
    )
    return Table("cxr", stem, columns, ("subject_id", "study_id"), ("study_id",))


def _radiologist(stem: str) -> Table:
    """The file names no patient, and says Airspace Opacity for Lung Opacity (specs peers 4.2)."""
    spelt = ("Airspace Opacity" if name == "Lung Opacity" else name for name in FINDINGS)
    columns = {"study_id": "BIGINT"} | dict.fromkeys(spelt, "DOUBLE")
    return Table("cxr", stem, columns, ("study_id",), ("study_id",))


_HOSP = (
    _table(
        "hosp",
        "admissions",
        """subject_id hadm_id admittime dischtime deathtime admission_type admit_provider_id
        admission_location discharge_location insurance language marital_status race edregtime
        edouttime hospital_expire_flag""",
        "subject_id admittime",
        key="hadm_id",
    ),
    _table("hosp", "d_hcpcs", "code category long_description short_description", "code"),
    _table("hosp", "d_icd_diagnoses", "icd_code icd_version long_title", "icd_version icd_code"),
    _table("hosp", "d_icd_procedures", "icd_code icd_version long_title", "icd_version icd_code"),
    _table("hosp", "d_labitems", "itemid label fluid category", "itemid", key="itemid"),
    _table(
        "hosp",
        "diagnoses_icd",
        "subject_id hadm_id seq_num icd_code icd_version",
        "subject_id hadm_id seq_num",
    ),
    _table(
        "hosp",
        "drgcodes",
        "subject_id hadm_id drg_type drg_code description drg_severity drg_mortality",
        "subject_id hadm_id",
    ),
    _table(
        "hosp",
        "emar",
        """subject_id hadm_id emar_id emar_seq poe_id pharmacy_id enter_provider_id charttime
        medication event_txt scheduletime storetime""",
        "subject_id charttime",
    ),
    _table(
        "hosp",
        "emar_detail",
        """subject_id emar_id emar_seq parent_field_ordinal administration_type pharmacy_id
        barcode_type reason_for_no_barcode complete_dose_not_given dose_due dose_due_unit dose_given
        dose_given_unit will_remainder_of_dose_be_given product_amount_given product_unit
        product_code product_description product_description_other prior_infusion_rate infusion_rate
        infusion_rate_adjustment infusion_rate_adjustment_amount infusion_rate_unit route
        infusion_complete completion_interval new_iv_bag_hung continued_infusion_in_other_location
        restart_interval side site non_formulary_visual_verification""",
        "subject_id emar_seq",
    ),
    _table(
        "hosp",
        "hcpcsevents",
        "subject_id hadm_id chartdate hcpcs_cd seq_num short_description",
        "subject_id chartdate",
    ),
    _table(
        "hosp",
        "labevents",
        """labevent_id subject_id hadm_id specimen_id itemid order_provider_id charttime storetime
        value valuenum valueuom ref_range_lower ref_range_upper flag priority comments""",
        "subject_id charttime",
    ),
    _table(
        "hosp",
        "microbiologyevents",
        """microevent_id subject_id hadm_id micro_specimen_id order_provider_id chartdate charttime
        spec_itemid spec_type_desc test_seq storedate storetime test_itemid test_name org_itemid
        org_name isolate_num quantity ab_itemid ab_name dilution_text dilution_comparison
        dilution_value interpretation comments""",
        "subject_id chartdate charttime",
        chartdate="TIMESTAMP",
    ),
    _table(
        "hosp",
        "omr",
        "subject_id chartdate seq_num result_name result_value",
        "subject_id chartdate",
    ),
    _table(
        "hosp",
        "patients",
        "subject_id gender anchor_age anchor_year anchor_year_group dod",
        "subject_id",
        key="subject_id",
    ),
    _table(
        "hosp",
        "pharmacy",
        """subject_id hadm_id pharmacy_id poe_id starttime stoptime medication proc_type status
        entertime verifiedtime route frequency disp_sched infusion_type sliding_scale
        lockout_interval basal_rate one_hr_max doses_per_24_hrs duration duration_interval
        expiration_value expiration_unit expirationdate dispensation fill_quantity""",
        "subject_id starttime",
    ),
    _table(
        "hosp",
        "poe",
        """poe_id poe_seq subject_id hadm_id ordertime order_type order_subtype transaction_type
        discontinue_of_poe_id discontinued_by_poe_id order_provider_id order_status""",
        "subject_id ordertime",
    ),
    _table(
        "hosp",
        "poe_detail",
        "poe_id poe_seq subject_id field_name field_value",
        "subject_id poe_seq",
    ),
    _table(
        "hosp",
        "prescriptions",
        """subject_id hadm_id pharmacy_id poe_id poe_seq order_provider_id starttime stoptime
        drug_type drug formulary_drug_cd gsn ndc prod_strength form_rx dose_val_rx dose_unit_rx
        form_val_disp form_unit_disp doses_per_24_hrs route""",
        "subject_id starttime",
    ),
    _table(
        "hosp",
        "procedures_icd",
        "subject_id hadm_id seq_num chartdate icd_code icd_version",
        "subject_id chartdate",
    ),
    _table("hosp", "provider", "provider_id", "provider_id"),
    _table(
        "hosp",
        "services",
        "subject_id hadm_id transfertime prev_service curr_service",
        "subject_id transfertime",
    ),
    _table(
        "hosp",
        "transfers",
        "subject_id hadm_id transfer_id eventtype careunit intime outtime",
        "subject_id intime",
    ),
)

_ICU = (
    _table("icu", "caregiver", "caregiver_id", "caregiver_id"),
    _table(
        "icu",
        "chartevents",
        """subject_id hadm_id stay_id caregiver_id charttime storetime itemid value valuenum
        valueuom warning""",
        "subject_id charttime",
    ),
    _table(
        "icu",
        "d_items",
        """itemid label abbreviation linksto category unitname param_type lownormalvalue
        highnormalvalue""",
        "itemid",
        key="itemid",
    ),
    _table(
        "icu",
        "datetimeevents",
        """subject_id hadm_id stay_id caregiver_id charttime storetime itemid value valueuom
        warning""",
        "subject_id charttime",
        value="TIMESTAMP",
    ),
    _table(
        "icu",
        "icustays",
        "subject_id hadm_id stay_id first_careunit last_careunit intime outtime los",
        "subject_id intime",
        key="stay_id",
    ),
    _table(
        "icu",
        "ingredientevents",
        """subject_id hadm_id stay_id caregiver_id starttime endtime storetime itemid amount
        amountuom rate rateuom orderid linkorderid statusdescription originalamount originalrate""",
        "subject_id starttime",
    ),
    _table(
        "icu",
        "inputevents",
        """subject_id hadm_id stay_id caregiver_id starttime endtime storetime itemid amount
        amountuom rate rateuom orderid linkorderid ordercategoryname secondaryordercategoryname
        ordercomponenttypedescription ordercategorydescription patientweight totalamount
        totalamountuom isopenbag continueinnextdept statusdescription originalamount
        originalrate""",
        "subject_id starttime",
    ),
    _table(
        "icu",
        "outputevents",
        "subject_id hadm_id stay_id caregiver_id charttime storetime itemid value valueuom",
        "subject_id charttime",
        value="DOUBLE",
    ),
    _table(
        "icu",
        "procedureevents",
        """subject_id hadm_id stay_id caregiver_id starttime endtime storetime itemid value valueuom
        location locationcategory orderid linkorderid ordercategoryname ordercategorydescription
        patientweight isopenbag continueinnextdept statusdescription originalamount
        originalrate""",
        "subject_id starttime",
        value="DOUBLE",
    ),
)

# File names keep "2.0.0" inside the 2.1.0 release.
_CXR = {
    "cxr_metadata": _table(
        "cxr",
        "mimic-cxr-2.0.0-metadata",
        """dicom_id subject_id study_id PerformedProcedureStepDescription ViewPosition Rows Columns
        StudyDate StudyTime ProcedureCodeSequence_CodeMeaning ViewCodeSequence_CodeMeaning
        PatientOrientationCodeSequence_CodeMeaning""",
        "subject_id studydate studytime",
        key="dicom_id",
    ),
    "cxr_chexpert": _findings("mimic-cxr-2.0.0-chexpert"),
    "cxr_negbio": _findings("mimic-cxr-2.0.0-negbio"),
    "cxr_radiologist": _radiologist("mimic-cxr-2.1.0-test-set-labeled"),
    "cxr_split": _table(
        "cxr",
        "mimic-cxr-2.0.0-split",
        "dicom_id study_id subject_id split",
        "subject_id study_id",
        key="dicom_id",
    ),
}

TABLES: dict[str, Table] = {table.stem: table for table in (*_HOSP, *_ICU)} | _CXR

# What every recipe may read; the rest is ingested only when asked for.
RECIPE_TABLES = (
    "admissions",
    "patients",
    "icustays",
    "diagnoses_icd",
    "chartevents",
    "labevents",
    "inputevents",
    "outputevents",
    "procedureevents",
    "prescriptions",
    "microbiologyevents",
    "d_items",
    "d_labitems",
    "cxr_metadata",
    "cxr_chexpert",
)

# Ingested where they are found. A recipe that needs one says so: others do without.
OPTIONAL_TABLES = (
    "omr",
    "cxr_negbio",
    "cxr_radiologist",
    "cxr_split",
)

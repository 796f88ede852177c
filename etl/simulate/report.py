"""A tree shaped like MIMIC-CXR's reports: one text a study, from what its films hide."""

import shutil
from pathlib import Path

import polars as pl

from etl.radiology_report import report_path

# Finding -> what is said of it: absent (None: nothing), slight, moderate, marked.
SENTENCES: dict[str, tuple[str | None, str, str, str]] = {
    "devices": (
        None,
        "A support device is in place.",
        "Support and monitoring devices are in place.",
        "Multiple support and monitoring devices are in place.",
    ),
    "cardiomegaly": (
        "The heart is of normal size.",
        "The heart is mildly enlarged.",
        "There is moderate cardiomegaly.",
        "There is severe cardiomegaly.",
    ),
    "edema": (
        "There is no pulmonary edema.",
        "There is mild pulmonary vascular congestion.",
        "There is moderate interstitial pulmonary edema.",
        "There is severe alveolar pulmonary edema.",
    ),
    "effusion": (
        "No pleural effusion is seen.",
        "A trace pleural effusion is seen.",
        "A moderate pleural effusion is seen.",
        "A large pleural effusion is seen.",
    ),
    "consolidation": (
        "There is no focal consolidation.",
        "A faint opacity may be early consolidation.",
        "A focal consolidation is present.",
        "A large consolidation is present.",
    ),
    "atelectasis": (
        None,
        "There is minimal basilar atelectasis.",
        "Basilar atelectasis is present.",
        "There is collapse at the lung base.",
    ),
    "pneumothorax": (
        "There is no pneumothorax.",
        "A tiny pneumothorax cannot be excluded.",
        "A small pneumothorax is present.",
        "A large pneumothorax is present.",
    ),
}
GRADES = (0.2, 0.4, 0.65)  # of severity, from which slight, moderate and marked are said
NOTHING_FOUND = "No acute cardiopulmonary process."
FORM = """                                 FINAL REPORT
 EXAMINATION:  CHEST ({view})

 INDICATION:  ___ year old patient, simulated.

 COMPARISON:  ___.

 FINDINGS:

 {findings}

 IMPRESSION:

 {impression}
"""


def write_report_tree(root: Path, films: pl.DataFrame) -> None:
    """Write files/p10/... anew below ``root``; the text depends on the findings alone."""
    shutil.rmtree(root / "files", ignore_errors=True)
    severities = [f"severity_{finding}" for finding in SENTENCES]
    studies = films.group_by("subject_id", "study_id").agg(
        pl.col("true_view").sort().first(), *(pl.col(name).first() for name in severities)
    )
    for subject_id, study_id, view, *severity in studies.sort("study_id").iter_rows():
        path = root / report_path(subject_id, study_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report_text(view, dict(zip(SENTENCES, severity, strict=True))))


def report_text(view: str, severity: dict[str, float]) -> str:
    """The report of a study. ``severity``: 0 to 1 of each finding."""
    grade = {name: sum(value >= low for low in GRADES) for name, value in severity.items()}
    said = [SENTENCES[name][grade[name]] for name in SENTENCES]
    found = [SENTENCES[name][grade[name]] for name in SENTENCES if grade[name] > 1]
    return FORM.format(
        view="PORTABLE AP" if view == "AP" else "PA AND LAT",
        findings="  ".join(sentence for sentence in said if sentence),
        impression="  ".join(sentence for sentence in found if sentence) or NOTHING_FOUND,
    )

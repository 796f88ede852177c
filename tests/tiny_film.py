"""DICOM films of a few pixels, each header written by hand."""

from pathlib import Path

import numpy as np

from etl.simulate.dicom_film import write_dicom

ROW = {
    "PerformedProcedureStepDescription": "CHEST (PORTABLE AP)",
    "ViewPosition": "AP",
    "StudyDate": 21800506,
    "StudyTime": "80556.875",
    "ProcedureCodeSequence_CodeMeaning": "CHEST (PORTABLE AP)",
    "ViewCodeSequence_CodeMeaning": "antero-posterior",
    "PatientOrientationCodeSequence_CodeMeaning": None,
}
GREY = np.arange(80, dtype=np.uint8).reshape(10, 8)  # (rows, columns)


def dicom_id(number: int) -> str:
    """Five groups of eight hexadecimal digits."""
    return "-".join([f"{number:08x}"] * 5)


def release_path(subject_id: int, study_id: int, number: int) -> str:
    """Where MIMIC-CXR keeps a film."""
    group = f"p{str(subject_id)[:2]}"
    return f"files/{group}/p{subject_id}/s{study_id}/{dicom_id(number)}.dcm"


def write_header(path: Path, subject_id: int, study_id: int, number: int, **changes) -> Path:
    """Write a film of 10 rows and 8 columns; ``changes`` are columns of the metadata csv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = {"dicom_id": dicom_id(number), "subject_id": subject_id, "study_id": study_id}
    write_dicom(path, GREY, ROW | ids | changes, film_seed=0)
    return path

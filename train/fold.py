"""Which training patients a run never sees, so that it can draw for them what it has not learned.

DDL-CXR's generator has seen the training patients whose latents its predictor learns from, and not
those of test, so the predictor is tested on worse latents (specs ddl-cxr 12.2, B17). With
cross-fitting each training patient's latents come from the one run whose fold holds that patient.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from cxrfuture_data.split import Split
from train.settings import Fold


def fold_numbers(subject_ids: npt.NDArray[np.int64], folds: int) -> npt.NDArray[np.int64]:
    """(N,) in [0, folds): by a hash of the patient alone."""
    patients, at = np.unique(subject_ids, return_inverse=True)
    return np.array([_hash("fold", patient) % folds for patient in patients], np.int64)[at]


def in_fold(split: Split, fold: Fold) -> Split:
    """The samples of its patients."""
    return split.where(
        lambda columns: fold_numbers(columns["subject_id"], fold.folds) == fold.number
    )


def out_of_fold(split: Split, fold: Fold | None) -> Split:
    """The samples of all other patients."""
    if fold is None:
        return split
    return split.where(
        lambda columns: fold_numbers(columns["subject_id"], fold.folds) != fold.number
    )


def share_of(split: Split, share: float) -> Split:
    """The samples of about so large a share of the patients; a smaller share is part of a larger
    one."""
    if share == 1:
        return split
    limit = share * 2**64

    def is_in(patient: int) -> bool:
        return _hash("share", patient) < limit

    def condition(subject_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        patients, at = np.unique(subject_ids, return_inverse=True)
        return np.array([is_in(patient) for patient in patients], np.bool_)[at]

    return split.where(lambda columns: condition(columns["subject_id"]))


def _hash(purpose: str, patient: int) -> int:
    found = hashlib.sha256(f"{purpose}|{patient}".encode()).digest()
    return int.from_bytes(found[:8], "big")

"""The findings that the simulator drew each film from. Only the judging of films reads them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from cxrfuture_data import ContractError
from cxrfuture_data.split import Split

# A finding's name in truth/film.parquet, its label, and how much of it the simulated labeller sees
# (etl/simulate/film_plan.py); above the threshold it is more often called present than absent.
FINDINGS = {
    "edema": ("Edema", 1.0),
    "effusion": ("Pleural Effusion", 1.3),
    "consolidation": ("Consolidation", 1.0),
    "atelectasis": ("Atelectasis", 1.0),
    "pneumothorax": ("Pneumothorax", 1.6),
    "cardiomegaly": ("Cardiomegaly", 0.75),
    "devices": ("Support Devices", 1.6),
}
THRESHOLD = 0.34
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PairTruth:
    """Of N pairs: (N, 7) bool each, in the order of FINDINGS."""

    previous: Flags
    target: Flags


def read_truth(path: Path, pairs: Split) -> PairTruth:
    """``path``: truth/film.parquet of the hospital that the pairs are from."""
    names = [f"severity_{name}" for name in FINDINGS]
    films = pq.read_table(path, columns=["dicom_id", *names])
    rows = {name: row for row, name in enumerate(films["dicom_id"].to_pylist())}
    seen = np.array([seen for _, seen in FINDINGS.values()])
    severity = np.stack([films[name].to_numpy() for name in names], axis=1)  # (films, 7)
    is_present = severity * seen > THRESHOLD

    def of(role: str) -> Flags:
        names = pairs.columns[f"{role}.dicom_id"].tolist()
        missing = next((name for name in names if name not in rows), None)
        if missing is not None:
            raise ContractError(f"{path}: a film of the dataset is not in it; give its own truth")
        return np.asarray(is_present[[rows[name] for name in names]])

    return PairTruth(previous=of("previous"), target=of("target"))

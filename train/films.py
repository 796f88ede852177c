"""The films that an autoencoder is fitted on, and their labels.

Where the pixels of a film lie is known here and nowhere else in ``train``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cxrfuture_data.cache_rows import CacheRows, open_stage_rows
from cxrfuture_data.publish import digest
from cxrfuture_data.schema import FINDINGS, ContractError


@dataclass(frozen=True)
class Films:
    """The readable films of one split, left on disk in the cache."""

    rows: CacheRows
    hashes: list[str]  # sha256 of each film's file
    dicom_ids: list[str]

    def __len__(self) -> int:
        return len(self.hashes)

    def read(self, index: int) -> NDArray[np.uint8]:
        """uint8 (H, W)."""
        return np.asarray(self.rows.read([self.hashes[index]])[0])

    @property
    def made_from(self) -> str:
        """A digest that tells these films, and their preprocessing, from others."""
        return digest(self.hashes, self.rows.space.digest)


def open_films(images: Path, split: str) -> Films:
    """The films of a split that the image stage could read, in its order."""
    names = ["dicom_id", "outcome", "split", "sha256"]
    rows = pq.read_table(images / "film.parquet", columns=names).to_pylist()
    kept = [row for row in rows if row["outcome"] == "ok" and row["split"] == split]
    return Films(
        rows=open_stage_rows(images),
        hashes=[row["sha256"] for row in kept],
        dicom_ids=[row["dicom_id"] for row in kept],
    )


def read_labels(cohort: Path, dicom_ids: Sequence[str]) -> NDArray[np.float32]:
    """Raw labels of the films' studies, float32 (n, 14): 1, 0, -1 uncertain, NaN not mentioned.

    They are the cohort stage's; a study that the label file does not hold has NaN throughout. How
    -1 and NaN count is the loss's affair (train/vae_loss.py).
    """
    films = _columns(cohort / "film.parquet", ["dicom_id", "study_id"])
    study_of = dict(zip(films["dicom_id"], films["study_id"], strict=True))
    table = _columns(cohort / "label.parquet", ["study_id", *FINDINGS])
    row_of = {study: row for row, study in enumerate(table["study_id"])}
    raw = np.array([table[name] for name in FINDINGS], np.float32).T  # (studies, 14); None is NaN
    labels = np.full((len(dicom_ids), len(FINDINGS)), np.nan, np.float32)
    for index, dicom_id in enumerate(dicom_ids):
        row = row_of.get(study_of.get(dicom_id))
        if row is not None:
            labels[index] = raw[row]
    return labels


def _columns(path: Path, names: list[str]) -> dict[str, list[object]]:
    if not path.exists():
        raise ContractError(f"{path}: no such file; run `cxrfuture cohort`, or set label_weight 0")
    table = pq.read_table(path, columns=names)
    return {name: table[name].to_pylist() for name in names}

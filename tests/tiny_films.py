"""A tree of one patient with two films 20 hours apart, on disk as JPEG, and the release's sums."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tiny_mimic import write_tree
from tiny_stages import SUBJECT, admission, film, icu_stay, patient

from etl.params import Params

STUDIES = (50000001, 50000002)
PATHS = [f"files/p10/p{SUBJECT}/s{study}/film-{study}.jpg" for study in STUDIES]


def write_filmed_tree(root: Path, tables: Mapping[str, Sequence[Any]] | None = None) -> Params:
    """A sound tree: both films make a pair of ddl_cxr (but for its hours) and of ehrxdiff."""
    films = [film(f"film-{study}", 4 + 20 * n, study) for n, study in enumerate(STUDIES)]
    params = write_tree(
        root,
        {
            "patients": [patient()],
            "admissions": [admission()],
            "icustays": [icu_stay()],
            "cxr_metadata": films,
            "cxr_chexpert": [
                {"subject_id": SUBJECT, "study_id": study, "Edema": 1.0} for study in STUDIES
            ],
            **(tables or {}),
        },
    )
    for number, path in enumerate(PATHS):
        file = root / "mimic-cxr-jpg" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize((64 + number, 64)).save(file, quality=95)
    return params.model_copy(update={"recipes": ["ddl_cxr", "ehrxdiff"]})


def write_sums(folder: Path) -> None:
    """SHA256SUMS.txt of every file below a release's folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = (
        f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.relative_to(folder)}\n"
        for file in files
    )
    (folder / "SHA256SUMS.txt").write_text("".join(lines))

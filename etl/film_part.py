"""Parts of the image stage: so many films read by one process and published together.

Workers are spawned and import this module, so it stays as light as the reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from cxrfuture_data.publish import digest, publish, read_done, write_done
from etl.film_reader import Pixels, Preprocessing, read_film
from etl.part import array_path, record_path

DECODERS = ("gdcm", "openjpeg", "libjpeg")  # packages that pydicom decodes with, where they are


@dataclass(frozen=True, kw_only=True)
class FilmPart:
    """One unit of work: films by id and file (None: missing), read into one array."""

    number: int
    folder: Path
    films: tuple[tuple[str, Path | None], ...]
    rule: Preprocessing
    made_from: str

    @property
    def array(self) -> Path:
        return array_path(self.folder, self.number)

    @property
    def record(self) -> Path:
        return record_path(self.folder, self.number)

    def rows(self) -> list[dict[str, Any]] | None:
        """One row a film if the part is done and still made from the same files, else None."""
        facts = read_done(self.record, self.made_from)
        return facts["films"] if facts is not None and self.array.exists() else None


def fingerprint(films: Sequence[tuple[str, Path | None]], rule: Preprocessing) -> str:
    """Digest of the films, their files' sizes and times, the preprocessing, and of what decodes
    DICOM files: a film that nothing decoded is tried again once something is installed."""
    files: list[list[Any]] = []
    for dicom_id, path in films:
        if path is None:
            files.append([dicom_id, None])
            continue
        status = path.stat()
        files.append([dicom_id, path.suffix, status.st_size, status.st_mtime_ns])
    if any(path is not None and path.suffix == ".dcm" for _, path in films):
        return digest(files, rule.facts(), [name for name in DECODERS if find_spec(name)])
    return digest(files, rule.facts())


def write_part(part: FilmPart) -> int:
    """Read a part's films, publish the array, then its record with a row for each film."""
    part.record.unlink(missing_ok=True)  # never an old record beside a new array
    kept: list[Pixels] = []
    rows: list[dict[str, Any]] = []
    for dicom_id, path in part.films:
        reading = read_film(path, part.rule)
        is_ok = reading.pixels is not None
        rows.append(
            {
                "dicom_id": dicom_id,
                "outcome": reading.outcome,
                "reason": reading.reason,
                "width": reading.width,
                "height": reading.height,
                "sha256": reading.sha256,
                "part": part.number if is_ok else None,
                "row": len(kept) if is_ok else None,
            }
        )
        if reading.pixels is not None:
            kept.append(reading.pixels)
    size = part.rule.size
    pixels = np.stack(kept) if kept else np.zeros((0, size, size), np.uint8)  # (n, size, size)
    with publish(part.array) as path_to_write, path_to_write.open("wb") as handle:
        np.save(handle, pixels, allow_pickle=False)
    write_done(part.record, part.made_from, {"films": rows})
    return len(rows)

"""Radiology reports of MIMIC-CXR: findings and impression of each study of a filmed admission.

Read where they lie: files/p10/p10000032/s50414267.txt below a folder, or in the release's
mimic-cxr-reports.zip. Only reports of the studies at hand are opened. No text goes to a log.
"""

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection

from cxrfuture_data.publish import publish
from cxrfuture_data.schema import ContractError
from etl.environment import ENVIRONMENT
from etl.ledger import Drop
from etl.params import SIMULATED, Params
from etl.recipe import Recipe
from etl.source_text import UNIT
from etl.sqlfile import create_table

SETTING = f"paths.mimic_cxr_reports (or {ENVIRONMENT['mimic_cxr_reports']})"
ARCHIVE = "mimic-cxr-reports.zip"
STUDIES_PER_BATCH = 4096
# A section begins at a line that opens with capitals and a colon. Wet reads and addenda are
# sections of their own, so what they say is not taken for findings.
SECTION = re.compile(r"^[ \t]*([A-Z][A-Z &/,()'-]*[A-Z)])[ \t]*:[ \t]*", re.MULTILINE)
KINDS = {"FINDING": "findings", "IMPRESSION": "impression", "CONCLUSION": "impression"}
_REPORT = re.compile(r"(?:^|.*/)(?=files/p\d\d/p\d+/s\d+\.txt$)")

SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64()),
        pa.field("hadm_id", pa.int64()),
        pa.field("study_id", pa.int64()),
        pa.field("taken_at", pa.timestamp("us")),
        pa.field("text", pa.string()),  # CHR(31) between its parts, as in every event text
        pa.field("problem", pa.string()),  # null: none
    ]
)

Reader = Callable[[str], bytes]


@dataclass
class Cut:
    """What the longest text allowed leaves of the reports, in characters."""

    before: int = 0
    removed: int = 0

    def apply(self, text: str, longest: int) -> str:
        self.before += len(text)
        self.removed += max(0, len(text) - longest)
        return text[:longest].rstrip()


def write_reports(
    connection: DuckDBPyConnection, params: Params, recipe: Recipe, path: Path, stage: str
) -> Drop:
    """Publish the reports of filmed admissions; returns the characters that were cut off."""
    create_table(connection, "taken_film", "cohort/taken_film", recipe.parameters)
    create_table(connection, "filmed_study", "event/filmed_study")
    rows = connection.execute("SELECT * FROM filmed_study ORDER BY study_id")
    longest = int(recipe.parameters["maximum_length"]) - len("report ")
    cut = Cut()
    with (
        open_reports(params) as read,
        publish(path) as part,
        pq.ParquetWriter(part, SCHEMA) as writer,
    ):
        while studies := rows.fetchmany(STUDIES_PER_BATCH):
            columns = list(
                zip(*(_row(study, read, cut, longest) for study in studies), strict=True)
            )
            arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
    return Drop(stage, "character of a report", "beyond maximum_length", cut.before, cut.removed)


@contextmanager
def open_reports(params: Params) -> Iterator[Reader]:
    """A function from files/p10/... to the report's bytes; FileNotFoundError if there is none."""
    root = _root(params)
    archive = root if root.is_file() else root / ARCHIVE
    if (root / "files").is_dir():
        yield lambda name: (root / name).read_bytes()
        return
    if not archive.is_file():
        raise ContractError(f"{root}: no files/p10 ... and no {ARCHIVE}; set {SETTING}")
    try:
        with zipfile.ZipFile(archive) as packed:
            yield _from_zip(packed)
    except zipfile.BadZipFile:
        raise ContractError(f"{archive}: not a whole zip; download it again") from None


def read_sections(report: str) -> dict[str, str]:
    """``findings`` and ``impression``, white space made one blank; without what the report lacks.

    FINDINGS AND IMPRESSION under one heading are findings. A section ends at the next heading.
    """
    headings = list(SECTION.finditer(report))
    starts = [*(heading.start() for heading in headings), len(report)]
    sections: dict[str, str] = {}
    for heading, end in zip(headings, starts[1:], strict=True):
        kind = next((kind for word, kind in KINDS.items() if word in heading[1]), None)
        words = " ".join(report[heading.end() : end].split())
        if kind and words:
            sections[kind] = f"{sections[kind]} {words}" if kind in sections else words
    return {kind: sections[kind] for kind in ("findings", "impression") if kind in sections}


def report_path(subject_id: int, study_id: int) -> str:
    """Where the release keeps a report."""
    return f"files/p{str(subject_id)[:2]}/p{subject_id}/s{study_id}.txt"


def _root(params: Params) -> Path:
    given = params.paths.mimic_cxr_reports
    if not given:
        raise ContractError(f"event table report: no reports named; set {SETTING}, or leave it out")
    if given != SIMULATED:
        return Path(given).expanduser()
    folder = params.build("simulate", "mimic-cxr-reports")
    if params.paths.mimic_cxr_jpg != SIMULATED or not folder.is_dir():
        raise ContractError(
            f"{folder}: reports are simulated with their films alone; set {SETTING}"
        )
    return folder


def _from_zip(packed: zipfile.ZipFile) -> Reader:
    first = next((found[0] for name in packed.namelist() if (found := _REPORT.match(name))), "")

    def read(name: str) -> bytes:
        try:
            return packed.read(first + name)
        except KeyError:
            raise FileNotFoundError(name) from None

    return read


def _row(study: tuple, read: Reader, cut: Cut, longest: int) -> tuple:  # type: ignore[type-arg]
    subject_id, _, study_id, _ = study
    try:
        sections = read_sections(read(report_path(subject_id, study_id)).decode())
    except FileNotFoundError:
        return (*study, None, "missing")
    except (OSError, UnicodeDecodeError):
        return (*study, None, "unreadable")
    if not sections:
        return (*study, None, "no section")
    text = UNIT.join(part for section in sections.items() for part in section)
    return (*study, cut.apply(text, longest), None)

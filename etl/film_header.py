"""The header of a DICOM film as a row of MIMIC-CXR-JPG's metadata csv.

Worker processes import this module, so it loads pydicom and nothing heavier.
"""

import logging
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

if TYPE_CHECKING:
    from etl.film_remote import RemoteFilm

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote the header

SHAPE = ("Rows", "Columns")
TEXTS = ("PerformedProcedureStepDescription", "ViewPosition")
SEQUENCES = ("ProcedureCodeSequence", "ViewCodeSequence", "PatientOrientationCodeSequence")
TAGS = (*TEXTS, *SHAPE, "StudyDate", "StudyTime", *SEQUENCES)

NOT_DICOM = "not a DICOM file"
CUT = "ends before its pixel data"
UNREADABLE = "header cannot be read"
UNOPENED = "cannot be opened"
PIXEL_GROUPS = (b"\xe0\x7f", b"\x7f\xe0")  # little endian, big endian

_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_TIME = re.compile(r"(\d\d):?(\d\d)?:?(\d\d)?(\.\d{1,6})?")


@dataclass(frozen=True)
class HeaderPart:
    """Films read together: each its subject_id, study_id, dicom_id and file."""

    number: int
    films: tuple[tuple[int, int, str, str], ...]


@dataclass(frozen=True)
class HeaderRows:
    """The rows of a part in the order of the csv's columns, and the films that give none."""

    number: int
    rows: list[tuple[Any, ...]]
    rejects: list[tuple[int, str]]
    """Position in the part, and the reason."""


class HeaderError(Exception):
    """A file without a usable header; the reason is ours, a library's may quote the header."""


def read_part(part: HeaderPart) -> HeaderRows:
    """Read the headers of a part; a file without a usable one is a reject, never an error."""
    result = HeaderRows(part.number, [], [])
    for position, (subject_id, study_id, dicom_id, path) in enumerate(part.films):
        try:
            row = read_row(Path(path))
        except HeaderError as error:
            result.rejects.append((position, str(error)))
        else:
            result.rows.append((dicom_id, subject_id, study_id, *row))
    return result


def read_row(path: Path) -> tuple[Any, ...]:
    """The columns of the csv that a header gives, in their order."""
    header = read_header(path)
    return (
        *(text_of(header.get(name)) for name in TEXTS),
        *(int(header[name].value) for name in SHAPE),
        date_of(header.get("StudyDate")),
        time_of(header.get("StudyTime")),
        *(meaning_of(header.get(name)) for name in SEQUENCES),
    )


def read_shape(path: "Path | RemoteFilm") -> tuple[int, int]:
    """Rows and columns; HeaderError if the header cannot be read."""
    header = read_header(path)
    return int(header.Rows), int(header.Columns)


def read_header(path: "Path | RemoteFilm") -> Any:
    """The elements that TAGS name, the film's rows and columns among them for certain."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote values of the header
            with path.open("rb") as file:
                header = dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
                # pydicom takes the end of the file for that of the header, without a word.
                is_deflated = header.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
                is_whole = is_deflated or file.read(2) in PIXEL_GROUPS
            is_whole = is_whole and all(header.get(name) for name in SHAPE)
    except InvalidDicomError:
        raise HeaderError(NOT_DICOM) from None
    except EOFError:
        raise HeaderError(CUT) from None
    except OSError:
        raise HeaderError(UNOPENED) from None
    except Exception:
        # pydicom raises anything on damaged bytes; one file must not stop 377,000 others.
        raise HeaderError(UNREADABLE) from None
    if not is_whole:
        raise HeaderError(CUT)
    return header


def text_of(value: Any) -> str | None:
    """A text as the csv has it; None if it is empty."""
    return str(value).strip() or None if value is not None else None


def date_of(value: Any) -> int | None:
    """A date as the csv has it, 21800506; None if it is no date."""
    found = _DATE.fullmatch(str(value).strip()) if value is not None else None
    return int("".join(found.groups())) if found else None


def time_of(value: Any) -> float | None:
    """A time as the csv has it, 80556.875 for 08:05:56.875; None if it is no time."""
    found = _TIME.fullmatch(str(value).strip()) if value is not None else None
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    return float(f"{hour}{minute or '00'}{second or '00'}{fraction or ''}")


def meaning_of(sequence: Any) -> str | None:
    """What the first code of a sequence means."""
    return text_of(sequence[0].get("CodeMeaning")) if sequence else None

"""A simulated film as a DICOM file, in one of the forms that real archives mix.

Whatever its form, a viewer shows the grey values it was given: stored values are chosen so.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

DIGITAL_X_RAY = UID("1.2.840.10008.5.1.4.1.1.1.1.1")  # Digital X-Ray Image Storage, to be shown


@dataclass(frozen=True)
class Form:
    """How the grey values are stored. ``look_up``: by a VOI table instead of a window."""

    bits: int
    is_inverted: bool = False
    look_up: bool = False
    intercept: int = 0
    syntax: UID = ExplicitVRLittleEndian


FORMS = (
    Form(12),
    Form(12, is_inverted=True),
    Form(12, look_up=True),
    Form(14, is_inverted=True, intercept=-1024),
    Form(16),
    Form(12),
    Form(12, syntax=RLELossless),
    Form(12, is_inverted=True, syntax=JPEG2000Lossless),
)

# What the row of the metadata csv says, by the header's own names.
TEXTS = ("PerformedProcedureStepDescription", "ViewPosition")
SEQUENCES = ("ProcedureCodeSequence", "ViewCodeSequence", "PatientOrientationCodeSequence")


def write_dicom(path: Path, grey: NDArray[np.uint8], row: dict[str, Any], film_seed: int) -> None:
    """Write (rows, columns) of grey under a header that says what ``row`` of the csv says."""
    form = FORMS[film_seed % len(FORMS)]
    top = 2**form.bits - 1
    stored = np.rint(grey.astype(np.float64) * top / 255).astype(np.uint16)
    if form.is_inverted:
        stored = top - stored
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    describe_film(dataset, row)
    describe_values(dataset, form)
    dataset.Rows, dataset.Columns = grey.shape
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    if form.syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    elif form.syntax == JPEG2000Lossless:
        pack_jpeg2000(dataset, stored)
    dataset.save_as(path, enforce_file_format=True)


def describe_film(dataset: Dataset, row: dict[str, Any]) -> None:
    """Ids, times, view and codes."""
    dataset.SOPClassUID = DIGITAL_X_RAY
    dataset.SOPInstanceUID = "2.25." + str(int(row["dicom_id"].replace("-", "")[:32], 16))
    dataset.Modality = "DX"
    dataset.PatientID = str(row["subject_id"])
    dataset.StudyID = str(row["study_id"])
    dataset.StudyDate = str(row["StudyDate"])
    dataset.StudyTime = f"{float(row['StudyTime']):010.3f}"
    for name in TEXTS:
        setattr(dataset, name, row[name] or "")
    for name in SEQUENCES:
        meaning = row[f"{name}_CodeMeaning"]
        if meaning is not None:
            code = Dataset()
            code.CodeMeaning = meaning
            setattr(dataset, name, [code])


def describe_values(dataset: Dataset, form: Form) -> None:
    """What turns stored values into grey."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if form.is_inverted else "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, form.bits, form.bits - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, form.intercept
    dataset.RescaleType = "US"
    if form.look_up:
        table = Dataset()
        table.LUTDescriptor = [2**form.bits, 0, form.bits]
        table.add_new("LUTData", "OW", np.arange(2**form.bits, dtype="<u2").tobytes())
        dataset.VOILUTSequence = [table]
    else:
        dataset.WindowCenter = 2 ** (form.bits - 1) + form.intercept
        dataset.WindowWidth = 2**form.bits


def pack_jpeg2000(dataset: Dataset, stored: NDArray[np.uint16]) -> None:
    """Replace the pixel data by lossless JPEG 2000."""
    packed = BytesIO()
    Image.fromarray(stored).save(packed, "JPEG2000", irreversible=False, no_jp2=True)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([packed.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True

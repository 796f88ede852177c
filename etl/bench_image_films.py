"""Films of the image bench: given ones, or simulated ones of real size, as JPEG and as DICOM."""

from pathlib import Path

import gdcm
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cxrfuture_data.schema import ContractError
from etl.film_frame import EXACT, Preprocessing
from etl.film_reader import FilmError, Pixels, decode_film
from etl.simulate.anatomy import SEVERITIES, Anatomy, Findings
from etl.simulate.dicom_film import DIGITAL_X_RAY
from etl.simulate.film import JPEG_QUALITY
from etl.simulate.render import FRONTAL_VIEWS, render_film

WIDTH, HEIGHT = 2544, 3056  # of most films of MIMIC-CXR
GRAIN = 1.6  # noise of a simulated film, in values of 255: gives the 1.5 MB of a real one
BITS = 12
SUFFIXES = {".jpg", ".jpeg", ".png", ".dcm"}

UNCOMPRESSED, LOSSLESS, JPEG2000 = DICOMS = (
    "DICOM uncompressed",
    "DICOM JPEG lossless",
    "DICOM JPEG 2000",
)
SYNTAXES = {
    LOSSLESS: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEG2000: gdcm.TransferSyntax.JPEG2000Lossless,
}


def list_films(folder: Path, count: int) -> list[Path]:
    """The first films below a folder, in the order of their names."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ContractError(f"{folder}: no film (.jpg, .png or .dcm); give another --films")
    return found[:count]


def write_jpegs(films: list[Path], count: int, folder: Path) -> list[Path]:
    """JPEGs of the given films (those that are JPEGs already as they are), or ``count`` simulated
    ones."""
    if not films:
        return [save_jpeg(simulate_film(n), folder / f"{n}.jpg") for n in range(count)]
    return [
        film
        if film.suffix.lower() in (".jpg", ".jpeg")
        else save_jpeg(decode_whole(film), folder / f"{n}.jpg")
        for n, film in enumerate(films)
    ]


def simulate_film(number: int) -> Pixels:
    """(3056, 2544) of a simulated patient, with a detector's grain."""
    findings = Findings(**dict.fromkeys(SEVERITIES, 0.2))
    view = FRONTAL_VIEWS[number % len(FRONTAL_VIEWS)]
    film = Image.fromarray(render_film(Anatomy.of(number), findings, view, WIDTH, number))
    grey = np.asarray(film.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(number).standard_normal(grey.shape, np.float32) * GRAIN
    return np.clip(np.rint(grey + grain), 0, 255).astype(np.uint8)


def save_jpeg(grey: Pixels, path: Path) -> Path:
    Image.fromarray(grey).save(path, quality=JPEG_QUALITY)
    return path


def decode_whole(path: Path) -> Pixels:
    """A film as it is, in 8-bit grey."""
    whole = Preprocessing(size=256, fit="stretch", resample="bicubic", decode=EXACT)
    try:
        return np.asarray(decode_film(path.read_bytes(), whole).grey)
    except FilmError as error:
        raise ContractError(f"{path}: {error.reason}; give other --films") from None


def write_dicoms(jpeg: Path, folder: Path) -> dict[str, Path]:
    """One film as 12-bit DICOM in each syntax; what 8 bits do not say is drawn at random."""
    grey = decode_whole(jpeg).astype(np.uint16)
    below = np.random.default_rng(0).integers(0, 16, grey.shape, np.uint16)
    plain = folder / f"{jpeg.stem}-plain.dcm"
    write_plain(plain, grey * 16 + below)
    packed = {name: folder / f"{jpeg.stem}-{n}.dcm" for n, name in enumerate(SYNTAXES)}
    for name, path in packed.items():
        write_packed(plain, path, SYNTAXES[name])
    return {UNCOMPRESSED: plain, **packed}


def write_plain(path: Path, stored: NDArray[np.uint16]) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = DIGITAL_X_RAY, "2.25.1"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS, BITS - 1
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 2 ** (BITS - 1), 2**BITS
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)


def write_packed(plain: Path, path: Path, syntax: int) -> None:
    """The same film in a compressed syntax, by GDCM."""
    reader, change, writer = (
        gdcm.ImageReader(),
        gdcm.ImageChangeTransferSyntax(),
        gdcm.ImageWriter(),
    )
    reader.SetFileName(str(plain))
    is_read = reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    is_changed = is_read and change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not (is_changed and writer.Write()):
        raise ContractError(f"{path}: GDCM cannot write this syntax; install another python-gdcm")

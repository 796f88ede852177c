"""Films that lie about what they are, ask for too much, or come in forms that are seldom seen."""

import struct
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pydicom
import pytest
from gdcm import TransferSyntax
from PIL import Image
from test_film_reader import compress, encapsulate, rule, write_dicom

from etl import film_dicom, film_reader
from etl.film_dicom import decode_dicom
from etl.film_quality import measure_quality
from etl.film_reader import read_bytes, read_film


def save_as(form, image, **options):
    saved = BytesIO()
    image.save(saved, form, **options)
    return saved.getvalue()


def ramp(width=300, height=300):
    return Image.linear_gradient("L").resize((width, height))


def png_header(width, height):
    """A PNG of one grey value that says it is of any size; some hundred bytes."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b"")


def jpeg_that_says(width, height):
    """A JPEG whose header says another size than its image has."""
    data = bytearray(save_as("JPEG", ramp(64, 64)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("decode", ["scaled", "exact"])
@pytest.mark.parametrize(
    "bomb",
    [png_header(20_000, 20_000), png_header(10_001, 10_000), jpeg_that_says(20_000, 20_000)],
    ids=["png", "png just above", "jpeg"],
)
def test_a_film_of_too_many_pixels_is_refused_before_it_is_decoded(bomb, decode):
    tracemalloc.start()
    reading = read_bytes(bomb, rule(decode=decode))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (reading.outcome, reading.reason) == ("unreadable", "more than 100 million pixels")
    assert peak < 5_000_000


def test_no_bomb_reaches_the_decoder(monkeypatch):
    def fail(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    for bomb in (png_header(20_000, 20_000), jpeg_that_says(11_000, 11_000)):
        assert read_bytes(bomb, rule()).reason == "more than 100 million pixels"


def test_a_dicom_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", np.arange(4096).reshape(64, 64))
    encapsulate(path, pydicom.uid.JPEG2000Lossless, bytes(100))
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = 20_000
    dataset.save_as(path)
    assert read_film(path, rule()).reason == "more than 100 million pixels"


def test_a_dicom_that_inflates_without_end_is_refused_before_it_does(tmp_path, monkeypatch):
    plain = write_dicom(tmp_path / "plain.dcm", np.zeros((2000, 2000)))  # 8 MB, deflated 8 kB
    path = compress(plain, TransferSyntax.DeflatedExplicitVRLittleEndian)
    assert read_film(path, rule()).outcome == "constant"
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(film_dicom, "MAXIMUM_BYTES", 4_000_000)
    tracemalloc.start()
    reading = read_film(path, rule())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reading.reason == "more than 4,000,000 bytes once inflated"
    assert peak < 4_000_000


def test_a_file_of_too_many_bytes_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "film.jpg"
    with path.open("wb") as file:
        file.truncate(film_reader.MAXIMUM_BYTES + 1)  # sparse
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("read"))
    reading = read_film(path, rule())
    assert (reading.outcome, reading.reason) == ("unreadable", "more than 512,000,000 bytes")


def test_no_bytes_are_truncated():
    reading = read_bytes(b"", rule())
    assert (reading.outcome, reading.reason) == ("truncated", "empty file")


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("name", ["film.jpg", "film.png", "film.dcm"])
def test_bytes_decide_and_not_the_name(tmp_path, form, name):
    data = save_as(form, ramp())
    (tmp_path / name).write_bytes(data)
    expected = read_bytes(data, rule())
    found = read_film(tmp_path / name, rule())
    assert found.outcome == expected.outcome == "ok"
    assert np.array_equal(found.pixels, expected.pixels)


def test_a_dicom_named_jpg_is_read(tmp_path):
    path = write_dicom(tmp_path / "film.jpg", np.arange(4096).reshape(64, 64))
    assert read_film(path, rule()).bits == 12


@pytest.mark.parametrize("decode", ["scaled", "exact"])
def test_a_cmyk_jpeg_is_read_as_grey(decode):
    reading = read_bytes(save_as("JPEG", ramp(900, 900).convert("CMYK")), rule(decode=decode))
    assert (reading.outcome, reading.bits) == ("ok", 8)
    grey = np.asarray(ramp(900, 900).resize((100, 100), Image.Resampling.BOX)).astype(int)
    assert np.abs(reading.pixels - grey).max() <= 6


@pytest.mark.parametrize("decode", ["scaled", "exact"])
def test_a_colour_jpeg_is_read_as_its_luma(decode):
    reading = read_bytes(save_as("JPEG", ramp(900, 900).convert("RGB")), rule(decode=decode))
    grey = np.asarray(ramp(900, 900).resize((100, 100), Image.Resampling.BOX)).astype(int)
    assert np.abs(reading.pixels - grey).max() <= 3


@pytest.mark.parametrize(("mode", "bits"), [("L", 8), ("I;16", 16), ("1", 1), ("P", 8)])
def test_bits_are_the_file_s(mode, bits):
    image = Image.fromarray(np.arange(40_000, dtype=np.uint16).reshape(200, 200))
    image = image if mode == "I;16" else ramp(200, 200).convert(mode)
    reading = read_bytes(save_as("PNG", image), rule())
    assert (reading.outcome, reading.bits) == ("ok", bits)


def test_the_same_bytes_have_the_same_checksum(tmp_path):
    data = save_as("JPEG", ramp())
    for name in ("one.jpg", "other.jpg"):
        (tmp_path / name).write_bytes(data)
    one, other = (read_film(tmp_path / name, rule()) for name in ("one.jpg", "other.jpg"))
    assert one.sha256 == other.sha256
    assert one.columns() == other.columns()
    assert read_bytes(data + b"\0", rule()).sha256 != one.sha256


def test_a_dicom_without_pixels_is_unreadable(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", np.arange(4096).reshape(64, 64))
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    reading = read_film(path, rule())
    assert (reading.outcome, reading.reason) == ("unreadable", "DICOM without pixel data")


def test_a_film_whose_centre_alone_is_even_is_ok():
    pixels = np.full((400, 100), 50, np.uint8)
    pixels[:20] = 200  # cropped away
    reading = read_bytes(save_as("PNG", Image.fromarray(pixels)), rule())
    assert (reading.outcome, reading.quality.deviation) == ("ok", 0)
    assert not reading.quality.inverted


# --- a real chest film: Philips CR, 15 bits, MONOCHROME1


def real_film(name):
    store = pytest.importorskip("data_store").DataStore()
    with open(store.get_path(name), "rb") as file:  # noqa: PTH123 (a name, not a path of ours)
        return file.read()


def test_a_real_monochrome1_film_is_turned_round():
    data = real_film("RG1_UNCR.dcm")
    reading = read_bytes(data, rule(size=256, resample="bicubic"))
    assert (reading.outcome, reading.bits) == ("ok", 15)
    assert (reading.width, reading.height) == (1841, 1955)
    assert reading.quality.likeness > 0.5
    assert not reading.quality.inverted
    assert not reading.quality.view_suspected
    dataset = pydicom.dcmread(BytesIO(data))
    assert dataset.PhotometricInterpretation == "MONOCHROME1"
    # What one gets who forgets to turn it round:
    stored = Image.fromarray(255 - reading.pixels)
    assert measure_quality(stored).inverted


def test_a_real_film_is_the_same_from_lossless_jpeg_2000():
    plain, packed = (decode_dicom(real_film(f"RG1_{kind}.dcm"))[0] for kind in ("UNCR", "J2KR"))
    assert np.array_equal(plain, packed)

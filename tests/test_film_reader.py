"""Geometry and grey values by hand, and every way a file can be broken."""

import re
from io import BytesIO
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from gdcm import TransferSyntax
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_windowing, get_decoder
from pydicom.uid import ExplicitVRLittleEndian, JPEGLossless

from etl.film_dicom import decode_dicom, stored_values
from etl.film_reader import OUTCOMES, Preprocessing, locate_film, read_film, stretch_range

NIH_FULL = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih-cxr" / "full"


def rule(size=100, fit="crop", resample="area", decode="scaled"):
    return Preprocessing(size=size, fit=fit, resample=resample, decode=decode)


def save(path, pixels, **options):
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def write_dicom(path, stored, photometric="MONOCHROME2", bits=12, **header):
    stored = np.asarray(stored).astype(np.uint8 if bits == 8 else np.uint16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 8 * stored.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    for name, value in header.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def encapsulate(path, uid, data):
    """Give a DICOM file other pixel data, said to be of a transfer syntax."""
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.PixelData = pydicom.encaps.encapsulate([data])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    return path


def compress(path, syntax):
    """The same film in another transfer syntax, written by GDCM."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    target = path.with_name("compressed.dcm")
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target


@pytest.fixture
def textured():
    """A smooth 480 x 400 image with texture, as uint8 (height, width)."""
    y, x = np.mgrid[0:480, 0:400]
    return (128 + 60 * np.sin(x / 31) + 60 * np.cos(y / 17)).astype(np.uint8)


# --- geometry


def test_crop_keeps_the_centre_of_the_longer_side(tmp_path):
    # 300 wide, 600 high, grey = row // 3. Shorter side to 100, so 3 source rows make one of 200;
    # the centre 100 of them are source rows 150 to 449, whose grey is 50 to 149.
    pixels = np.repeat(np.arange(600)[:, None] // 3, 300, axis=1).astype(np.uint8)
    reading = read_film(save(tmp_path / "film.png", pixels), rule())
    assert (reading.width, reading.height) == (300, 600)
    assert reading.pixels.tolist() == [[grey] * 100 for grey in range(50, 150)]


def test_crop_of_a_wide_film_keeps_its_middle_columns(tmp_path):
    pixels = np.repeat(np.arange(600)[None, :] // 3, 300, axis=0).astype(np.uint8)
    reading = read_film(save(tmp_path / "film.png", pixels), rule())
    assert reading.pixels[0].tolist() == list(range(50, 150))


def test_stretch_shows_the_whole_film(tmp_path):
    # Six source rows of grey row // 6 make each of the 100 rows.
    pixels = np.repeat(np.arange(600)[:, None] // 6, 300, axis=1).astype(np.uint8)
    reading = read_film(save(tmp_path / "film.png", pixels), rule(fit="stretch"))
    assert reading.pixels.tolist() == [[grey] * 100 for grey in range(100)]


def test_a_film_much_longer_than_wide_costs_no_memory(tmp_path):
    pixels = np.repeat(np.arange(20_000)[:, None] % 251, 2, axis=1).astype(np.uint8)
    reading = read_film(save(tmp_path / "film.png", pixels), rule(size=256))
    assert reading.pixels.shape == (256, 256)


def test_a_small_film_is_enlarged(tmp_path):
    reading = read_film(save(tmp_path / "film.jpg", np.eye(40, dtype=np.uint8) * 255), rule())
    assert reading.pixels.shape == (100, 100)


# --- grey values


def test_colour_becomes_luma(tmp_path):
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:50] = (255, 0, 0)  # 0.299 * 255 = 76
    reading = read_film(save(tmp_path / "film.png", pixels), rule())
    assert reading.pixels[:, 0].tolist() == [76] * 50 + [0] * 50


def test_a_16_bit_png_is_scaled_from_its_own_range(tmp_path):
    pixels = np.full((100, 100), 1000, np.uint16)
    pixels[50:] = 3000
    pixels[75:] = 5000
    reading = read_film(save(tmp_path / "film.png", pixels), rule())
    assert reading.pixels[:, 7].tolist() == [0] * 50 + [128] * 25 + [255] * 25


def test_a_12_bit_window_is_linear_between_its_ends(tmp_path):
    # PS3.3 C.11.2.1.2.1 with center 1000.5, width 201: 900 is the darkest, 1100 the brightest.
    stored = np.repeat([[0], [900], [1020], [1100], [4095]], 20, axis=0) * np.ones((1, 100), int)
    path = write_dicom(tmp_path / "film.dcm", stored, WindowCenter=1000.5, WindowWidth=201)
    reading = read_film(path, rule())
    assert reading.pixels[::20, 0].tolist() == [0, 0, 153, 255, 255]
    assert (reading.width, reading.height) == (100, 100)


def test_monochrome1_is_turned_round(tmp_path):
    stored = np.repeat([[0], [4095]], 50, axis=0) * np.ones((1, 100), int)
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    normal = write_dicom(tmp_path / "normal.dcm", stored, **window)
    inverted = write_dicom(tmp_path / "inverted.dcm", stored, "MONOCHROME1", **window)
    assert read_film(normal, rule()).pixels[:, 0].tolist() == [0] * 50 + [255] * 50
    assert read_film(inverted, rule()).pixels[:, 0].tolist() == [255] * 50 + [0] * 50


def test_the_window_acts_on_rescaled_values(tmp_path):
    # stored 455 is 2 * 455 - 10 = 900, stored 555 is 1100: the ends of the window above.
    stored = np.repeat([[455], [555]], 50, axis=0) * np.ones((1, 100), int)
    header = {"RescaleSlope": 2, "RescaleIntercept": -10}
    path = write_dicom(
        tmp_path / "film.dcm", stored, WindowCenter=1000.5, WindowWidth=201, **header
    )
    assert read_film(path, rule()).pixels[::50, 0].tolist() == [0, 255]


def test_a_voi_lookup_table_goes_before_the_window(tmp_path):
    item = Dataset()
    item.LUTDescriptor = [4, 100, 8]  # 4 entries, the first for stored 100, 8 bits
    item.add_new("LUTData", "US", [0, 200, 100, 255])
    stored = np.repeat([[100], [101], [102], [4000]], 25, axis=0) * np.ones((1, 100), int)
    path = write_dicom(
        tmp_path / "film.dcm", stored, VOILUTSequence=[item], WindowCenter=5, WindowWidth=5
    )
    assert read_film(path, rule()).pixels[::25, 0].tolist() == [0, 200, 100, 255]


def test_without_a_window_a_dicom_spans_its_own_range(tmp_path):
    stored = np.repeat([[300], [400], [500]], 40, axis=0) * np.ones((1, 120), int)
    path = write_dicom(tmp_path / "film.dcm", stored, bits=16)
    assert read_film(path, rule(size=120)).pixels[::40, 0].tolist() == [0, 128, 255]


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (700, 300.5), (3000, 2)])
def test_windows_agree_with_pydicom(tmp_path, function, center, width):
    stored = np.arange(4096).reshape(64, 64)
    header = {"WindowCenter": [center, 1], "WindowWidth": [width, 1], "VOILUTFunction": function}
    path = write_dicom(tmp_path / "film.dcm", stored, **header)
    expected = apply_windowing(stored, pydicom.dcmread(path)) / 4095 * 255
    found = read_film(path, rule(size=64)).pixels
    assert np.abs(found - expected).max() <= 0.51


# --- broken files


def test_each_broken_file_has_its_outcome(tmp_path, textured):
    good = save(tmp_path / "good.jpg", textured).read_bytes()
    cases = {
        "empty": (b"", "truncated"),
        "text": (b"not an image at all", "unreadable"),
        "half a jpeg": (good[: len(good) // 2], "truncated"),
        "header only": (good[:200], "truncated"),
        "garbled header": (good[:4] + bytes(300) + good[304:], "unreadable"),
    }
    for name, (data, outcome) in cases.items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(data)
        reading = read_film(path, rule())
        assert (reading.outcome, reading.pixels) == (outcome, None), name
        assert reading.reason, name
        assert str(tmp_path) not in reading.reason, name
        assert len(reading.sha256) == 64, name


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("removed", [2, 3, 50, 1000, 5000])
def test_a_jpeg_cut_anywhere_is_truncated(tmp_path, textured, removed, progressive):
    # The film is large enough to be decoded at a fraction, where libjpeg skips most of the work.
    whole = BytesIO()
    film = Image.fromarray(textured).resize((1600, 1920))
    film.save(whole, "JPEG", progressive=progressive)
    path = tmp_path / "film.jpg"
    path.write_bytes(whole.getvalue()[:-removed])
    assert read_film(path, rule()).outcome == "truncated"
    path.write_bytes(whole.getvalue()[:-removed] + bytes(removed))  # a copy that was interrupted
    assert read_film(path, rule()).outcome == "truncated"
    path.write_bytes(whole.getvalue())
    assert read_film(path, rule()).outcome == "ok"


def test_a_png_cut_short_is_truncated(tmp_path, textured):
    path = save(tmp_path / "film.png", textured)
    path.write_bytes(path.read_bytes()[:-100])
    assert read_film(path, rule()).outcome == "truncated"


def test_a_dicom_cut_short_is_truncated(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", np.arange(4096).reshape(64, 64))
    path.write_bytes(path.read_bytes()[:-1000])
    assert read_film(path, rule()).outcome == "truncated"


@pytest.mark.parametrize(
    ("uid", "package"),
    [
        ("1.2.840.10008.1.2.4.201", r"pip install 'pylibjpeg\[openjpeg\]'"),  # HTJ2K
        ("1.2.840.10008.1.2.4.51", r"pip install 'pylibjpeg\[libjpeg\]'"),  # 12 bits
        ("1.2.840.10008.1.2.4.100", "nothing decodes MPEG2"),
    ],
)
def test_a_dicom_without_a_decoder_names_the_package(tmp_path, uid, package):
    path = write_dicom(tmp_path / "film.dcm", np.arange(4096).reshape(64, 64))
    reading = read_film(encapsulate(path, uid, bytes(100)), rule())
    assert reading.outcome == "unreadable"
    assert uid in reading.reason
    assert re.search(package, reading.reason)


def test_without_gdcm_a_jpeg_lossless_film_names_it(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "film.dcm", np.arange(4096).reshape(64, 64))
    encapsulate(path, JPEGLossless, bytes(100))
    monkeypatch.setattr(get_decoder(JPEGLossless), "_available", {})
    assert "pip install 'python-gdcm'" in read_film(path, rule()).reason


def test_compressed_rubbish_is_not_taken_for_a_missing_decoder(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", np.arange(4096).reshape(64, 64))
    reading = read_film(encapsulate(path, JPEGLossless, bytes(100)), rule())
    assert (reading.outcome, reading.reason[:18]) == ("unreadable", "pixel data are not")


LOSSLESS = {
    "implicit": TransferSyntax.ImplicitVRLittleEndian,
    "big endian": TransferSyntax.ExplicitVRBigEndian,
    "deflated": TransferSyntax.DeflatedExplicitVRLittleEndian,
    "JPEG lossless": TransferSyntax.JPEGLosslessProcess14,
    "JPEG lossless, first order": TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS": TransferSyntax.JPEGLSLossless,
    "JPEG 2000": TransferSyntax.JPEG2000Lossless,
    "RLE": TransferSyntax.RLELossless,
}


@pytest.mark.parametrize("bits", [12, 14, 16])
@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_every_lossless_syntax_gives_the_stored_values(tmp_path, syntax, bits):
    stored = np.random.default_rng(7).integers(0, 2**bits, (70, 50))
    stored.flat[:2] = 0, 2**bits - 1
    path = compress(write_dicom(tmp_path / "plain.dcm", stored, bits=bits), syntax)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID != ExplicitVRLittleEndian
    assert np.array_equal(stored_values(pydicom.dcmread(path)), stored)
    found = decode_dicom(path.read_bytes())[0]  # no window: from the lowest to the highest
    assert np.array_equal(found, np.rint(stored * 255.0 / (2**bits - 1)))


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_a_compressed_dicom_cut_short_is_truncated(tmp_path, syntax):
    stored = np.random.default_rng(7).integers(0, 4096, (70, 50))
    path = compress(write_dicom(tmp_path / "plain.dcm", stored), syntax)
    whole = path.read_bytes()
    for removed in (10, 1000, len(whole) // 2):
        path.write_bytes(whole[:-removed])
        reading = read_film(path, rule())
        assert (reading.outcome, reading.pixels) == ("truncated", None), removed


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_signed_values_are_rescaled_windowed_and_turned_round(tmp_path, photometric):
    # stored -2000, -1000, 0 are -950, 50, 1050 after +1050: window 50 +- 1000 shows 0, 128, 255.
    stored = np.repeat([[-2000], [-1000], [0]], 30, axis=0) * np.ones((1, 90), int)
    header = {"RescaleSlope": 1, "RescaleIntercept": 1050, "PixelRepresentation": 1}
    header |= {"WindowCenter": 50, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"}
    plain = write_dicom(tmp_path / "plain.dcm", stored, photometric, bits=16, **header)
    path = compress(plain, TransferSyntax.JPEGLosslessProcess14_1)
    shown = [0, 128, 255] if photometric == "MONOCHROME2" else [255, 127, 0]
    assert decode_dicom(path.read_bytes())[0][::30, 0].tolist() == shown


@pytest.mark.parametrize("syntax", [TransferSyntax.JPEGBaselineProcess1, TransferSyntax.JPEG2000])
def test_lossy_syntaxes_stay_close(tmp_path, textured, syntax):
    path = compress(write_dicom(tmp_path / "plain.dcm", textured, bits=8), syntax)
    expected = stretch_range(textured)
    assert np.abs(decode_dicom(path.read_bytes())[0].astype(int) - expected).max() <= 3


def test_colour_and_several_frames_are_refused(tmp_path):
    colour = write_dicom(tmp_path / "colour.dcm", np.arange(4096).reshape(64, 64), "PALETTE COLOR")
    frames = write_dicom(tmp_path / "frames.dcm", np.arange(4096).reshape(64, 64))
    dataset = pydicom.dcmread(frames)
    dataset.NumberOfFrames, dataset.Rows = 2, 32
    dataset.save_as(frames)
    assert read_film(colour, rule()).reason == "DICOM in colour"
    assert read_film(frames, rule()).reason == "DICOM with several frames"


def test_a_film_of_one_value_is_constant(tmp_path):
    for name in ("film.jpg", "film.png"):
        reading = read_film(save(tmp_path / name, np.full((200, 150), 17, np.uint8)), rule())
        assert (reading.outcome, reading.pixels) == ("constant", None)
        assert (reading.width, reading.height) == (150, 200)
    path = write_dicom(tmp_path / "film.dcm", np.full((64, 64), 99))
    assert read_film(path, rule()).outcome == "constant"


def test_missing_and_a_folder_in_place_of_a_film(tmp_path):
    assert read_film(None, rule()).outcome == "missing"
    assert read_film(tmp_path / "gone.jpg", rule()).outcome == "missing"
    assert read_film(tmp_path, rule()).outcome == "unreadable"


def test_random_damage_never_raises(tmp_path, textured):
    small = Image.fromarray(textured).resize((80, 100))
    whole = {}
    for name in ("film.jpg", "film.png"):
        small.save(tmp_path / name)
        whole[name] = (tmp_path / name).read_bytes()
    path = write_dicom(tmp_path / "film.dcm", textured[:64, :64], WindowCenter=99, WindowWidth=9)
    whole["film.dcm"] = path.read_bytes()
    rng = np.random.default_rng(3)
    for name, data in whole.items():
        for _ in range(60):
            damaged = bytearray(data)
            for position in rng.integers(0, len(data), 8):
                damaged[position] = rng.integers(256)
            (tmp_path / name).write_bytes(damaged)
            assert read_film(tmp_path / name, rule(size=32)).outcome in OUTCOMES


# --- which file


def test_a_jpg_is_preferred_then_png_then_dicom(tmp_path):
    wanted = "files/p10/p1/s2/film.jpg"
    folder = (tmp_path / wanted).parent
    folder.mkdir(parents=True)
    assert locate_film(tmp_path, wanted) is None
    for suffix in (".dcm", ".png", ".jpg"):
        (folder / f"film{suffix}").touch()
        assert locate_film(tmp_path, wanted) == folder / f"film{suffix}"


@pytest.mark.skipif(not NIH_FULL.is_dir(), reason="needs the NIH films")
def test_real_films_are_read(tmp_path):
    sides = {}
    for path in sorted(NIH_FULL.glob("*.png")):
        reading = read_film(path, rule(size=224, resample="bilinear"))
        assert reading.outcome == "ok"
        sides[path.stem] = (reading.width, reading.height)
        assert reading.pixels.std() > 20
    assert sides.pop("00027426_000") == (512, 512)
    assert set(sides.values()) == {(1024, 1024)}

"""What the guard makes of files: pictures, notebooks, tables, arrays, weights and archives."""

import base64
import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
import safetensors.numpy
from PIL import Image, PngImagePlugin

from etl import guard_file
from etl.guard_file import find_in_file
from etl.guard_table import Content
from etl.simulate.anatomy import SEVERITIES, Anatomy, Findings
from etl.simulate.render import render_film

NIH = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "nih-cxr"
SUBJECT, HADM, STUDY = 12_345_678, 23_456_789, 56_789_123
DICOM = "-".join(["1a2b3c4d"] * 5)


def look(name, data):
    """(kind, what, line) of each hit."""
    return [(h.kind, h.what, h.line) for h in find_in_file(name, Content.of(data), frozenset())]


def kinds(name, data):
    return [hit[0] for hit in look(name, data)]


@pytest.fixture(scope="module")
def film():
    """uint8 (224, 224), as the simulator draws it."""
    findings = Findings(**dict.fromkeys(SEVERITIES, 0.0))
    return np.ascontiguousarray(render_film(Anatomy.of(1), findings, "PA", 224, 1)[:224, :224])


def encoded(pixels, form="PNG", **options):
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, form, **options)
    return stream.getvalue()


# --- pictures


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("side", [64, 224])
def test_a_film_is_found_in_every_form(film, form, side):
    data = encoded(Image.fromarray(film).resize((side, side)).convert("RGB"), form)
    assert kinds("a.bin", data) == ["film"]


def test_a_film_of_16_bits_is_found(film):
    assert kinds("a.png", encoded(film.astype(np.uint16) * 16)) == ["film"]


def test_a_film_in_a_coloured_figure_is_found(film):
    page = Image.new("RGB", (900, 500), "white")
    page.paste((200, 30, 30), (0, 0, 900, 60))
    page.paste(Image.fromarray(film).resize((130, 130)), (301, 203))
    assert kinds("a.png", encoded(page)) == ["film"]


def test_half_a_film_is_one_too(film):
    data = encoded(film, "JPEG")
    assert kinds("a.jpg", data[: len(data) * 2 // 3]) == ["film"]


def test_a_small_picture_is_passed(film):
    assert kinds("a.png", encoded(Image.fromarray(film).resize((63, 63)))) == []


def test_what_is_drawn_is_passed():
    plain = np.full((300, 300, 3), 229, np.uint8)
    lines = plain.copy()
    lines[::20] = 255
    lines[40:45] = (200, 30, 30)
    chart = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 3)).copy()
    chart[..., 2] = 255 - chart[..., 2]
    noise = np.random.default_rng(3).integers(120, 130, (200, 200)).astype(np.uint8)
    for picture in (plain, lines, chart, noise):
        assert kinds("a.png", encoded(picture)) == []


def test_a_picture_that_says_it_is_simulated_is_passed(film):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "simulated film")
    assert kinds("a.png", encoded(film, pnginfo=text)) == []
    assert kinds("a.jpg", encoded(film, "JPEG", comment=b"Simulated")) == []
    assert kinds("a.jpg", encoded(film, "JPEG", comment=b"real")) == ["film"]


@pytest.mark.skipif(not NIH.is_dir(), reason="the open films are not here")
def test_nearly_all_real_thumbnails_are_found():
    films = sorted(NIH.rglob("*.png"))[::7]
    found = sum(kinds(path.name, path.read_bytes()) == ["film"] for path in films)
    assert found / len(films) > 0.97


def test_a_picture_that_cannot_be_read_is_named():
    assert kinds("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50) == ["unread"]


def test_a_bomb_is_named_not_decoded():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + crc
    assert kinds("a.png", data + b"\0" * 20) == ["unread"]


def test_a_dicom_file_is_found_whatever_it_shows():
    assert kinds("scan", b"\0" * 128 + b"DICM" + b"\0" * 20) == ["film"]
    assert kinds("scan.dcm", b"\x08\0\x05\0" + b"\0" * 20) == ["film"]


# --- notebooks and pages


def notebook(*outputs, source="1 + 1", metadata=None, **more):
    cell = {"cell_type": "code", "source": source, "outputs": list(outputs), "metadata": {}} | more
    book = {"cells": [cell], "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, indent=1).encode()


def shown(**data):
    names = {"png": "image/png", "jpeg": "image/jpeg", "html": "text/html", "plain": "text/plain"}
    return {"output_type": "display_data", "data": {names[key]: v for key, v in data.items()}}


@pytest.mark.parametrize("as_lines", [False, True])
def test_films_in_outputs_are_found_with_their_line(film, as_lines):
    text = base64.encodebytes(encoded(film)).decode()
    raw = notebook(shown(png=text.splitlines(keepends=True) if as_lines else text))
    ((kind, what, line),) = look("a.ipynb", raw)
    assert kind == "film"
    assert what.startswith("cell 1, output 1: grey picture, may be a film: PNG of 224 x 224")
    assert b"iVBOR" in raw.splitlines()[line - 1]


def test_a_film_attached_to_a_cell_is_found(film):
    data = base64.b64encode(encoded(film, "JPEG")).decode()
    raw = notebook(cell_type="markdown", attachments={"a.jpg": {"image/jpeg": data}})
    assert kinds("a.ipynb", raw) == ["film"]


def test_a_data_frame_is_found_in_text_and_html():
    table = f"<table><tr><th>subject_id</th></tr>\n<tr><td>{SUBJECT}</td></tr></table>"
    plain = ["   subject_id\n", f"0  {SUBJECT}\n"]
    found = look("a.ipynb", notebook(shown(html=table), shown(plain=plain)))
    assert [(kind, what.split(":")[0]) for kind, what, _ in found] == [
        ("id", "cell 1, output 1"),
        ("id", "cell 1, output 2"),
    ]


def test_printed_text_tracebacks_and_source_are_read():
    stream = {"output_type": "stream", "name": "stdout", "text": [f"patient {SUBJECT}\n"]}
    error = {"output_type": "error", "traceback": [f"KeyError: stay {SUBJECT}", f"hadm_id {HADM}"]}
    raw = notebook(stream, error, source=[f"df.query('subject_id == {SUBJECT}')"])
    assert kinds("a.ipynb", raw) == ["id", "id", "id"]


def test_an_old_notebook_is_read():
    output = {"output_type": "pyout", "text": [f"subject_id {SUBJECT}"]}
    cell = {"cell_type": "code", "input": "1", "outputs": [output]}
    raw = json.dumps({"worksheets": [{"cells": [cell]}], "nbformat": 3}).encode()
    assert kinds("a.ipynb", raw) == ["id"]


def test_a_simulated_notebook_is_passed_but_not_its_passwords(film):
    data = base64.b64encode(encoded(film)).decode()
    mark = {"cxrfuture": {"data": "simulated"}}
    password = "PGPASS" + "WORD=Xk29pqrs"
    raw = notebook(shown(png=data, plain=f"subject_id {SUBJECT}\n{password}"), metadata=mark)
    assert kinds("a.ipynb", raw) == ["credential"]


@pytest.mark.parametrize(
    "book", [[], {"cells": 3}, {"cells": [3]}, {"worksheets": 3}, {"cells": [{"outputs": [3]}]}, 7]
)
def test_what_is_no_notebook_does_no_harm(book):
    assert kinds("a.ipynb", json.dumps(book).encode()) == []


def test_a_broken_notebook_is_read_as_text(film):
    data = base64.b64encode(encoded(film)).decode()
    raw = notebook(shown(png=data), source=f"subject_id == {SUBJECT}")
    assert sorted(kinds("a.ipynb", raw[:-20])) == ["film", "id"]


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("a.html", '<img src="data:image/png;base64,{}">'),
        ("a.svg", '<svg><image xlink:href="data:image/png;base64,{}"/></svg>'),
        ("a.md", "text\n\n![film](data:image/png;base64,{})\n"),
        ("a.json", '{{"image/png": "{}"}}'),
        ("a.css", "url('data:image/png;base64,{}')"),
    ],
)
def test_films_in_pages_are_found(film, name, page):
    data = base64.b64encode(encoded(film)).decode()
    assert kinds(name, ("\n\n" + page.format(data)).encode()) == ["film"]


# --- arrays, weights and tables


def saved(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_arrays_are_told_by_their_values(film):
    ids = SUBJECT + 7 * np.arange(20)
    assert kinds("a.npy", saved(ids)) == ["id"]
    assert kinds("a.npy", saved(ids.astype(np.int32)[:, None])) == ["id"]
    assert kinds("a.npy", saved(np.stack([film, film]))) == ["film"]
    assert kinds("a.npy", saved(np.repeat(film[..., None], 3, 2))) == ["film"]
    assert kinds("a.npy", saved(np.zeros((200, 384), np.float16))) == ["data"]
    assert kinds("a.npy", saved(np.zeros((10, 384), np.float32))) == []
    assert kinds("a.npy", saved(np.arange(10**6))) == []
    assert kinds("a.npy", saved(np.zeros((2, 224, 224), np.uint8))) == []


@pytest.mark.parametrize("cut", [7, 30, 129, 140])
def test_a_cut_array_does_no_harm(cut):
    assert kinds("a.npy", saved(SUBJECT + np.arange(20))[:cut]) == []


def test_an_array_of_objects_is_not_unpickled():
    rows = np.array([{"subject_id": 1, "hadm_id": 2}], dtype=object)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, rows)
    assert kinds("a.npy", stream.getvalue()) == ["data"]


def test_an_archive_of_arrays_is_read(film):
    stream = io.BytesIO()
    np.savez_compressed(stream, films=film[None], other=np.zeros(3))
    assert kinds("a.npz", stream.getvalue()) == ["film"]


def test_parquet_is_told_by_its_columns():
    stream = io.BytesIO()
    pl.DataFrame({"subject_id": [1], "value": [2.0]}).write_parquet(stream)
    assert kinds("a.parquet", stream.getvalue()) == ["data"]
    stream = io.BytesIO()
    pl.DataFrame({"name": ["a"], "value": [2.0]}).write_parquet(stream)
    assert kinds("a.parquet", stream.getvalue()) == []


def test_hdf5_is_told_by_its_names(tmp_path):
    for name, expected in (("subject_id", ["data"]), ("weights", [])):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file[name] = [1, 2]
        assert kinds("a.h5", (tmp_path / f"{name}.h5").read_bytes()) == expected


def test_weights_are_found_above_a_size():
    large = safetensors.numpy.save({"w": np.zeros((600, 600), np.float32)})
    small = safetensors.numpy.save({"w": np.zeros((6, 6), np.float32)})
    assert kinds("model.safetensors", large) == ["data"]
    assert kinds("model.safetensors", small) == []
    for name in ("a.ckpt", "a.pt", "a.onnx"):
        assert kinds(name, b"PK\x03\x04\0" + bytes(2**20)) == ["data"]


def test_pickles_and_databases_are_found_by_name_or_size():
    assert kinds("a.pkl", b"\x80\x04\x95\0\0subject_id\x94\0hadm_id") == ["data"]
    assert kinds("a.pkl", b"\x80\x04\x95\0" + bytes(2**20)) == ["data"]
    assert kinds("a.pkl", b"\x80\x04\x95\0") == []
    assert kinds("a.db", b"SQLite format 3\0 CREATE TABLE a (stay_id, hadm_id)") == ["data"]


def test_a_binary_file_is_searched_for_films_names():
    assert kinds("a.bin2", b"\0\1\2" + DICOM.encode() + b"\0") == ["id"]
    assert kinds("a.pdf2", b"\0 subject_id hadm_id \0") == []


# --- archives


def tar_of(**files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def zip_of(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_members_of_archives_are_looked_at(film):
    files = {"a/film.png": encoded(film), "b.csv": f"subject_id\n{SUBJECT}\n".encode()}
    for data in (tar_of(**files), zip_of(**files), gzip.compress(tar_of(**files))):
        found = look("a.archive", data)
        assert [kind for kind, _, _ in found] == ["film", "id"]
        assert found[0][1].startswith("a/film.png: grey picture")


def test_a_table_in_gzip_is_read():
    table = f"subject_id,hadm_id\n{SUBJECT},{HADM}\n".encode()
    assert kinds("patients.csv.gz", gzip.compress(table)) == ["id"]
    long = gzip.compress(table + np.random.default_rng(1).bytes(10**5).hex().encode())
    assert kinds("patients.csv.gz", long[:20_000]) == ["id"]


def test_a_shard_is_told_by_its_members(film):
    data = tar_of(**{"0123.previous.png": encoded(film), "0123.sample.json": b"{}"})
    assert look("pair-000000.tar", data) == [("data", "a shard of a dataset", 0)]


# Named, because a zip archive holds the second at which it was written: two pytest workers that
# collect it across a second would disagree on a name made of its bytes.
@pytest.mark.parametrize(
    "data",
    [b"\x1f\x8b\0\0", b"PK\x03\x04\0\0", zip_of(a=b"b")[:30]],
    ids=["gzip", "zip", "zip_cut"],
)
def test_a_broken_archive_is_named(data):
    assert kinds("a.archive", data) == ["unread"]


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_an_archive_of_another_kind_is_named(pack):
    assert kinds("a.archive", pack(b"anything")) == ["unread"]


@pytest.mark.parametrize("cut", [600, 1000, 3000])
def test_a_cut_tar_is_named(cut):
    data = tar_of(**{"a.txt": b"a" * 900, "b.txt": b"b" * 900})
    assert "unread" in kinds("a.tar", data[:cut])


def test_archives_in_archives_end():
    data = b"x"
    for _ in range(6):
        data = gzip.compress(data)
    assert kinds("a.gz", data) == ["unread"]


def test_bombs_are_unpacked_in_part(monkeypatch):
    monkeypatch.setattr(guard_file, "READ_BYTES", 10_000)
    monkeypatch.setattr(guard_file, "ARCHIVE_BYTES", 20_000)
    assert kinds("a.gz", gzip.compress(b" " * 10**6)) == ["unread"]
    assert kinds("a.zip", zip_of(**{str(n): b" " * 10**5 for n in range(5)})) == ["unread"]


def test_a_file_that_was_not_read_whole_is_named():
    found = list(find_in_file("a.txt", Content(b"a" * 100, b"", 10**8), frozenset()))
    assert [hit.what for hit in found] == ["100 MB, of which the first 0 were read"]


def test_nothing_is_found_in_nothing():
    for name in ("a", "a.ipynb", "a.png", "a.csv", "a.npy", "a.tar", "a.safetensors", "a.json"):
        assert kinds(name, b"") == []

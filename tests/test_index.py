import io
import json
import tarfile

import numpy as np
import pytest

from cxrfuture_data.index import index_tar, read_index, write_index
from cxrfuture_data.schema import ContractError

FILES = {"a.x.json": b"{}", "a.y": b"yy", "b.x.json": b"[1]", "b.y": b""}


def write_tar(path, files):
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_offsets_and_sizes_cut_the_members_out_of_the_tar(tmp_path):
    path = write_tar(tmp_path / "s.tar", FILES)
    index = index_tar(path)
    assert index.keys == ("a", "b")
    assert index.members == ("x.json", "y")
    # A header and a padded member take 512 bytes each; an empty member only its header.
    assert index.offsets.tolist() == [[512, 1536], [2560, 3584]]
    data = path.read_bytes()
    for row, key in enumerate(index.keys):
        for column, name in enumerate(index.members):
            start, size = index.offsets[row, column], index.sizes[row, column]
            assert data[start : start + size] == FILES[f"{key}.{name}"]


def test_an_index_survives_its_file(tmp_path):
    index = index_tar(write_tar(tmp_path / "s.tar", FILES))
    write_index(tmp_path / "s.json", index)
    assert read_index(tmp_path / "s.json").equals(index)


def test_an_empty_tar_has_an_empty_index(tmp_path):
    index = index_tar(write_tar(tmp_path / "s.tar", {}))
    assert index.keys == ()
    assert index.offsets.shape == (0, 0)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.x": b"", "b.y": b""}, "sample b has members"),
        ({"a.x": b"", "b.x": b"", "a.y": b""}, "sample b"),
        ({"a.x": b"", "b.x": b"", "c": b""}, "no file of a sample"),
    ],
)
def test_a_tar_whose_samples_differ_is_refused(tmp_path, files, words):
    if words == "sample b":
        words = "has members"
    with pytest.raises(ContractError, match=words):
        index_tar(write_tar(tmp_path / "s.tar", files))


def test_a_key_that_returns_is_refused(tmp_path):
    files = {"a.x": b"", "b.x": b""}
    path = write_tar(tmp_path / "s.tar", files)
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo("a.x"))
    with pytest.raises(ContractError, match="a key occurs twice"):
        index_tar(path)


def test_a_tar_cut_within_a_member_is_refused(tmp_path):
    path = write_tar(tmp_path / "s.tar", {"a.x": bytes(5000)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ContractError, match="not a whole tar"):
        index_tar(path)


def test_another_index_version_is_refused_by_number(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"version": 2}))
    with pytest.raises(ContractError, match="index version 2, this reader knows 1"):
        read_index(tmp_path / "s.json")


@pytest.mark.parametrize(
    "change", [{"offsets": [[1]]}, {"keys": ["a"]}, {"sizes": "x"}, {"members": 3}]
)
def test_a_damaged_index_is_refused(tmp_path, change):
    index = index_tar(write_tar(tmp_path / "s.tar", FILES))
    write_index(tmp_path / "s.json", index)
    value = json.loads((tmp_path / "s.json").read_text()) | change
    (tmp_path / "s.json").write_text(json.dumps(value))
    with pytest.raises(ContractError, match="damaged index"):
        read_index(tmp_path / "s.json")


def test_offsets_are_64_bit(tmp_path):
    assert index_tar(write_tar(tmp_path / "s.tar", FILES)).offsets.dtype == np.int64

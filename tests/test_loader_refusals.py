"""Tars, columns and tables that lie are refused in one line that names the file; nothing in a
dataset is ever run."""

import io
import json
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from tiny_loader import VIEW, iterate, key_of, write_pairs

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.columns import OFFSET, SHARD, SIZE, Columns, encode_columns, open_columns
from cxrfuture_data.index import index_tar
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.verify import verify

COUNT = 26  # in two shards; samples 0, 12 and 24 are alike but for their values
TAR, OTHER_TAR = "train/pair-000000.tar", "train/pair-000001.tar"
COLUMNS = "train/pair.safetensors"
TENSORS = "tensors.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("refusals") / "whole", COUNT, 13)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "dataset")


def read(folder, workers=0):
    """Every sample, in the order of keys."""
    loader = (
        open_dataset(folder).split("train", "pair").loader(5, VIEW, training=False, workers=workers)
    )
    try:
        return [number for numbers in iterate(loader) for number in numbers]
    finally:
        loader.close()


def refusal(folder, workers=0):
    with pytest.raises(ContractError) as refused:
        read(folder, workers)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def place_of(folder, number, member=TENSORS):
    """Of a sample: (its tar, where the data of a member begins, its size)."""
    places = open_dataset(folder).split("train", "pair").columns.places
    column = places.members.index(member)
    tar = folder / "train" / places.shards[places.shard[number]]
    return tar, int(places.offset[number, column]), int(places.size[number, column])


def write_at(path, at, data):
    with path.open("r+b") as handle:
        handle.seek(at)
        handle.write(data)


def replace_header(folder, number, old, new):
    """In the header of a sample's tensors."""
    tar, start, size = place_of(folder, number)
    data = tar.read_bytes()[start : start + size]
    assert len(old) == len(new)
    assert old in data
    write_at(tar, start, data.replace(old, new, 1))


def forge_columns(folder, **changed):
    """Columns that dataset.json vouches for, some of them changed."""
    found = open_columns(folder / COLUMNS)
    shards = changed.pop("shards", found.shards)
    stored = {name: np.array(column) for name, column in found.stored.items()} | changed
    vouch(folder, encode_columns(Columns(shards, found.members, stored)))


def vouch(folder, columns):
    (folder / COLUMNS).unlink()
    (folder / COLUMNS).write_bytes(columns)
    manifest = json.loads((folder / "dataset.json").read_text())
    manifest["splits"]["train"]["pair"]["columns_sha256"] = file_sha256(folder / COLUMNS)
    (folder / "dataset.json").write_text(json.dumps(manifest))


def test_what_was_not_altered_is_read(whole):
    assert read(whole) == list(range(COUNT))
    verify(whole)


@pytest.mark.parametrize("name", [f"{key_of(4)}.{TENSORS}", "../../etc/passwd", "", "x" * 100])
def test_a_member_of_another_name_is_refused(folder, name):
    tar, start, size = place_of(folder, 3)
    write_at(tar, start - 512, name.encode().ljust(100, b"\0"))
    assert refusal(folder) == (
        f"{folder / TAR}: no {key_of(3)}.{TENSORS} of {size:,} bytes lies where the columns say; "
        "run `cxrfuture verify`, then copy the dataset again or rebuild it"
    )


def test_two_samples_that_changed_places_are_refused(folder):
    """Their lengths are the same, their bytes are whole, and the hash is not looked at."""
    (tar, first, size), (_, second, _) = place_of(folder, 0), place_of(folder, 12)
    data = tar.read_bytes()
    write_at(tar, first - 512, data[second - 512 : second + size])
    write_at(tar, second - 512, data[first - 512 : first + size])
    assert refusal(folder).startswith(f"{folder / TAR}: no {key_of(0)}.{TENSORS}")


@pytest.mark.parametrize("size", [b"00000000001", b"77777777777", b"not a size!", b"\x80" * 11])
@pytest.mark.parametrize("number", [0, 12])
def test_a_member_that_lies_about_its_length_is_refused(folder, number, size):
    """In the first sample of its lengths, and in one where such a header is known."""
    tar, start, _ = place_of(folder, number)
    write_at(tar, start - 512 + 124, size)
    assert refusal(folder).startswith(f"{folder / TAR}: no {key_of(number)}.{TENSORS}")
    with pytest.raises(ContractError, match=r"^train/pair-000000\.tar: altered"):
        verify(folder)


@pytest.mark.parametrize("number", [13, 20, 25])
@pytest.mark.parametrize("lacking", [1, 600])
def test_a_tar_that_was_cut_is_refused(folder, number, lacking):
    tar, first, size = place_of(folder, number)
    with tar.open("r+b") as handle:
        handle.truncate(first + size - lacking)
    said = f"{folder / OTHER_TAR}: ends within sample {key_of(number)};"
    assert refusal(folder).startswith(said)
    with tar.open("r+b") as handle:
        handle.truncate(0)
    assert refusal(folder).startswith(f"{folder / OTHER_TAR}: ends within sample {key_of(13)};")


def test_a_tar_that_is_gone_is_refused(folder):
    (folder / OTHER_TAR).unlink()
    assert refusal(folder) == f"{folder / OTHER_TAR}: no such shard; run `cxrfuture verify`"


HEADERS = {
    "shape": (
        b'"shape":[1,2,2]',
        b'"shape":[2,2,1]',
        r"\(2, 2, 1\), dataset.json says \(1, 2, 2\)",
    ),
    "shape and bytes": (b'"shape":[1,2,2]', b'"shape":[9,9,9]', "no header of safetensors"),
    "negative": (b'"shape":[1,2,2]', b'"shape":[-1,-4]', "no header|is"),
    "dtype": (b'"F16"', b'"F32"', "no header of safetensors"),
    "unknown dtype": (b'"F16"', b'"F99"', "no header of safetensors"),
    "offsets": (b'"data_offsets":[0,', b'"data_offsets":[9,', "no header of safetensors"),
    "name": (b'"target_mean"', b'"target_maan"', "a pair has"),
    "no JSON": (b"{", b"[", "no header of safetensors"),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("number", [0, 12])
def test_tensors_other_than_the_columns_say_are_refused(folder, name, number):
    """In the first sample of its lengths, and in one where such a header is known."""
    old, new, words = HEADERS[name]
    replace_header(folder, number, old, new)
    said = refusal(folder)
    assert said.startswith(f"{folder / TAR}: {key_of(number)}.{TENSORS}: ")
    with pytest.raises(ContractError, match=words if number == 0 else "not as long as the columns"):
        read(folder)


@pytest.mark.parametrize("length", [0, 7, 2**62, 2**64 - 1])
def test_a_header_of_impossible_length_is_refused(folder, length):
    tar, start, _ = place_of(folder, 0)
    write_at(tar, start, length.to_bytes(8, "little"))
    assert refusal(folder).startswith(f"{folder / TAR}: {key_of(0)}.{TENSORS}: no header of")


def test_columns_that_were_altered_or_swapped_are_refused(folder, tmp_path):
    other = write_pairs(tmp_path / "other", COUNT, 13, name="other")
    shutil.copy(other / COLUMNS, folder / COLUMNS)
    assert read(folder) == list(range(COUNT))  # of the same samples they are the same file
    shutil.copy(write_pairs(tmp_path / "more", COUNT + 1, 13) / COLUMNS, folder / COLUMNS)
    words = "altered since it was built; rebuild the dataset"
    assert refusal(folder) == f"{folder / COLUMNS}: {words}"
    shutil.copy(other / COLUMNS, folder / COLUMNS)
    write_at(folder / COLUMNS, (folder / COLUMNS).stat().st_size - 1, b"\x7f")
    assert refusal(folder) == f"{folder / COLUMNS}: {words}"
    (folder / COLUMNS).unlink()
    assert str(folder / COLUMNS) in refusal(folder)


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"\xff" * 64, pickle.dumps([1]), None])
def test_a_file_that_holds_no_columns_is_refused(folder, data):
    """Nor if some of their bytes lie beyond its end."""
    vouch(folder, (folder / COLUMNS).read_bytes()[:-1000] if data is None else data)
    assert refusal(folder) == f"{folder / COLUMNS}: no columns of samples; rebuild the dataset"


@pytest.mark.parametrize("shards", [("../pair.tar", "pair-000001.tar"), ("pair-000000.tar",)])
def test_columns_of_other_shards_than_dataset_json_lists_are_refused(folder, shards):
    forge_columns(folder, shards=shards)
    assert refusal(folder).startswith(f"{folder / COLUMNS}: not the samples of dataset.json")


OUTSIDE = [(OFFSET, value) for value in (-(2**63), -1, 0, 511, 2**31, 2**63 - 1)]
OUTSIDE += [(SIZE, value) for value in (-(2**63), -1, 2**31, 2**63 - 1)]
OUTSIDE += [(SHARD, value) for value in (-1, 2, 2**31 - 1)]


@pytest.mark.parametrize(("column", "value"), OUTSIDE)
def test_columns_that_point_outside_their_tars_are_refused(folder, column, value):
    """Those of all members of sample 20."""
    values = np.array(open_columns(folder / COLUMNS).stored[column])
    values[20] = value
    forge_columns(folder, **{column: values})
    assert refusal(folder).startswith(f"{folder / COLUMNS}: not the samples of dataset.json")


@pytest.mark.parametrize("column", ["hours", "events"])
def test_columns_that_lie_about_a_window_are_refused(folder, column):
    values = np.array(open_columns(folder / COLUMNS).stored[column])
    values[20] += 1
    forge_columns(folder, **{column: values})
    assert refusal(folder) == (
        f"{folder / OTHER_TAR}: {key_of(20)}.{TENSORS}: its tensors are not as long as the columns "
        "say; run `cxrfuture verify`, then copy the dataset again or rebuild it"
    )


ESCAPES = [('"pair-000000.tar"', name) for name in ("../pair-000000.tar", "/etc/passwd", "x.tar")]
ESCAPES += [('"train"', "../train"), ('"pair":', "../pair"), ('"table.npy"', "../table.npy")]


@pytest.mark.parametrize(("name", "other"), ESCAPES)
def test_a_name_outside_its_folder_is_refused(folder, name, other):
    text = (folder / "dataset.json").read_text()
    changed = text.replace(name, name.replace(name.strip('":'), other))
    assert changed != text
    (folder / "dataset.json").write_text(changed)
    assert refusal(folder).startswith(f"{folder / 'dataset.json'}: ")


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("suffix", ["pyd", "pth", "npy"])
def test_a_pickle_in_a_tar_is_not_loaded_and_refused_by_the_index(folder, tmp_path, suffix):
    data = pickle.dumps(Bomb(tmp_path / "loaded"))
    with tarfile.open(folder / OTHER_TAR, "a") as tar:
        member = tarfile.TarInfo(f"{key_of(25)}.{suffix}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    assert read(folder) == list(range(COUNT))
    with pytest.raises(ContractError, match=rf"pair-000001.tar: sample {key_of(25)} has members"):
        index_tar(folder / OTHER_TAR)
    with pytest.raises(ContractError, match=r"^train/pair-000001\.tar: altered"):
        verify(folder)
    assert not (tmp_path / "loaded").exists()


def test_a_table_of_embeddings_that_needs_pickle_is_refused(folder, tmp_path):
    table = folder / "embeddings" / "table.npy"
    bomb = Bomb(tmp_path / "loaded")
    np.save(table, np.array([[bomb]], object), allow_pickle=True)
    assert refusal(folder).startswith(f"{table}: ")
    for data in (pickle.dumps(bomb), b"", b"\x93NUMPY\x01\x00"):
        table.write_bytes(data)
        assert refusal(folder).startswith(f"{table}: ")
    np.save(table, np.zeros((3, 5), np.float16))
    assert "dataset.json says float16 (3, 4)" in refusal(folder)
    table.unlink()
    assert refusal(folder).startswith(f"{table}: ")
    assert not (tmp_path / "loaded").exists()


SPOILT = {
    "name": lambda folder: write_at(folder / TAR, place_of(folder, 3)[1] - 512, b"x"),
    "gone": lambda folder: (folder / OTHER_TAR).unlink(),
    "header": lambda folder: replace_header(folder, 24, b'"F16"', b'"F32"'),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_worker_says_what_the_loader_itself_would_say(folder, how):
    SPOILT[how](folder)
    assert refusal(folder, workers=1) == refusal(folder, workers=0)

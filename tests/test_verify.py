import json
import shutil

import pytest
from tiny_build import build_dataset

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.index import index_tar, write_index
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.verify import verify


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    shard = {"samples_per_shard": 4, "workers": 1}
    return build_dataset(tmp_path_factory.mktemp("verify"), "ehrxdiff", shard=shard)


@pytest.fixture
def folder(built, tmp_path):
    return shutil.copytree(built, tmp_path / "shard")


def forge(folder, name):
    """Make dataset.json agree with an altered shard, as someone who covers a trace would."""
    path = folder / "train" / f"{name}.tar"
    value = json.loads((folder / "dataset.json").read_text())
    for entry in value["splits"]["train"]["pair"]["shards"]:
        if entry["name"] == path.name:
            entry["bytes"], entry["sha256"] = path.stat().st_size, file_sha256(path)
            entry["index_sha256"] = file_sha256(path.with_suffix(".json"))
    (folder / "dataset.json").write_text(json.dumps(value))


def test_a_whole_dataset_is_counted(built):
    report = verify(built)
    assert (report.shards, report.samples) == (6, 23)
    assert report.bytes == sum(path.stat().st_size for path in built.rglob("*.tar"))


def cut_within_a_member(path):
    path.write_bytes(path.read_bytes()[:3000])


def cut_at_a_member(path):
    """What stock webdataset reads without a word: the last sample lacks a member."""
    index = index_tar(path)
    end = int(index.offsets[-1, -1]) - 512  # before the last member's header
    path.write_bytes(path.read_bytes()[:end])


def alter_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [cut_within_a_member, cut_at_a_member])
def test_a_cut_tar_is_found(folder, spoil):
    spoil(folder / "train" / "pair-000001.tar")
    with pytest.raises(ContractError, match=r"train/pair-000001.tar: [\d,]+ bytes, dataset.json"):
        verify(folder)


def test_a_cut_at_a_member_is_found_even_where_the_hash_was_forged(folder):
    path = folder / "train" / "pair-000001.tar"
    cut_at_a_member(path)
    forge(folder, "pair-000001")
    with pytest.raises(ContractError, match=r"pair-000001.tar: (sample|not a whole tar)"):
        verify(folder)


@pytest.mark.parametrize("name", ["train/pair-000002.tar", "test/pair-000000.json"])
def test_one_altered_byte_is_found(folder, name):
    alter_a_byte(folder / name)
    with pytest.raises(ContractError, match=f"{name}: altered since it was built"):
        verify(folder)


@pytest.mark.parametrize("name", ["table.npy", "sha256.txt", "text.jsonl"])
def test_altered_or_missing_embeddings_are_found(folder, name):
    path = folder / "embeddings" / name
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ContractError, match=f"embeddings/{name}: altered"):
        verify(folder)
    path.unlink()
    with pytest.raises(ContractError, match=f"embeddings/{name}: missing"):
        verify(folder)


@pytest.mark.parametrize("name", ["train/pair-000002.tar", "valid/pair-000000.json"])
def test_a_missing_file_is_found(folder, name):
    (folder / name).unlink()
    with pytest.raises(ContractError, match=f"{name}: missing"):
        verify(folder)


@pytest.mark.parametrize("name", ["train/pair-000009.tar", "test/pair-000001.tar.part"])
def test_an_extra_file_is_found(folder, name):
    shutil.copy(folder / "test" / "pair-000000.tar", folder / name)
    with pytest.raises(ContractError, match=f"{name}: not in dataset.json"):
        verify(folder)


def test_an_index_of_another_tar_is_found(folder):
    index = index_tar(folder / "train" / "pair-000000.tar")
    write_index(folder / "train" / "pair-000001.json", index)
    forge(folder, "pair-000001")
    with pytest.raises(ContractError, match=r"train/pair-000001.json: not the index of its tar"):
        verify(folder)


def test_a_shard_twice_under_two_names_is_found(folder):
    for suffix in ("tar", "tar.idx", "json"):
        shutil.copy(folder / f"train/pair-000000.{suffix}", folder / f"train/pair-000001.{suffix}")
    forge(folder, "pair-000001")
    with pytest.raises(ContractError, match=r"train/pair-000001.tar: sample \w+ is in an earlier"):
        verify(folder)


def test_a_sample_that_does_not_decode_is_named_with_its_shard(folder):
    path = folder / "train" / "pair-000001.tar"
    key = open_dataset(folder).split("train", "pair").key(4)
    data = path.read_bytes().replace(b'"sex":"F"', b'"sex":"Q"').replace(b'"sex":"M"', b'"sex":"Q"')
    path.write_bytes(data)
    forge(folder, "pair-000001")
    with pytest.raises(ContractError, match=f"train/pair-000001.tar: sample {key}: sex 'Q'"):
        verify(folder)


def test_a_sample_of_another_split_is_found(folder):
    path = folder / "train" / "pair-000001.tar"
    path.write_bytes(path.read_bytes().replace(b'"split":"train"', b'"split":"valid"'))
    forge(folder, "pair-000001")
    with pytest.raises(ContractError, match="of ehrxdiff/valid, found in ehrxdiff/train"):
        verify(folder)


def test_a_latent_of_another_shape_than_the_dataset_s_is_found(folder):
    value = json.loads((folder / "dataset.json").read_text())
    value["latent"]["shape"] = [4, 4, 5]
    (folder / "dataset.json").write_text(json.dumps(value))
    with pytest.raises(ContractError, match=r"latent \(4, 4, 4\), dataset.json says \(4, 4, 5\)"):
        verify(folder)

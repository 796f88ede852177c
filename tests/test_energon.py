"""What Energon reads beside the shards, held against the tars; and, where there is one, Energon."""

import json
import os
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from sample_values import digest_of
from tiny_build import build_dataset

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.energon import SIDECAR, cook, has_sidecar, write_sidecar
from cxrfuture_data.verify import verify

ENERGON_PYTHON = os.environ.get("CXRFUTURE_ENERGON_PYTHON")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    shard = {"samples_per_shard": 4, "workers": 1, "keep_films": "levels"}
    return build_dataset(tmp_path_factory.mktemp("dataset"), "future", shard=shard)


def tars_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.tar"))


def first_headers(path):
    """Where the first member of each sample begins, by the tar itself; and where the last ends."""
    starts = {}
    with tarfile.open(path) as tar:
        for member in tar:
            starts.setdefault(member.name.split(".")[0], member.offset)
        return [*starts.values(), tar.offset]


def test_the_offsets_beside_a_tar_are_where_its_samples_begin(folder):
    for name in tars_of(folder):
        data = (folder / f"{name}.idx").read_bytes()
        assert list(struct.unpack(f"<{len(data) // 8}Q", data)) == first_headers(folder / name)


def test_it_counts_the_samples_of_every_shard(folder):
    counts = json.loads((folder / SIDECAR / ".info.json").read_text())["shard_counts"]
    assert counts == {name: len(first_headers(folder / name)) - 1 for name in tars_of(folder)}


@pytest.mark.parametrize("kind", ["pair", "stay"])
def test_each_kind_has_its_shards_by_split(folder, kind):
    parts = json.loads((folder / SIDECAR / f"{kind}.json").read_text())["split_parts"]
    assert list(parts) == ["test", "train", "val"]
    assert [name for names in parts.values() for name in names] == [
        name for name in tars_of(folder) if name.split("/")[1].startswith(kind)
    ]
    assert all(name.startswith("valid/") for name in parts["val"])


def test_members_come_to_the_cooker_as_they_lie_in_the_tar(folder):
    assert yaml.safe_load((folder / SIDECAR / "dataset.yaml").read_text()) == {
        "__module__": "megatron.energon",
        "__class__": "CrudeWebdataset",
        "decoder": None,
    }


def test_the_cooker_keeps_what_energon_restores_a_sample_by(folder):
    pair = open_dataset(folder).split("train", "pair")[0]
    with tarfile.open(folder / "train" / "pair-000000.tar") as tar:
        members = [tar.next() for _ in range(4)]
        crude = {m.name.partition(".")[2]: tar.extractfile(m).read() for m in members}
    cooked = cook(crude | {"__key__": pair.key, "__restore_key__": ("Webdataset", 0)})
    assert digest_of(cooked.pop("sample")) == digest_of(pair)
    assert cooked == {"__key__": pair.key, "__restore_key__": ("Webdataset", 0)}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train/pair-000001.tar.idx", "not the offsets of its tar"),
        (".nv-meta/.info.json", "altered since it was built"),
        (".nv-meta/stay.json", "altered since it was built"),
    ],
)
def test_verify_sees_what_was_altered_or_is_missing(folder, name, words):
    whole = (folder / name).read_bytes()
    try:
        (folder / name).write_bytes(whole[:-8])
        with pytest.raises(ContractError, match=f"{name}: {words}"):
            verify(folder)
        (folder / name).unlink()
        with pytest.raises(ContractError, match=f"{name}: missing"):
            verify(folder)
    finally:
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("name", ["train/stay-000001.tar.idx", ".nv-meta/pair.json"])
def test_what_is_lost_of_it_is_not_a_finished_build(folder, name):
    manifest, whole = open_dataset(folder).manifest, (folder / name).read_bytes()
    assert has_sidecar(folder, manifest)
    (folder / name).unlink()
    assert not has_sidecar(folder, manifest)
    write_sidecar(folder, manifest)
    assert (folder / name).read_bytes() == whole


def test_energons_own_index_is_no_stray_file_and_does_not_outlive_its_build(folder):
    own = folder / SIDECAR / "index.sqlite"
    own.write_bytes(b"made by energon prepare")
    assert verify(folder).samples == 35
    write_sidecar(folder, open_dataset(folder).manifest)
    assert not own.exists()


@pytest.fixture(scope="module")
def report(folder):
    """What Energon reads: see energon_reader.py."""
    if ENERGON_PYTHON is None:
        pytest.skip("CXRFUTURE_ENERGON_PYTHON names no interpreter that has megatron-energon")
    script = Path(__file__).with_name("energon_reader.py")
    done = subprocess.run(
        [ENERGON_PYTHON, script, folder],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(script.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def digests(samples):
    return [[sample.key, digest_of(sample)] for sample in samples]


def test_energon_reads_the_same_values_in_the_same_order(folder, report):
    dataset = open_dataset(folder)
    for split, kinds in dataset.manifest.splits.items():
        for kind in kinds:
            assert report[f"{split}/{kind}"] == digests(dataset.split(split, kind))


def test_energon_reads_every_sample_with_two_workers_and_without_films(folder, report):
    dataset = open_dataset(folder)
    assert report["two workers"] == digests(dataset.split("train", "pair"))
    assert report["without films"] == digests(dataset.split("train", "pair", films=False))


def test_energon_resumes_where_it_stopped(report):
    assert report["resumed"] == report["uninterrupted"]
    assert len(report["resumed"]) == 18

"""A dataset whose films are kept as levels, from the stage `shard` to the loader's batches."""

import io
import json
import os
import shutil
import tarfile

import numpy as np
import polars as pl
import pytest
import torch
import webdataset
from PIL import Image
from tiny_build import build_dataset, leave_out_film, rewrite_columns, write_build
from tiny_cache import make_cache, put_rows

import cxrfuture_data
from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.index import index_tar, read_index, write_index
from cxrfuture_data.local_shards import HEADER
from cxrfuture_data.publish import file_sha256
from cxrfuture_data.show import show
from cxrfuture_data.verify import verify
from cxrfuture_data.view import View
from etl import shard

SIZE = 256


def textured(seed):
    rows, columns = np.indices((SIZE, SIZE))
    waves = 120 + 60 * np.sin(rows / (20 + seed)) * np.cos(columns / 30)
    return (waves + np.random.default_rng(seed).normal(0, 5, (SIZE, SIZE))).astype(np.uint8)


def build(root, films, workers=1):
    """Every film of 256 pixels, each another; the stay of patient 9 has none."""
    options = {"keep_films": films, "workers": workers, "samples_per_shard": 4}
    params, recipe = write_build(root, "ddl_cxr", shard=options)
    folder = params.build("ddl_cxr")
    leave_out_film(folder, 9)
    hashes = pl.read_parquet(folder / "image" / "film.parquet")["sha256"].to_list()
    pixels = np.stack([textured(number) for number in range(len(hashes))])
    put_rows(folder / "image", make_cache(params.build("cache")), hashes, pixels)
    shard.run(params, recipe)
    return params.build("ddl_cxr", "shard")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("levels"), "levels")


@pytest.fixture(scope="module")
def png_folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("png"), "png")


def first_batch(dataset, split, kind, batch_size, films=True, film_size=None, **options):
    view = View(kind=kind, latents="posterior", films=films, film_size=film_size)
    return next(iter(dataset.split(split, kind).loader(batch_size, view, **options)))


@pytest.fixture
def reads(monkeypatch):
    """(offset, bytes) of every read of a tar, without the header that is read with each member."""
    found = []
    pread, preadv = os.pread, os.preadv

    def counted(handle, size, offset):
        data = pread(handle, size, offset)
        found.append((offset + HEADER, len(data) - HEADER))
        return data

    def scattered(handle, pieces, offset):
        size = preadv(handle, pieces, offset)
        found.append((offset + HEADER, size - HEADER))
        return size

    monkeypatch.setattr("os.pread", counted)
    monkeypatch.setattr("os.preadv", scattered)
    return found


@pytest.mark.parametrize("kind", ["pair", "stay", "image"])
def test_it_holds_the_pixels_that_png_would(folder, png_folder, kind):
    assert open_dataset(folder).manifest.films_kept == "levels"
    split = "valid" if kind == "stay" else "train"
    levels = open_dataset(folder).split(split, kind)
    pngs = open_dataset(png_folder).split(split, kind)
    films = 0
    for found, expected in zip(levels, pngs, strict=True):
        assert found.key == expected.key
        for role in ("previous", "target", "image"):
            film, other = getattr(found, role, None), getattr(expected, role, None)
            assert (film is None) == (other is None)
            if film is not None:
                assert film.png is None
                assert list(film.levels.ends) == [64, 128, 256]
                assert np.array_equal(film.pixels(), other.pixels())
                films += 1
    assert films > 0


def test_same_bytes_with_one_worker_or_two(folder, tmp_path):
    other = build(tmp_path, "levels", workers=2)
    tars = sorted(path.relative_to(folder) for path in folder.rglob("*.tar"))
    assert tars
    for name in tars:
        assert file_sha256(folder / name) == file_sha256(other / name)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_a_sample_reads_the_prefix_of_its_level_and_no_more(folder, reads, size):
    dataset = open_dataset(folder)
    pair = dataset.split("train", "pair", film_size=size)[0]
    index = read_index(folder / "train" / "pair-000000.json")
    sizes = dict(zip(index.members, index.sizes[0].tolist(), strict=True))
    facts = dataset.split("train", "pair").facts(0)
    ends = {role: dict(facts[role]["levels"]) for role in ("previous", "target")}
    assert ends["previous"][256] == sizes["previous.levels"]
    offsets = dict(zip(index.members, index.offsets[0].tolist(), strict=True))
    lengths = dict(reads[: len(index.members)])
    for role in ("previous", "target"):
        assert lengths[offsets[f"{role}.levels"]] == ends[role][size]
    assert lengths[offsets["sample.json"]] == sizes["sample.json"]
    assert lengths[offsets["tensors.safetensors"]] == sizes["tensors.safetensors"]
    assert len(lengths) == 4
    whole = dataset.split("train", "pair")[0]
    assert np.array_equal(pair.target.pixels(), whole.target.pixels(size))
    assert pair.target.pixels().shape == (size, size)


def test_a_sixteenth_of_the_pixels_is_a_small_part_of_the_bytes(folder, reads):
    dataset = open_dataset(folder)
    totals = {}
    for size in (None, 64, 256):
        reads.clear()
        list(dataset.split("train", "image", films=size is not None, film_size=size))
        totals[size] = sum(count for _, count in reads)
    assert totals[64] - totals[None] < 0.15 * (totals[256] - totals[None])


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_hold_films_of_the_size_asked_for(folder, workers):
    dataset = open_dataset(folder)
    options = {"training": False, "workers": workers}
    batch = first_batch(dataset, "train", "pair", 3, film_size=128, **options)
    assert batch.previous_film.shape == batch.target_film.shape == (3, 1, 128, 128)
    assert batch.target_film.dtype == torch.uint8
    for row, sample in enumerate(dataset.split("train", "pair")[:3]):
        assert np.array_equal(batch.previous_film[row, 0], sample.previous.pixels(128))
        assert np.array_equal(batch.target_film[row, 0], sample.target.pixels(128))
    images = first_batch(dataset, "train", "image", 2, film_size=128, **options)
    assert images.image_film.shape == (2, 1, 128, 128)


def test_a_stay_without_a_film_has_zeros_for_one(folder):
    dataset = open_dataset(folder)
    batch = first_batch(dataset, "valid", "stay", 2, film_size=64, training=False)
    assert batch.previous_film.shape == (2, 1, 64, 64)
    assert sorted(batch.has_previous.tolist()) == [False, True]
    for row, has_film in zip(batch.previous_film, batch.has_previous, strict=True):
        assert bool(row.any()) == bool(has_film)


def test_without_a_size_no_film_is_read(folder, reads):
    dataset = open_dataset(folder)
    batch = first_batch(dataset, "train", "pair", 4, films=False)
    assert batch.target_film.shape == batch.previous_film.shape == (4, 1, 0, 0)
    index = read_index(folder / "train" / "pair-000000.json")
    films = [index.members.index(f"{role}.levels") for role in ("previous", "target")]
    assert len(reads) == 4
    assert not {offset for offset, _ in reads} & set(index.offsets[:, films].ravel().tolist())


def test_png_gives_its_own_size_and_names_the_setting_for_another(png_folder):
    dataset = open_dataset(png_folder)
    batch = first_batch(dataset, "train", "pair", 2, film_size=256)
    assert batch.target_film.shape == (2, 1, 256, 256)
    assert batch.target_film.any()
    with pytest.raises(ContractError, match=r"film size 128: kept as PNG of 256 .* levels"):
        first_batch(dataset, "train", "pair", 2, film_size=128)


def test_a_level_that_is_not_there_is_named_with_those_that_are(folder):
    samples = open_dataset(folder).split("train", "pair", film_size=100)
    with pytest.raises(ContractError, match=r"previous has no level of 100 .* \[64, 128, 256\]"):
        samples[0]
    sample = open_dataset(folder).split("train", "pair", film_size=64)[0]
    with pytest.raises(ContractError, match="truncated"):
        sample.target.pixels(256)


def test_a_dataset_without_films_has_no_film_size(tmp_path):
    options = {"keep_films": "none", "workers": 1}
    dataset = open_dataset(build_dataset(tmp_path, "ehrxdiff", shard=options))
    with pytest.raises(ContractError, match=r"film size 64: no films are kept.*keep_films: levels"):
        dataset.split("train", "pair", film_size=64)
    with pytest.raises(ContractError, match=r"the dataset keeps none; build with shard.keep_films"):
        first_batch(dataset, "train", "pair", 2, film_size=64)


def test_stock_webdataset_reads_and_decodes_it(folder):
    dataset = open_dataset(folder)
    urls = [str(path) for path in sorted((folder / "train").glob("pair-*.tar"))]
    stock = list(webdataset.WebDataset(urls, shardshuffle=False).map(cxrfuture_data.decode))
    ours = dataset.split("train", "pair")
    assert [sample.key for sample in stock] == [sample.key for sample in ours]
    for found, expected in zip(stock, ours, strict=True):
        assert found.target.levels.is_whole
        assert np.array_equal(found.target.pixels(64), expected.target.pixels(64))


def test_verify_and_show_work_on_it(folder, tmp_path, capsys):
    assert verify(folder).samples == sum(
        shard.samples for _, _, shard in open_dataset(folder).manifest.shards()
    )
    show(open_dataset(folder), "train", "pair", 0, png=tmp_path / "sample.png")
    assert "film 256 pixels" in capsys.readouterr().out
    with Image.open(tmp_path / "sample.png") as picture:
        assert picture.size[0] > 500


def rewrite(folder, name, change):
    """Change the members of a tar's first sample, and cover every trace in index and manifest."""
    path = folder / "train" / name
    with tarfile.open(path) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    key = members[0][0].name.split(".")[0]
    with tarfile.open(path, "w") as tar:
        for member, data in members:
            if member.name.startswith(key):
                data = change(member.name.split(".", 1)[1], data)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    index = path.with_suffix(".json")
    write_index(index, index_tar(path))
    value = json.loads((folder / "dataset.json").read_text())
    for kinds in value["splits"]["train"].values():
        for entry in kinds["shards"]:
            if entry["name"] == name:
                entry["bytes"], entry["sha256"] = path.stat().st_size, file_sha256(path)
                entry["index_sha256"] = file_sha256(index)
    (folder / "dataset.json").write_text(json.dumps(value))
    rewrite_columns(folder, "train", name.partition("-")[0])


def cut(name, data):
    return data[:-20] if name == "image.levels" else data


def flip(name, data):
    return data[:5000] + bytes([data[5000] ^ 1]) + data[5001:] if name == "image.levels" else data


def claim(name, data):
    if name != "sample.json":
        return data
    facts = json.loads(data)
    facts["image"]["levels"][0][1] += 1
    return json.dumps(facts).encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut, r"image.levels: .*truncated|image.levels: not the levels"),
        (flip, r"image.levels: levels: damaged"),
        (claim, r"image.levels: not the levels \[64, 128, 256\] of sample.json"),
    ],
)
def test_verify_finds_levels_that_are_damaged_or_not_as_said(folder, tmp_path, change, words):
    copy = shutil.copytree(folder, tmp_path / "shard")
    rewrite(copy, "image-000000.tar", change)
    with pytest.raises(ContractError, match=words):
        verify(copy)


def test_a_prefix_beyond_the_member_is_an_error_that_names_the_tar(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "shard")
    rewrite(copy, "image-000000.tar", cut)
    samples = open_dataset(copy).split("train", "image", film_size=256)
    with pytest.raises(ContractError, match=r"image-000000.tar.*cxrfuture verify"):
        samples[0]


def test_the_films_are_those_of_the_image_stage(folder):
    order = pl.read_parquet(folder.parent / "image" / "film.parquet")["dicom_id"].to_list()
    for pair in open_dataset(folder).split("train", "pair"):
        number = order.index(pair.target.dicom_id)
        assert np.array_equal(pair.target.pixels(), textured(number))

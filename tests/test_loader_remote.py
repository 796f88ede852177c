"""The loader over a dataset that lies behind a URL: the same batches as over its folder."""

import numpy as np
import pytest
from object_server import BUCKET
from range_server import run_range_server
from tiny_build import build_dataset

from cxrfuture_data import ContractError, open_dataset, ranges
from cxrfuture_data.batch import field_names
from cxrfuture_data.transfer import push
from cxrfuture_data.view import View

VIEW = View(
    kind="pair", latents="posterior", hours=True, events="vectors", films=True, film_size=32
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    options = {"samples_per_shard": 4, "workers": 1}
    return build_dataset(tmp_path_factory.mktemp("remote"), "ehrxdiff", shard=options)


@pytest.fixture
def server(folder, monkeypatch):
    monkeypatch.setattr(ranges, "SECONDS_BETWEEN_TRIES", 0.01)  # not of worker processes
    with run_range_server(folder) as server:
        yield server


def batches(dataset, workers=0):
    loader = dataset.split("train", "pair").loader(4, VIEW, seed=3, workers=workers)
    try:
        return list(loader)
    finally:
        loader.close()


def assert_equal(found, expected):
    assert [batch.keys for batch in found] == [batch.keys for batch in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for name in field_names(ours):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_folder_cold_and_warm(folder, server, tmp_path, workers):
    expected = batches(open_dataset(folder))
    assert_equal(batches(open_dataset(server.url, cache=tmp_path / "cache"), workers), expected)
    ranges = [request for request in server.requests if ".tar " in request]
    assert len(ranges) == len(set(ranges)) > 0
    server.requests.clear()
    assert_equal(batches(open_dataset(server.url, cache=tmp_path / "cache"), workers), expected)
    assert not [request for request in server.requests if "dataset.json" not in request]


def test_samples_and_texts_are_those_of_the_folder(folder, server, tmp_path):
    far = open_dataset(server.url, cache=tmp_path)
    near = open_dataset(folder)
    ours, theirs = far.split("train"), near.split("train")
    assert [sample.key for sample in ours] == [sample.key for sample in theirs]
    assert np.array_equal(ours[3].target.pixels(), theirs[3].target.pixels())
    assert far.texts([2, 0]) == near.texts([2, 0])
    with pytest.raises(ContractError, match="no folder; fetch it with `cxrfuture pull`"):
        far.path  # noqa: B018


def test_a_dataset_that_was_pushed_to_s3_is_read_where_it_lies(folder, bucket, tmp_path):
    push(folder, f"s3://{BUCKET}/ehrxdiff", "")
    url = f"s3://{BUCKET}/ehrxdiff"
    assert_equal(
        batches(open_dataset(url, cache=tmp_path), workers=1), batches(open_dataset(folder))
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_is_cut_off_is_named_with_its_sample(folder, server, tmp_path, workers):
    server.fail("GET /train/pair-000001.tar", is_cut=True)
    with pytest.raises(ContractError, match=r"train/pair-000001\.tar.*cut|train/pair-000001\.tar"):
        batches(open_dataset(server.url, cache=tmp_path), workers)


def test_a_server_that_fails_for_a_while_is_asked_again(folder, server, tmp_path):
    server.fail("GET /dataset.json", times=1, status=503)
    server.fail("GET /train/pair-000002.tar", times=2, status=503)
    assert_equal(batches(open_dataset(server.url, cache=tmp_path)), batches(open_dataset(folder)))


def test_where_there_is_no_dataset_the_url_is_named(server, tmp_path):
    with pytest.raises(ContractError, match=r"http://127.0.0.1:\d+/nothing/dataset.json: no such"):
        open_dataset(f"{server.url}/nothing", cache=tmp_path)

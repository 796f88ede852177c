"""The bench of the loader on a few samples, its arithmetic, and its server."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from etl.bench_command import bench
from etl.bench_loader_data import write_data
from etl.bench_loader_peers import PEERS, NotInstalled, last_line, peer_python
from etl.bench_loader_run import client_environment
from etl.bench_loader_server import BUCKET, list_keys, read_range, serve_folder
from etl.bench_loader_sum import ratios, summarize

RATIOS = {
    "ratio_webdataset",
    "ratio_litdata",
    "ratio_mosaicml",
    "ratio_energon",
    "ratio_memory",
    "ratio_memory_same_work",
    "ratio_workers",
    "ratio_remote_best",
    "ratio_first_batch_best",
}


def run_bench(*arguments: str) -> dict:
    done = CliRunner().invoke(bench, ["loader", "--rounds", "1", "--json", *arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def reading(*epochs: tuple[int, float, float], **facts: float) -> dict:
    rows = [
        dict(zip(("samples", "seconds", "first_batch"), epoch, strict=True)) for epoch in epochs
    ]
    memory = {"process_mb": 100.0, "worker_mb": [10.0, 30.0]}
    common = {"start_seconds": 1.0, "peak_mb": 120.0, "shards": 5, "memory": memory}
    return {"epochs": rows, **common, **facts}


@pytest.mark.slow
def test_each_way_reads_all_samples_from_the_folder_and_from_the_server(tmp_path):
    # A file where the environments should be: they cannot be made.
    blocked = tmp_path / "file"
    blocked.write_text("")
    ways = ("ours", "webdataset", "memory", "litdata")
    options = [part for way in ways for part in ("--way", way)]
    options += ["--workers", "0", "--peers", str(blocked)]
    result = run_bench("--samples", "256", "--batch-size", "32", *options)
    assert set(result) == {"samples", "batch_size", "rounds", "local", "remote"} | RATIOS
    assert list(result["local"]["0"]) == list(ways)
    assert list(result["remote"]["0"]) == ["ours", "webdataset", "litdata"]
    for rows in (*result["local"].values(), *result["remote"].values()):
        assert rows["litdata"]["word"].startswith("not installed: ")
        for way in set(rows) - {"litdata"}:
            assert rows[way]["samples_per_second"] > 0, way
            assert rows[way]["first_batch_seconds"] > 0
            assert rows[way]["shards_of_first"] == 1  # 256 samples are one shard
    measured = {name for name, value in result.items() if name in RATIOS and value is not None}
    assert measured == {
        "ratio_webdataset",
        "ratio_memory",
        "ratio_remote_best",
        "ratio_first_batch_best",
    }
    local = {way: result["local"]["0"][way].get("samples_per_second") for way in ways}
    assert result["ratio_webdataset"] == pytest.approx(local["ours"] / local["webdataset"])


def test_the_first_epoch_counts_only_where_there_is_no_other():
    two = summarize(
        [reading((64, 4.0, 0.5), (64, 2.0, 0.1)), reading((64, 8.0, 0.7), (64, 1.0, 0))]
    )
    assert two["samples_per_second"] == 48.0  # of 32 and 64
    assert two["first_epoch_samples_per_second"] == 12.0  # of 16 and 8
    assert two["first_batch_seconds"] == pytest.approx(0.6)
    assert two["worker_mb"] == 20.0
    assert summarize([reading((64, 4.0, 0.5))])["samples_per_second"] == 16.0


def test_ratios_are_ours_over_theirs():
    def rows(**rates: float) -> dict:
        return {
            way: {"samples_per_second": rate, "first_batch_seconds": 100 / rate}
            for way, rate in rates.items()
        }

    same = {"ours, as measured": 300}
    local = {
        "0": rows(ours=200, webdataset=50, memory=400, **same),
        "2": rows(ours=300, webdataset=1),
    }
    local["0"]["litdata"] = {"word": "not installed: no network"}
    remote = {"0": rows(ours=40, webdataset=80), "2": rows(ours=100, webdataset=20)}
    found = ratios({"local": local, "remote": remote})
    assert set(found) == RATIOS
    assert {name: value for name, value in found.items() if value is not None} == {
        "ratio_webdataset": 4.0,
        "ratio_memory": 0.5,
        "ratio_memory_same_work": 0.75,
        "ratio_workers": 1.5,
        "ratio_remote_best": 1.25,  # 100 over 80
        "ratio_first_batch_best": pytest.approx(0.8),  # 1.0 s over 1.25 s
    }


def test_an_unknown_way_is_refused_by_name():
    done = CliRunner().invoke(bench, ["loader", "--way", "tfrecord"])
    assert "tfrecord" in str(done.exception)
    assert "webdataset" in str(done.exception)


def test_an_environment_that_cannot_be_made_is_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotInstalled, match="file"):
        peer_python(PEERS["litdata"], tmp_path / "file")
    assert last_line("one\n  two \n\n") == "two"
    assert last_line("\n") == ""


def test_an_environment_is_made_once(tmp_path):
    """One that is there, of the packages wanted, is taken as it is."""
    from importlib.metadata import version

    home = tmp_path / "energon"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").write_text("")
    wanted = [f"torch=={version('torch').partition('+')[0]}", *PEERS["energon"].packages]
    (home / "ready.txt").write_text("\n".join(wanted))
    assert peer_python(PEERS["energon"], tmp_path) == home / "bin" / "python"


def test_the_arrays_hold_the_samples_of_the_dataset(tmp_path):
    from cxrfuture_data import open_dataset

    write_data(tmp_path, 501, seed=3)
    split = open_dataset(tmp_path / "ours").split("train", "pair")
    arrays = {path.stem: np.load(path) for path in (tmp_path / "arrays").iterdir()}
    assert len(split) == len(arrays["lengths"]) == 501
    ends = np.cumsum(arrays["lengths"])
    assert len(arrays["hours"]) == ends[-1]
    assert 13 <= arrays["lengths"].min() <= arrays["lengths"].max() <= 60
    for position in (0, 499, 500):
        sample = split[position]
        assert split.shard(position) == f"train/pair-{position // 500:06d}.tar"
        np.testing.assert_array_equal(sample.previous.mean, arrays["latents"][position, 0])
        np.testing.assert_array_equal(sample.target.logvar, arrays["latents"][position, 3])
        hours = arrays["hours"][ends[position] - arrays["lengths"][position] : ends[position]]
        np.testing.assert_array_equal(sample.window.hourly, hours)
        np.testing.assert_array_equal(
            list(sample.target.labels.values()), arrays["labels"][position]
        )
        assert sample.gap_hours == arrays["gap"][position]


def test_a_range_is_cut_to_the_file():
    assert read_range(None, 10) == (0, 10)
    assert read_range("bytes=2-4", 10) == (2, 5)
    assert read_range("bytes=2-", 10) == (2, 10)
    assert read_range("bytes=2-99", 10) == (2, 10)
    assert read_range("bytes=-3", 10) == (7, 10)
    assert read_range("bytes=-99", 10) == (0, 10)
    assert read_range("bytes=10-", 10) is None


def test_the_server_answers_a_client_of_s3(tmp_path, monkeypatch):
    boto3 = pytest.importorskip("boto3")
    from botocore.exceptions import ClientError

    root = tmp_path / "root"
    for name in ("a/1", "a/2", "a/b/3", "c & d"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode() * 1000)
    (tmp_path / "secret").write_text("not below the root")
    with serve_folder(root) as url:
        for name, value in client_environment(url).items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3")

        def get(key: str, **more: str) -> bytes:
            return client.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()

        assert get("a/b/3") == b"a/b/3" * 1000
        assert get("c & d", Range="bytes=5-9") == b"c & d"
        assert get("a/1", Range="bytes=-2") == b"/1"
        assert client.head_object(Bucket=BUCKET, Key="a/1")["ContentLength"] == 3000
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, PaginationConfig={"PageSize": 3}
        )
        sizes = {one["Key"]: one["Size"] for page in pages for one in page["Contents"]}
        assert sizes == {"a/1": 3000, "a/2": 3000, "a/b/3": 5000, "c & d": 5000}
        found = client.list_objects_v2(Bucket=BUCKET, Prefix="a/", Delimiter="/")
        assert [one["Key"] for one in found["Contents"]] == ["a/1", "a/2"]
        assert [one["Prefix"] for one in found["CommonPrefixes"]] == ["a/b/"]
        for key in ("../secret", "a", "none"):
            with pytest.raises(ClientError, match=r"NoSuchKey|404"):
                get(key)
        with pytest.raises(ClientError, match="InvalidRange"):
            get("a/1", Range="bytes=3000-")


def test_common_prefixes_are_cut_at_the_delimiter_once(tmp_path):
    for name in ("x/1", "x/2", "y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    text = list_keys(Path(tmp_path), {"delimiter": "/"}).decode()
    assert text.count("<CommonPrefixes>") == 1
    assert text.count("<Contents>") == 1

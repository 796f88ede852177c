import json
import multiprocessing
import pickle
import subprocess
import sys

import numpy as np
import pytest
import webdataset
from tiny_build import DIMENSIONS, HEART_RATE, TEXTS, build_dataset, film_level, pairs_of

import cxrfuture_data
from cxrfuture_data import ContractError, PairSample, open_dataset
from cxrfuture_data.schema import KINDS, SCHEMA_VERSION, SPLITS
from etl.recipe import read_recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    shard = {"samples_per_shard": 4, "workers": 1}
    return build_dataset(tmp_path_factory.mktemp("dataset"), "ddl_cxr", shard=shard)


@pytest.fixture(scope="module")
def event_folder(tmp_path_factory):
    shard = {"samples_per_shard": 100, "workers": 1}
    return build_dataset(tmp_path_factory.mktemp("dataset"), "ehrxdiff", shard=shard)


def test_a_pair_holds_the_values_it_was_built_from(folder):
    pairs = open_dataset(folder).split("train", "pair")
    assert len(pairs) == 15  # 8 patients with two pairs, one lost to a truncated film
    rows = {row["pair_id"]: row for row in pairs_of(read_recipe("ddl_cxr"))}
    for pair in pairs:
        row = rows[pair.key]
        subject = row["subject_id"]
        number = row["previous_study_id"] % 100
        assert (pair.subject_id, pair.hadm_id, pair.stay_id) == (
            subject,
            1000 + subject,
            2000 + subject,
        )
        assert pair.subject_id == subject
        assert pair.target.dicom_id == row["target_dicom_id"]
        assert (pair.previous.mean == np.float16(film_level(subject, number) / 100)).all()
        assert (pair.target.pixels() == film_level(subject, number + 1)).all()
        assert pair.window.hourly.shape == (10, 17)
        assert pair.window.hourly[[1, 3], HEART_RATE].tolist() == [80 + subject, 90 + subject]
        assert np.isfinite(pair.window.hourly).sum() == 2
        assert pair.died_in_hospital is (subject == 2)


def test_positions_run_over_shards_in_the_order_of_keys(folder):
    pairs = open_dataset(folder).split("train", "pair")
    keys = [pairs.key(i) for i in range(len(pairs))]
    assert keys == sorted(keys) == [pair.key for pair in pairs]
    assert [pairs.find(key) for key in keys] == list(range(15))
    assert pairs.shard(4) == "train/pair-000001.tar"
    assert pairs[-1].key == keys[-1]
    assert [pair.key for pair in pairs[3:9:2]] == keys[3:9:2]
    with pytest.raises(IndexError):
        pairs[15]
    with pytest.raises(ContractError, match="no sample 'x'"):
        pairs.find("x")


def test_films_can_be_left_in_the_tar(folder):
    pair = open_dataset(folder).split("train", "pair", films=False)[0]
    assert pair.target.png is None
    with pytest.raises(ContractError, match="keep_films"):
        pair.target.pixels()


def test_events_point_into_the_table_of_embeddings(event_folder):
    dataset = open_dataset(event_folder)
    pair = dataset.split("test", "pair")[0]
    assert isinstance(pair, PairSample)
    assert pair.window.hourly.shape == (0, 17)
    # Texts are numbered in their own order, which is that of the three events.
    assert dataset.texts(pair.window.event_row) == list(TEXTS)
    assert dataset.texts([2, 0, 2]) == [TEXTS[2], TEXTS[0], TEXTS[2]]
    assert dataset.embeddings.shape == (3, DIMENSIONS)
    assert dataset.embeddings[pair.window.event_row].mean(axis=1).tolist() == [0, 1, 2]
    assert isinstance(dataset.embeddings, np.memmap)
    with pytest.raises(ContractError, match="no row 3"):
        dataset.texts([3])


def test_stock_webdataset_reads_every_sample_of_every_shard(folder):
    dataset = open_dataset(folder)
    for split in SPLITS:
        for kind in KINDS:
            entry = dataset.manifest.kind(split, kind)
            urls = [str(folder / split / shard.name) for shard in entry.shards]
            stock = webdataset.WebDataset(urls, shardshuffle=False).map(cxrfuture_data.decode)
            assert [sample.key for sample in stock] == [
                sample.key for sample in dataset.split(split, kind)
            ]


def keys_of(samples, positions, results):
    results.put([samples[i].key for i in positions])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_samples_can_be_read_in_another_process(folder, method):
    pairs = open_dataset(folder).split("train", "pair")
    expected = [pairs[i].key for i in (0, 14)]  # opens tars before the other process starts
    context = multiprocessing.get_context(method)
    results = context.Queue()
    other = context.Process(target=keys_of, args=(pairs, (0, 14), results))
    other.start()
    assert results.get(timeout=60) == expected
    other.join()
    assert pairs[0].key == expected[0]


def test_a_dataset_travels_without_its_memory_map(event_folder):
    dataset = open_dataset(event_folder)
    assert dataset.embeddings.shape == (3, DIMENSIONS)
    assert len(pickle.dumps(dataset)) < 50_000
    assert pickle.loads(pickle.dumps(dataset)).embeddings.shape == (3, DIMENSIONS)


def test_a_split_or_kind_that_is_not_there_is_named(event_folder):
    dataset = open_dataset(event_folder)
    with pytest.raises(ContractError, match="no split 'dev' in this dataset; it has"):
        dataset.split("dev", "pair")
    with pytest.raises(ContractError, match="no kind 'stay' in this dataset"):
        dataset.split("train", "stay")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 1}, f"schema version 1, this reader knows {SCHEMA_VERSION}"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"made_from": 3}, "made_from"),
    ],
)
def test_another_manifest_is_refused(folder, tmp_path, change, words):
    value = json.loads((folder / "dataset.json").read_text()) | change
    (tmp_path / "dataset.json").write_text(json.dumps(value))
    with pytest.raises(ContractError, match=words):
        open_dataset(tmp_path)


def test_a_shard_outside_the_folder_is_refused(folder, tmp_path):
    text = (folder / "dataset.json").read_text().replace("pair-000000.tar", "../../etc.tar")
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ContractError, match="String should match pattern"):
        open_dataset(tmp_path)


def test_a_folder_without_its_done_record_is_no_dataset(tmp_path):
    with pytest.raises(ContractError, match="no such file"):
        open_dataset(tmp_path)


def test_import_is_light():
    code = "import cxrfuture_data, sys; print(*(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "duckdb", "polars", "pyarrow", "webdataset", "diffusers", "transformers"}
    assert not heavy & set(done.stdout.split())

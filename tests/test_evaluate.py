"""An evaluation on a dataset of known values: what must hold of rows that no model made."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import save_file
from tiny_build import SIZE
from tiny_judge import build_pairs, change_manifest, classifier_settings
from tiny_train import ddl_cxr_settings, vae_config

from cxrfuture_data import open_dataset
from cxrfuture_data.codec import load_codec, weights_digest
from cxrfuture_data.schema import ContractError
from train.evaluate import Request, evaluate
from train.finding_auroc import Records, read_records
from train.fit import fit
from train.generate import generate_split, real_pairs
from train.judge import Judge, judge_real, mean_target, previous_labels, repeat_one
from train.model.vae import build_autoencoder
from train.rows import table_rows
from train.score import Answer, Sampling, Truth, compare, score
from train.tasks import read_task_settings
from train.trained import open_trained
from train.vae_run import publish_autoencoder


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A dataset, its autoencoder, a judge, a generator and another that draws the targets."""
    root = tmp_path_factory.mktemp("evaluate")
    dataset = build_pairs(root, "ddl_cxr")
    codec = root / "codec"
    publish_autoencoder(build_autoencoder(vae_config(), seed=1), codec, {})
    change_manifest(dataset, lambda manifest: manifest["weights"].update(vae=weights_digest(codec)))
    short = {"length": {"epochs": None, "steps": 2}}
    for name, settings in (
        ("judge", classifier_settings(**short)),
        ("model", ddl_cxr_settings(**short)),
    ):
        AcceleratorState._reset_state(reset_partial_state=True)
        fit(dataset, root / name, settings, 5)
    shutil.copytree(root / "model", root / "oracle")
    AcceleratorState._reset_state(reset_partial_state=True)
    return root


@pytest.fixture(scope="module")
def dataset(build):
    return build / "build" / "ddl_cxr" / "shard"


def request(build, dataset, *runs, **changes):
    value = {"seeds": (0, 1), "draws": 20, "batch_size": 3} | changes
    return Request(
        dataset=dataset,
        judge=build / "judge",
        codec=build / "codec",
        runs=[build / run for run in runs],
        **value,
    )


@pytest.fixture(scope="module")
def result(build, dataset):
    """The oracle's files are overwritten by the targets' own latents."""
    for seed in (0, 1):
        found = generate_split(build / "oracle", dataset, "test", seed, batch_size=3)
        data = open_dataset(dataset)
        pairs = real_pairs(data, "test")
        means = np.stack([sample.target.mean for sample in pairs])
        assert means.shape == found.latents.shape
        path = build / "oracle" / "generated" / f"test-{seed}.safetensors"
        save_file({"latents": torch.from_numpy(means)}, path)
        record = json.loads(path.with_suffix(".json").read_text())

        record["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_suffix(".json").write_text(json.dumps(record))
    return evaluate(request(build, dataset, "model", "oracle"), build / "out")


def cell(result, row, column):
    return result["rows"][row]["cells"][column]["value"]


def test_rows_and_facts(build, result):
    assert list(result["rows"]) == [
        "target_film",
        "target_decoded",
        "previous_film",
        "previous_label",
        "mean_film",
        "model",
        "oracle",
    ]
    assert json.loads((build / "out" / "evaluation.json").read_text()) == result
    assert result["data"]["pairs"] == 4
    assert result["data"]["patients"] == 2
    assert result["data"]["origin"] == "all SIMULATED"
    assert result["scored"]["features"] == "the project's classifier"
    assert result["scored"]["labels"] == "findings"
    assert result["rows"]["model"]["settings"]["task"] == "ddl_cxr"
    assert result["rows"]["model"]["steps"] == 2


def test_the_target_is_no_row_of_distances(result):
    assert set(result["rows"]["target_film"]["cells"]) == {
        "auroc_all",
        "auroc_diff",
        "auroc_same",
        "age_r",
        "sex_auroc",
    }


def test_who_draws_the_target_is_at_no_distance(result):
    """And scores what the decoded target scores, in every seed."""
    for column in ("fd", "wd"):
        assert cell(result, "oracle", column) == pytest.approx(0.0, abs=1e-6)
        assert cell(result, "model", column) > 1.0
    assert cell(result, "oracle", "fid") == pytest.approx(
        cell(result, "target_decoded", "fid"), rel=1e-4
    )
    for column in ("auroc_all", "auroc_diff", "age_r", "sex_auroc"):
        assert cell(result, "oracle", column) == cell(result, "target_decoded", column)
    assert result["rows"]["oracle"]["cells"]["fd"]["sd"] == 0.0
    assert result["rows"]["oracle"]["cells"]["fd"]["seeds"] == 2


def test_distances_of_the_previous_film(result):
    """Every latent is its film's level over 100; from film k to k + 1 that is 0.01, in each of 64
    numbers. Patients 11 and 12 have levels 110, 111, 112, 120, 121, 122. The best matching moves
    110 to 112 and 120 to 122 and leaves the others, or moves all by one: each at 0.01 costs less
    than half of them at 0.02."""
    assert cell(result, "previous_film", "wd") == pytest.approx(64 * 0.01**2, rel=0.15)
    assert cell(result, "previous_film", "fd") < cell(result, "mean_film", "fd")


def test_the_previous_label_row(result):
    """Labels go round present, absent, uncertain, not mentioned, one further a film: what is absent
    was present, what is present was not mentioned, which scores one half. Of 14 findings a target
    has 4 absent and 3 present, or 3 and 3; two patients have one of each."""
    assert cell(result, "previous_label", "auroc_all") == 0.0
    assert cell(result, "previous_label", "auroc_diff") is None
    assert cell(result, "previous_label", "auroc_same") is None
    assert "age_r" not in result["rows"]["previous_label"]["cells"]
    assert result["scored"]["records"] == {"all": 2 * (7 + 6), "diff": 2 * (4 + 3), "same": 0}


def test_the_mean_film_tells_nothing(result):
    assert cell(result, "mean_film", "auroc_all") == 0.5
    assert cell(result, "mean_film", "sex_auroc") == 0.5
    assert cell(result, "mean_film", "age_r") is None


def test_intervals_and_differences(result):
    for name, row in result["rows"].items():
        for column, found in row["cells"].items():
            assert ("low" in found) == (column not in ("fid", "fd", "wd")), (name, column)
    minus = result["rows"]["oracle"]["minus_previous_film"]
    expected = cell(result, "oracle", "auroc_all") - cell(result, "previous_film", "auroc_all")
    assert minus["auroc_all"]["value"] == pytest.approx(expected)
    assert "minus_previous_film" not in result["rows"]["mean_film"]


def test_the_picture_shows_every_run(build, result):
    """Four pairs of previous, model, oracle and target."""
    assert result
    side = 4 * SIZE + 3 * 8
    assert Image.open(build / "out" / "evaluation.png").size == (side, side)


def test_films_are_decoded_where_none_are_kept(build, dataset):
    """The mean of real latents, and the same judgement whether films are read or not given."""
    data = open_dataset(dataset)
    judge = Judge(
        open_trained(build / "judge", data, "classifier").model,
        "findings",
        load_codec(build / "codec"),
        None,
        3,
    )
    pairs = real_pairs(data, "test")
    read = judge_real(judge, pairs)
    data.manifest = data.manifest.model_copy(update={"films_kept": "none"})
    decoded = judge_real(judge, real_pairs(data, "test"))
    np.testing.assert_array_equal(read.target_latents, decoded.target_latents)
    again = judge.judge_latents(read.target_latents)
    np.testing.assert_allclose(decoded.target.features, again.features, atol=1e-5)
    levels = [sample.target.mean.astype(float).mean() for sample in real_pairs(data, "train")]
    found = mean_target(real_pairs(data, "train"), 4)
    assert found.mean() == pytest.approx(np.mean(levels), rel=1e-6)


def test_table_classifiers_are_rows(build, dataset, tmp_path):
    """One with the previous film's labels and one without, from hours."""
    module = pytest.importorskip("train.table_classifier")
    settings = read_task_settings("table_classifier-tiny").model_dump(mode="json")
    settings |= {"input": "hours", "batch_size": 4, "length": {"epochs": None, "steps": 1}}
    settings |= {"trackers": [], "valid_samples": 4}
    for name, has_labels in (("without", False), ("with", True)):
        own = settings | {"with_previous_labels": has_labels}
        AcceleratorState._reset_state(reset_partial_state=True)
        fit(dataset, tmp_path / name, module.TableClassifierSettings.model_validate(own), 5)
    pairs = real_pairs(open_dataset(dataset), "test")
    records = read_records(pairs.columns)
    runs = [tmp_path / "without", tmp_path / "with"]
    rows = table_rows(runs, pairs, records, 3)
    assert list(rows) == ["table_classifier", "table_classifier_previous"]
    for run, row in zip(runs, rows.values(), strict=True):
        assert row.facts["run"] == str(run)
        trained = open_trained(run, pairs.dataset, "table_classifier")
        (batch,) = pairs.loader(4, trained.task.view, rank=0, world_size=1, training=False)
        expected = trained.task.predict(trained.model, batch)
        np.testing.assert_allclose(row.answers[0].labels, expected, atol=1e-5)
    with pytest.raises(ContractError, match="labels are not this dataset's attributes"):
        table_rows(runs, pairs, dataclasses.replace(records, label_set="attributes"), 3)


def test_requests_that_cannot_be_compared_are_refused(build, dataset, tmp_path):
    with pytest.raises(ContractError, match="two runs are called 'model'"):
        evaluate(request(build, dataset, "model", "model"), tmp_path)
    with pytest.raises(ContractError, match="no seed"):
        evaluate(request(build, dataset, "model", seeds=()), tmp_path)
    publish_autoencoder(build_autoencoder(vae_config(), seed=2), tmp_path / "codec", {})
    strange = Request(dataset=dataset, judge=build / "judge", codec=tmp_path / "codec")
    with pytest.raises(ContractError, match="not the autoencoder that made the latents"):
        evaluate(strange, tmp_path)
    no_judge = Request(dataset=dataset, judge=build / "model", codec=build / "codec")
    with pytest.raises(ContractError, match="a run of ddl_cxr; name one of classifier"):
        evaluate(no_judge, tmp_path)
    with pytest.raises(ContractError, match="torchxrayvision is not installed"):
        evaluate(request(build, dataset, features=tmp_path / "xrv.safetensors"), tmp_path)


def some_truth(samples=40):
    random = np.random.default_rng(0)
    flags = random.random((4, samples, 3)) < 0.5
    known = np.ones((samples, 3), bool)
    records = Records("findings", flags[0], known, flags[1], known)
    age, is_male = random.normal(60, 10, samples), flags[2, :, 0]
    return Truth(records, "corrected", age, is_male, np.arange(samples) // 4, Answer())


def test_a_row_less_itself_is_nothing():
    truth = some_truth()
    labels = np.random.default_rng(1).random((40, 3))
    answer = Answer(labels=labels, age=truth.age + 1.0)
    found = compare([answer], [answer], truth, Sampling(30, 0))
    assert set(found) == {"auroc_all", "auroc_diff", "auroc_same", "age_r"}
    for column in found.values():
        assert (column["value"], column["low"], column["high"]) == (0.0, 0.0, 0.0)


def test_seeds_are_averaged():
    """One seed in the right order, the other in the wrong one."""
    truth = some_truth()
    right = truth.records.is_present.astype(float)
    answers = [Answer(labels=right), Answer(labels=-right)]
    found = score(answers, truth, Sampling(10, 0))["auroc_all"]
    assert found["value"] == 0.5
    assert found["sd"] == pytest.approx(np.sqrt(0.5))
    assert found["low"] == found["high"] == 0.5


def test_without_draws_there_is_no_interval():
    truth = some_truth()
    found = score([Answer(age=truth.age)], truth, Sampling(0, 0))
    assert found == {"age_r": {"value": pytest.approx(1.0), "sd": None, "seeds": 1}}


def test_unknown_previous_labels():
    known = np.ones((2, 1), bool)
    was_known = np.array([[True], [False]])
    records = Records("findings", known, known, was_known, was_known)
    assert previous_labels(records, "corrected").labels.tolist() == [[1.0], [0.5]]
    assert previous_labels(records, "published").labels.tolist() == [[1.0], [0.0]]


def test_one_film_for_all():
    one = Answer(labels=np.array([[0.25, 0.5]]), age=np.array([70.0]))
    found = repeat_one(one, 3)
    assert found.labels.tolist() == [[0.25, 0.5]] * 3
    assert found.age.tolist() == [70.0] * 3
    assert found.latents is None

"""The task `fusion`: every model learns, is selected by a score, and sees nothing of the future."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_build
import torch
import yaml
from accelerate.state import AcceleratorState
from ranks import run_ranks
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score, roc_auc_score
from tiny_train import ddl_cxr_settings

from cxrfuture_data import open_dataset
from cxrfuture_data.schema import ContractError
from train.calibrate import Platt
from train.checkpoint import checkpoints
from train.fit import fit
from train.fusion.task import FusionTask
from train.generate import Request, generate
from train.outcome import OUTCOMES
from train.predict import predict_split
from train.predicted import read_predicted
from train.task import Moment
from train.tasks import make_task, read_task_settings

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("tabular", "uni_ehr", "uni_ehr_lstm", "uni_cxr", "mmtm", "daft", "drfuse", "last_cxr")

pytestmark = pytest.mark.usefixtures("one_thread", "new_accelerator")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve stays: 8 to train on, 2 of validation, 2 of test."""
    return build(tmp_path_factory.mktemp("fusion"))


def build(folder):
    """The recipe ddl_cxr, but for the size of its films."""
    recipe = yaml.safe_load((ROOT / "etl" / "recipes" / "ddl_cxr.yaml").read_text())
    recipe["image"]["size"] = tiny_build.SIZE
    folder.mkdir(exist_ok=True)
    (folder / "ddl_cxr.yaml").write_text(yaml.safe_dump(recipe))
    return tiny_build.build_dataset(folder, str(folder / "ddl_cxr.yaml"), shard={"workers": 1})


@pytest.fixture(scope="module")
def generator(dataset, tmp_path_factory):
    """A run that drew two latents of every stay."""
    AcceleratorState._reset_state(reset_partial_state=True)
    run = tmp_path_factory.mktemp("generator") / "run"
    fit(dataset, run, ddl_cxr_settings(length={"epochs": None, "steps": 2}), 5)
    for split in ("train", "valid", "test"):
        for seed in (0, 1):
            generate(Request(run, dataset, split, seed, "stay"))
    return run


def fusion_settings(name, *changes, outcome="phenotypes"):
    """Of the shipped tiny config of a model, four steps of eight stays."""
    small = ["batch_size=8", "length={epochs: null, steps: 4}", "valid_steps=2", "patience=null"]
    return read_task_settings(f"fusion-{name}-tiny", [*small, f"outcome={outcome}", *changes])


def with_latents(generator):
    return f"generated={generator / 'generated'}"


@pytest.mark.parametrize("name", [*MODELS, "medfuse", "ddl_cxr"])
def test_a_model_trains_and_tells_each_test_stay_once(dataset, generator, tmp_path, name):
    changes = [with_latents(generator)] if name == "ddl_cxr" else []
    fit(dataset, tmp_path, fusion_settings(name, *changes), 5)
    predict_split(tmp_path, dataset, "test")
    found = read_predicted(tmp_path, "test")
    assert found.keys == open_dataset(dataset).split("test", "stay").columns["key"].tolist()
    assert found.logits.shape == (2, 25)
    assert np.isfinite(found.logits).all()
    assert found.outcome == "phenotypes"
    assert found.seed == 5
    if found.attention is not None:
        assert found.attention.shape == (2, len(found.modalities))
        assert found.attention.sum(1) == pytest.approx(1, abs=1e-4)


def test_encoders_begin_as_those_of_other_runs(dataset, tmp_path):
    findings = fusion_settings("film_findings", "select_by=loss", outcome="findings")
    fit(dataset, tmp_path / "film", findings, 5)
    fit(dataset, tmp_path / "record", fusion_settings("uni_ehr_lstm"), 5)
    starts = [f"start_{name}={tmp_path / name}" for name in ("film", "record")]
    data = open_dataset(dataset)
    model = make_task(fusion_settings("medfuse", *starts), data).build()
    for name in ("film", "record"):
        weights = load_file(tmp_path / name / "best" / "model.safetensors")
        own = {key: value for key, value in weights.items() if key.startswith(f"{name}.")}
        assert own
        for key, value in own.items():
            assert torch.equal(model.state_dict()[key], value), key
    with pytest.raises(ContractError, match="start_film: the model has no encoder"):
        make_task(fusion_settings("uni_ehr", starts[0]), data).build()


def test_a_look_scores_the_whole_split_as_scikit_learn_does(dataset, tmp_path):
    fit(dataset, tmp_path, fusion_settings("uni_ehr"), 5)
    looks = [json.loads(line) for line in (tmp_path / "valid.jsonl").read_text().splitlines()]
    assert [look["step"] for look in looks] == [1, 3]
    state = json.loads((tmp_path / "best" / "state.json").read_text())
    best = max(looks, key=lambda look: look["auprc"])
    assert state["best"] == best["auprc"]
    predict_split(tmp_path, dataset, "valid")
    logits = read_predicted(tmp_path, "valid").logits
    columns = open_dataset(dataset).split("valid", "stay").columns
    present, _ = OUTCOMES["phenotypes"].of_columns(columns)
    both = [k for k in range(25) if present[:, k].any() and not present[:, k].all()]
    assert both
    for name, metric in (("auprc", average_precision_score), ("auroc", roc_auc_score)):
        mean = np.mean([metric(present[:, k], logits[:, k]) for k in both])
        assert best[name] == pytest.approx(mean, abs=1e-6)


def test_a_run_without_a_better_look_ends_and_stays_ended(dataset, tmp_path):
    settings = ["valid_steps=1", "patience=2", "length={epochs: null, steps: 50}"]
    settings += ["optimiser.learning_rate=1e-12", "optimiser.weight_decay=0"]
    for _ in range(2):
        fit(dataset, tmp_path, fusion_settings("tabular", *settings), 5)
        losses = (tmp_path / "loss.jsonl").read_text().splitlines()
        assert len(losses) == 3  # the first look is the best, and two more are not better
        assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-000003"]


def test_a_split_of_one_class_cannot_select(dataset, tmp_path):
    """Only patient 2, of training, dies."""
    with pytest.raises(ContractError, match=r"auprc: no label of valid has both classes"):
        fit(dataset, tmp_path, fusion_settings("tabular", outcome="mortality"), 5)


def test_class_weights_are_negatives_over_positives(dataset):
    task = make_task(fusion_settings("tabular", outcome="mortality"), open_dataset(dataset))
    assert isinstance(task, FusionTask)
    assert task.positive_weight.tolist() == [7.0]
    plain = fusion_settings("tabular", "class_weights=false", outcome="mortality")
    assert make_task(plain, open_dataset(dataset)).positive_weight.tolist() == [1.0]


def test_the_loss_of_a_constant_answer_is_known(dataset):
    """A model that says 0 of all: log 2, times the weight of those with the outcome."""
    data = open_dataset(dataset)
    task = make_task(fusion_settings("tabular", outcome="mortality"), data)
    model = task.build()
    for weight in model.parameters():
        torch.nn.init.zeros_(weight)
    (batch,) = data.split("train", "stay").loader(8, task.view, training=False)
    found = task.losses_of(model, batch, Moment(0, 0, 4, torch.device("cpu")))
    assert found["loss"].item() == pytest.approx(np.log(2) * (7 + 7 * 1) / 8, abs=1e-6)


def test_ranks_train_as_one(dataset, generator, tmp_path):
    """Two processes over gloo; group norm, so that no film depends on another's."""
    one = fusion_settings("ddl_cxr", with_latents(generator), "model.transformer.dropout=0.0")
    fit(dataset, tmp_path / "one", one, 5)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(one.model_dump(mode="json", by_alias=True)))
    place = ["--dataset", dataset, "--out", tmp_path / "two"]
    run_ranks(2, "cxrfuture", ["train", tmp_path / "one.yaml", "--seed", 5, *place])
    for name in ("loss.jsonl", "valid.jsonl"):
        pair = [(tmp_path / run / name).read_text().splitlines() for run in ("one", "two")]
        for first, second in zip(*pair, strict=True):
            assert json.loads(second) == pytest.approx(json.loads(first), abs=2e-4)


def test_a_run_is_the_same_again(dataset, generator, tmp_path):
    for name in ("one", "two"):
        AcceleratorState._reset_state(reset_partial_state=True)
        fit(dataset, tmp_path / name, fusion_settings("ddl_cxr", with_latents(generator)), 5)
    one, two = (tmp_path / n / "best" / "model.safetensors" for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_the_target_film_is_in_nothing_that_is_predicted_from(dataset, tmp_path, monkeypatch):
    """Another film, with another latent, after each stay's last one before the prediction changes
    the pairs and not a byte of the stays, from which all is generated and predicted."""
    level = tiny_build.film_level
    monkeypatch.setattr(tiny_build, "film_level", lambda s, k: level(s, k) + 50 * (k == 2))
    other = build(tmp_path / "other")
    for kind, is_same in (("pair", False), ("stay", True)):
        sums = [
            [shard.sha256 for shard in open_dataset(d).manifest.kind("test", kind).shards]
            for d in (dataset, other)
        ]
        assert (sums[0] == sums[1]) == is_same


def test_what_a_model_cannot_see_is_refused(dataset):
    data = open_dataset(dataset)
    with pytest.raises(ContractError, match="generated: null, and the model sees a generated"):
        make_task(fusion_settings("ddl_cxr"), data).build()
    with pytest.raises(ContractError, match="findings is of one film alone; mmtm is another"):
        make_task(fusion_settings("mmtm", outcome="findings"), data).build()


def test_a_prediction_is_made_once_and_a_broken_one_refused(dataset, tmp_path):
    fit(dataset, tmp_path, fusion_settings("tabular"), 5)
    predict_split(tmp_path, dataset, "test")
    path = tmp_path / "predicted" / "test.safetensors"
    before = path.stat().st_mtime_ns
    predict_split(tmp_path, dataset, "test")
    assert path.stat().st_mtime_ns == before
    found = read_predicted(tmp_path, "test")
    chance = Platt(found.slope, found.offset).probability(found.logits)
    assert ((chance > 0) & (chance < 1)).all()
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ContractError, match="not there or not whole; run `cxrfuture predict"):
        read_predicted(tmp_path, "test")


def test_a_generator_predicts_no_outcome(dataset, generator):
    with pytest.raises(ContractError, match="a run of ddl_cxr, which predicts no outcome"):
        predict_split(generator, dataset, "test")

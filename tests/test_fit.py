"""The training loop: falls, resumes exactly, stops politely, and does not depend on ranks."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from PIL import Image
from ranks import run_ranks
from safetensors.torch import load_file
from tiny_build import build_dataset
from tiny_train import ddl_cxr_settings, vae_config

from cxrfuture_data import open_dataset
from cxrfuture_data.codec import weights_digest
from cxrfuture_data.publish import write_json
from cxrfuture_data.schema import ContractError
from train import checkpoint
from train.fit import fit, room_for
from train.model.vae import build_autoencoder
from train.plan import Plan, read_parts
from train.sample import Request, draw_film
from train.settings import config_names
from train.tasks import SHIPPED, make_task, read_task_settings
from train.vae_run import publish_autoencoder

ROOT = Path(__file__).resolve().parent.parent
DROPOUT = ddl_cxr_settings().history.model_dump() | {"dropout": 0.2}


pytestmark = pytest.mark.usefixtures("one_thread", "new_accelerator")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """15 training pairs with latents of 4 x 4 x 4."""
    return build_dataset(tmp_path_factory.mktemp("train"), "ddl_cxr", shard={"workers": 1})


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """A run of eight steps with dropout that nothing interrupts."""
    AcceleratorState._reset_state(reset_partial_state=True)
    out = tmp_path_factory.mktemp("whole") / "run"
    fit(dataset, out, ddl_cxr_settings(history=DROPOUT), 5)
    return out


def read_losses(out):
    return [json.loads(line) for line in (out / "loss.jsonl").read_text().splitlines()]


def read_tensors(out):
    """Weights by name, and Adam's moments by ``exp_avg/name`` and ``exp_avg_sq/name``."""
    folder = checkpoint.checkpoints(out)[-1]
    return load_file(folder / "model.safetensors") | load_file(folder / "optimiser.safetensors")


def assert_same_run(one, other):
    assert (one / "loss.jsonl").read_bytes() == (other / "loss.jsonl").read_bytes()
    last = "checkpoint-000008"
    for path in (one / last).iterdir():
        assert path.read_bytes() == (other / last / path.name).read_bytes(), path.name


def test_the_loss_falls_on_eight_samples(dataset, tmp_path):
    length = {"epochs": None, "steps": 60}
    fit(dataset, tmp_path, ddl_cxr_settings(batch_size=8, length=length), 5)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["steps"] == 60
    assert metrics["samples"] == 15
    assert metrics["last"]["simple"] < 0.7 * metrics["first"]["simple"]
    assert metrics["last"]["findings"] < metrics["first"]["findings"]


def test_the_parts_of_the_loss_add_up(whole):
    rows = read_losses(whole)
    assert [row["step"] for row in rows] == list(range(8))
    assert rows[0]["contrast"] == 0  # its weight is zero, so it is not computed
    for step, row in enumerate(rows):
        total = row["simple"] + 1.4 * row["findings"] + step / 8 * row["contrast"]
        assert row["loss"] == pytest.approx(total, abs=1e-6)


def test_a_killed_run_resumes_with_the_same_losses(dataset, whole, tmp_path):
    """As kill -9 leaves it: a log ahead of the last checkpoint, and half a checkpoint."""
    config = ddl_cxr_settings(history=DROPOUT, checkpoint_steps=5)
    fit(dataset, tmp_path, config, 5)
    shutil.move(tmp_path / "checkpoint-000008", tmp_path / "checkpoint-000008.part")
    assert len(read_losses(tmp_path)) == 8
    fit(dataset, tmp_path, config, 5)
    log = (tmp_path / "loss.jsonl").read_bytes()
    assert log == (whole / "loss.jsonl").read_bytes()
    for name in ("model", "average", "optimiser"):
        file = f"checkpoint-000008/{name}.safetensors"
        assert (tmp_path / file).read_bytes() == (whole / file).read_bytes()


def test_sigterm_saves_and_the_next_run_goes_on(dataset, whole, tmp_path):
    def terminate():
        while not (tmp_path / "loss.jsonl").exists() or len(read_losses(tmp_path)) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    config = ddl_cxr_settings(history=DROPOUT)
    killer = threading.Thread(target=terminate)
    killer.start()
    with pytest.raises(SystemExit) as stopped:
        fit(dataset, tmp_path, config, 5)
    killer.join()
    assert stopped.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    done = len(read_losses(tmp_path))
    assert 2 <= done < 8
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == [f"checkpoint-{done:06d}"]
    AcceleratorState._reset_state(reset_partial_state=True)
    fit(dataset, tmp_path, config, 5)
    assert_same_run(whole, tmp_path)


def test_a_finished_run_is_left_as_it_is(dataset, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.safetensors")}
    fit(dataset, whole, ddl_cxr_settings(history=DROPOUT), 5)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.safetensors")} == before


def test_a_run_of_another_seed_is_moved_aside(dataset, tmp_path):
    short = ddl_cxr_settings(length={"epochs": None, "steps": 1})
    for seed in (1, 2):
        fit(dataset, tmp_path / "run", short, seed)
        AcceleratorState._reset_state(reset_partial_state=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run-1"]
    assert len(read_losses(tmp_path / "run")) == 1


def test_a_checkpoint_holds_no_pickle(whole):
    names = sorted(path.name for path in (whole / "checkpoint-000008").iterdir())
    assert names == [
        "average.safetensors",
        "model.safetensors",
        "optimiser.safetensors",
        "state.json",
    ]
    for path in whole.rglob("*"):
        if path.is_file():
            assert path.suffix in {".safetensors", ".json", ".jsonl", ".yaml"}


def test_the_newest_two_checkpoints_are_kept(dataset, tmp_path):
    fit(dataset, tmp_path, ddl_cxr_settings(checkpoint_steps=3), 5)
    names = [path.name for path in checkpoint.checkpoints(tmp_path)]
    assert names == ["checkpoint-000006", "checkpoint-000008"]


def test_the_average_lies_between_start_and_end(whole):
    """After eight steps the last one's weights count for 1 - 9 / 18, so the two differ."""
    model = load_file(whole / "checkpoint-000008" / "model.safetensors")
    average = load_file(whole / "checkpoint-000008" / "average.safetensors")
    assert set(average) == set(model)
    last = "unet.conv_out.weight"
    assert not torch.equal(average[last], model[last])
    assert average[last].abs().sum() > 0  # the start is zero


@pytest.mark.slow
def test_ranks_and_accumulation_train_as_one_rank(dataset, tmp_path):
    """Real processes over gloo. Adam's first moment is the averaged gradient."""
    steps = {"epochs": None, "steps": 3}
    one = ddl_cxr_settings(length=steps)
    fit(dataset, tmp_path / "one", one, 5)
    AcceleratorState._reset_state(reset_partial_state=True)
    fit(dataset, tmp_path / "parts", ddl_cxr_settings(length=steps, accumulate=4), 5)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(one.model_dump(mode="json")))
    run = ["train", tmp_path / "one.yaml", "--seed", 5, "--dataset", dataset, "--out"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *torchrun, "-m", "cxrfuture", *run, tmp_path / "2"]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 ranks" in done.stderr
    assert "4 ranks" in run_ranks(4, "cxrfuture", [*run, tmp_path / "4"])
    for name in ("2", "4", "parts"):
        assert_same_training(tmp_path / "one", tmp_path / name)


def assert_same_training(one, other):
    for row, found in zip(read_losses(one), read_losses(other), strict=True):
        assert found == pytest.approx(row, abs=1e-5)
    expected, found = read_tensors(one), read_tensors(other)
    for key, value in expected.items():
        # Adam moves a weight by its gradient over the gradient's size, so where the gradient is
        # zero but for rounding (the bias of attention's keys) the weight tells nothing.
        square = expected.get(f"exp_avg_sq/{key}", torch.ones(()))
        same = torch.isclose(found[key], value, atol=1e-5, rtol=1e-4)
        assert (same | (square < 1e-14)).all(), key


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("first_step", [0, 1, 4])
def test_a_step_reads_the_same_samples_for_any_ranks(dataset, ranks, accumulate, first_step):
    def keys_of(accumulate, rank, ranks):
        settings = ddl_cxr_settings(batch_size=8, accumulate=accumulate)
        data = open_dataset(dataset)
        plan = Plan(settings, 5, "train/pair", 15, rank, ranks)
        task = make_task(settings, data)
        parts = next(read_parts(data.split("train", "pair"), task, plan, first_step))
        return [key for part in parts for key in part.keys]

    alone = keys_of(1, 0, 1)
    together = [key for rank in range(ranks) for key in keys_of(accumulate, rank, ranks)]
    assert sorted(together) == sorted(alone)


def test_bf16_trains(dataset, tmp_path):
    fit(dataset, tmp_path, ddl_cxr_settings(precision="bf16"), 5)
    model = load_file(tmp_path / "checkpoint-000008" / "model.safetensors")
    assert {value.dtype for value in model.values()} == {torch.float32}
    assert np.isfinite([row["loss"] for row in read_losses(tmp_path)]).all()


def test_a_sample_shows_three_films(dataset, whole, tmp_path):
    folder, codec = tmp_path / "dataset", tmp_path / "codec"
    shutil.copytree(dataset, folder)
    publish_autoencoder(build_autoencoder(vae_config(), seed=1), codec, {})
    request = Request(folder, codec, "valid", 0, seed=1)
    with pytest.raises(ContractError, match="not the autoencoder that made the latents"):
        draw_film(whole / "checkpoint-000008", request, tmp_path / "a.png")
    manifest = json.loads((folder / "dataset.json").read_text())
    manifest["weights"]["vae"] = weights_digest(codec)
    write_json(folder / "dataset.json", manifest)
    for name in ("a.png", "b.png"):
        draw_film(whole / "checkpoint-000008", request, tmp_path / name)
    assert Image.open(tmp_path / "a.png").size == (3 * 32 + 2 * 8, 32)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ContractError, match="batch_size 4 is not a multiple of 3 ranks"):
        Plan(ddl_cxr_settings(), 1, "train/pair", 15, rank=0, ranks=3)


def test_a_dataset_without_hourly_values_is_refused(tmp_path):
    events = build_dataset(tmp_path, "ehrxdiff", shard={"workers": 1})
    with pytest.raises(ContractError, match="recipe 'ehrxdiff' keeps no hourly record"):
        fit(events, tmp_path / "run", ddl_cxr_settings(), 5)


def test_fewer_pairs_than_a_batch_are_refused(dataset, tmp_path):
    with pytest.raises(ContractError, match="train/pair has 15 samples, fewer than batch_size 16"):
        fit(dataset, tmp_path, ddl_cxr_settings(batch_size=16), 5)


def test_a_loss_that_is_no_number_stops_the_run(dataset, tmp_path):
    wild = {"learning_rate": 1e30, "betas": [0.9, 0.999], "weight_decay": 0.0}
    with pytest.raises(ContractError, match=r"lower optimiser\.learning_rate"):
        fit(dataset, tmp_path, ddl_cxr_settings(optimiser=wild), 5)


@pytest.mark.parametrize("name", config_names(SHIPPED))
def test_shipped_configs_are_read(name):
    settings = read_task_settings(name)
    assert settings.task in name.replace("-", "_")


def test_a_setting_is_changed_by_its_name():
    settings = read_task_settings(
        "ddl_cxr-tiny", ["optimiser.learning_rate=1e-4", "without=[previous, contrast]"]
    )
    assert settings.optimiser.learning_rate == 1e-4
    assert settings.without == ["previous", "contrast"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("optimiser.rate=1", "no setting 'rate'; there are learning_rate, betas, weight_decay"),
        ("batch_siz=1", "no setting 'batch_siz'; did you mean 'batch_size'?"),
        ("batch_size", "expected name=value"),
        ("batch_size=many", "batch_size: .* found 'many'"),
        ("without=[pervious]", "found 'pervious'"),
    ],
)
def test_a_change_that_cannot_be_is_refused(change, problem):
    with pytest.raises(ContractError, match=problem):
        read_task_settings("ddl_cxr-tiny", [change])


def test_a_checkpoint_that_was_cut_short_is_left_out(dataset, whole, tmp_path, capsys):
    """Of two checkpoints the newest lost its end; the run goes on from the one before."""
    config = ddl_cxr_settings(history=DROPOUT, checkpoint_steps=5)
    fit(dataset, tmp_path, config, 5)
    newest = tmp_path / "checkpoint-000008" / "optimiser.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    fit(dataset, tmp_path, config, 5)
    assert "checkpoint-000008: left out, cannot be read" in capsys.readouterr().err
    assert read_losses(tmp_path) == read_losses(whole)
    expected, found = read_tensors(whole), read_tensors(tmp_path)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_looks_at_validation_samples_keep_the_best_weights(dataset, tmp_path):
    """Each look is of the same samples and noise; averaged weights, not the last, are kept."""
    fit(dataset, tmp_path, ddl_cxr_settings(valid_steps=2, valid_samples=3), 5)
    looks = [json.loads(line) for line in (tmp_path / "valid.jsonl").read_text().splitlines()]
    assert [look["step"] for look in looks] == [1, 3, 5, 7]
    state = json.loads((tmp_path / "best" / "state.json").read_text())
    assert state["best"] == min(look["simple"] for look in looks)
    assert looks[state["best_steps"] // 2 - 1]["simple"] == state["best"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["best_valid"] == state["best"]
    best, average = (
        load_file(tmp_path / "best" / f"{name}.safetensors") for name in ("model", "average")
    )
    assert all(torch.equal(best[name], value) for name, value in average.items())


def test_looks_change_nothing_of_the_run(dataset, whole, tmp_path):
    fit(dataset, tmp_path, ddl_cxr_settings(history=DROPOUT, valid_steps=3), 5)
    assert (tmp_path / "loss.jsonl").read_bytes() == (whole / "loss.jsonl").read_bytes()


def test_the_learning_rate_warms_up_and_falls_on_a_cosine():
    settings = ddl_cxr_settings(warmup_steps=2, decay="cosine")
    plan = Plan(settings, 1, "train/pair", 15, rank=0, ranks=1)
    rates = [plan.rate(step) for step in range(8)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[5] == pytest.approx(0.5)  # half way from step 2 to step 8
    assert rates[7] == pytest.approx(0.5 * (1 - 3**0.5 / 2))


def test_too_little_memory_says_what_to_change(dataset):
    settings = ddl_cxr_settings()
    data = open_dataset(dataset)
    plan = Plan(settings, 5, "train/pair", 15, rank=0, ranks=1)
    part = next(read_parts(data.split("train", "pair"), make_task(settings, data), plan, 0))[0]
    said = "with 4 samples at a time; --set accumulate=2 halves"
    with pytest.raises(ContractError, match=said), room_for(part, settings):
        torch.empty(2**60)
    with pytest.raises(RuntimeError, match="shape"), room_for(part, settings):
        torch.empty(2, 3) @ torch.empty(2, 3)


def test_a_run_is_logged_for_tensorboard(dataset, tmp_path):
    length = {"epochs": None, "steps": 1}
    fit(dataset, tmp_path, ddl_cxr_settings(trackers=["tensorboard"], length=length), 5)
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    assert b"train/simple" in file.read_bytes()


def test_a_tracker_that_is_not_installed_is_refused(dataset, tmp_path):
    if importlib.util.find_spec("wandb") is None:
        with pytest.raises(ContractError, match="wandb is not installed"):
            fit(dataset, tmp_path, ddl_cxr_settings(trackers=["wandb"]), 5)


def test_a_loss_to_select_by_must_be_one(dataset, tmp_path):
    with pytest.raises(ContractError, match=r"has no .simpel.; there are loss, simple"):
        fit(dataset, tmp_path, ddl_cxr_settings(select_by="simpel"), 5)


def test_torchvision_is_not_installed():
    """Beside the CPU build of torch it breaks diffusers and transformers."""
    if "+cpu" in torch.__version__:
        assert importlib.util.find_spec("torchvision") is None

"""Latents of a whole split: resumable, in the order of keys, and the same for any ranks."""

import json

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from ranks import run_ranks
from safetensors.torch import load_file, save_file
from tiny_judge import build_pairs
from tiny_train import ddl_cxr_settings

from cxrfuture_data import open_dataset
from cxrfuture_data.schema import ContractError
from train.drawer import Drawer, open_drawer
from train.fit import fit
from train.generate import generate_split, read_generated, real_pairs

pytestmark = pytest.mark.usefixtures("new_accelerator")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four real pairs of test and one null event; latents of 4 x 4 x 4."""
    return build_pairs(tmp_path_factory.mktemp("generate"), "ddl_cxr")


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    AcceleratorState._reset_state(reset_partial_state=True)
    out = tmp_path_factory.mktemp("trained") / "run"
    fit(dataset, out, ddl_cxr_settings(length={"epochs": None, "steps": 2}), 5)
    return out


@pytest.fixture
def run(trained, tmp_path):
    """The trained run without anything generated."""
    out = tmp_path / "run"
    out.mkdir()
    for folder in ("best", "checkpoint-000002"):
        (out / folder).symlink_to(trained / folder)
    return out


def test_every_real_pair_once_in_the_order_of_keys(dataset, run):
    found = generate_split(run, dataset, "test", 0, batch_size=3)
    columns = open_dataset(dataset).split("test", "pair").columns
    assert columns["is_null_event"].sum() == 1
    assert found.keys == columns["key"][~columns["is_null_event"]].tolist() == sorted(found.keys)
    assert found.latents.shape == (4, 4, 4, 4)
    assert found.latents.dtype == np.float16
    record = json.loads((run / "generated" / "test-0.json").read_text())
    assert record["steps"] == 2
    assert record["settings"]["task"] == "ddl_cxr"
    assert [path.name for path in sorted((run / "generated").iterdir())] == [
        "test-0.json",
        "test-0.safetensors",
    ]


def test_rows_are_what_the_drawer_draws(dataset, run):
    found = generate_split(run, dataset, "test", 7, batch_size=2)
    data = open_dataset(dataset)
    drawer = open_drawer(run, data)
    pairs = real_pairs(data, "test")
    (batch,) = pairs.loader(4, drawer.task.view, rank=0, world_size=1, training=False)
    expected = drawer.draw(batch, 7).half().numpy()
    np.testing.assert_allclose(found.latents, expected, atol=2e-3)
    other = generate_split(run, dataset, "test", 8, batch_size=2)
    assert not np.array_equal(found.latents, other.latents)


def test_a_killed_generation_goes_on(dataset, run, monkeypatch):
    """Of two batches the first was drawn; it is not drawn again."""
    calls = []
    draw = Drawer.draw

    def stopping(self, batch, seed):
        calls.append(batch.keys)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw(self, batch, seed)

    monkeypatch.setattr(Drawer, "draw", stopping)
    with pytest.raises(KeyboardInterrupt):
        generate_split(run, dataset, "test", 0, batch_size=2)
    assert not (run / "generated" / "test-0.json").exists()
    found = generate_split(run, dataset, "test", 0, batch_size=2)
    assert [len(keys) for keys in calls] == [2, 2, 2]
    assert calls[1] == calls[2] != calls[0]
    again = generate_split(run, dataset, "test", 0, batch_size=3)  # what is drawn is drawn
    np.testing.assert_array_equal(found.latents, again.latents)
    assert len(calls) == 3


def test_other_weights_draw_anew(dataset, run):
    before = generate_split(run, dataset, "test", 0)
    copied = load_file(run / "best" / "average.safetensors")
    for name in ("best", "checkpoint-000002"):
        target = (run / name).resolve()
        (run / name).unlink()
        (run / name).mkdir()
        for path in target.iterdir():
            (run / name / path.name).write_bytes(path.read_bytes())
        save_file(
            {key: torch.full_like(value, 0.01) for key, value in copied.items()},
            run / name / "average.safetensors",
        )
    after = generate_split(run, dataset, "test", 0)
    assert after.keys == before.keys
    assert not np.array_equal(after.latents, before.latents)


def test_a_file_that_is_not_its_record_is_refused(dataset, run):
    generate_split(run, dataset, "test", 0)
    path = run / "generated" / "test-0.safetensors"
    save_file({"latents": torch.zeros(4, 4, 4, 4, dtype=torch.float16)}, path)
    with pytest.raises(ContractError, match="not the file of its record"):
        read_generated(run, "test", 0)
    with pytest.raises(ContractError, match="generate again"):
        read_generated(run, "test", 1)


@pytest.mark.slow
def test_two_ranks_give_the_same_bytes(dataset, run, tmp_path):
    one = generate_split(run, dataset, "test", 3, batch_size=1)
    path = run / "generated" / "test-3.safetensors"
    expected = path.read_bytes()
    path.unlink()
    path.with_suffix(".json").unlink()
    options = ["--seed", 3, "--batch-size", 1]
    run_ranks(2, "cxrfuture", ["generate", run, "--dataset", dataset, *options])
    assert path.read_bytes() == expected
    assert read_generated(run, "test", 3).keys == one.keys


def test_another_sampler_draws_anew(dataset, tmp_path):
    """Set after training, by the same command; the weights are left as they are."""
    drawn = []
    for steps in (3, 2):
        sampler = {"steps": steps, "eta": 0.0}
        short = ddl_cxr_settings(length={"epochs": None, "steps": 2}, sampler=sampler)
        fit(dataset, tmp_path, short, 5)
        AcceleratorState._reset_state(reset_partial_state=True)
        drawn.append(generate_split(tmp_path, dataset, "test", 0))
        assert drawn[-1].settings["sampler"] == sampler
    assert not np.array_equal(drawn[0].latents, drawn[1].latents)
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}-*"))

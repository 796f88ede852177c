"""Generated latents of stays: drawn by the run that never saw them, and joined by key."""

import json
import shutil

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from tiny_build import leave_out_film, write_build
from tiny_train import ddl_cxr_settings

from cxrfuture_data import View, open_dataset
from cxrfuture_data.collate import collate
from cxrfuture_data.schema import ContractError
from etl import shard
from train.drawer import open_drawer
from train.fit import fit
from train.fold import fold_numbers
from train.generate import Request, generate

pytestmark = pytest.mark.usefixtures("one_thread", "new_accelerator")
SHORT = {"length": {"epochs": None, "steps": 2}, "batch_size": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve stays, of which patient 9's (valid) has no film."""
    root = tmp_path_factory.mktemp("generated")
    params, recipe = write_build(root, "ddl_cxr", shard={"workers": 1})
    leave_out_film(params.build("ddl_cxr"), 9)
    shard.run(params, recipe)
    return params.build("ddl_cxr", "shard")


@pytest.fixture(scope="module")
def runs(dataset, tmp_path_factory):
    """A run on all patients, and one without those of each of two folds."""
    root = tmp_path_factory.mktemp("runs")
    for name, fold in (("whole", None), ("0", 0), ("1", 1)):
        AcceleratorState._reset_state(reset_partial_state=True)
        chosen = None if fold is None else {"number": fold, "folds": 2}
        fit(dataset, root / name, ddl_cxr_settings(**SHORT, fold=chosen), 5)
    return root


@pytest.fixture(scope="module")
def generated(dataset, runs):
    """Two latents a stay."""
    AcceleratorState._reset_state(reset_partial_state=True)
    folds = (runs / "1", runs / "0")
    for split in ("train", "valid", "test"):
        for seed in (0, 1):
            generate(Request(runs / "whole", dataset, split, seed, "stay", folds, batch_size=3))
    return runs / "whole" / "generated"


def view_of(folder):
    return View(kind="stay", latents="posterior", hours=True, generated=str(folder))


def test_each_training_patient_is_drawn_by_the_run_that_left_it_out(dataset, runs, generated):
    data = open_dataset(dataset)
    stays = data.split("train", "stay")
    record = json.loads((generated / "stay-train-0.json").read_text())
    assert record["keys"] == stays.columns["key"].tolist()
    numbers = fold_numbers(stays.columns["subject_id"], 2)
    assert set(numbers) == {0, 1}
    batch = next(iter(stays.loader(len(stays), view_of(generated), training=False)))
    for number in (0, 1):
        drawer = open_drawer(runs / str(number), data)
        (seen,) = stays.loader(len(stays), drawer.task.stay_view, training=False)
        for seed in (0, 1):
            drawn = drawer.draw(seen, seed).half()
            mine = torch.from_numpy(numbers == number)
            found = batch.generated[mine, seed]
            torch.testing.assert_close(found, drawn[mine], atol=2e-3, rtol=2e-3)
            assert not torch.allclose(batch.generated[~mine, seed], drawn[~mine], atol=2e-3)


def test_test_patients_are_drawn_by_the_run_on_all(dataset, runs, generated):
    record = json.loads((generated / "stay-test-0.json").read_text())
    assert record["runs"] == [str(runs / "whole")]


def test_the_loader_joins_as_collate_does(dataset, generated):
    data = open_dataset(dataset)
    for split in ("train", "valid"):
        stays = data.split(split, "stay")
        expected = collate(list(stays), data, view_of(generated))
        for workers in (0, 1):
            loader = stays.loader(len(stays), view_of(generated), workers=workers, training=False)
            (batch,) = loader
            assert batch.generated.shape == (len(stays), 2, 4, 4, 4)
            assert np.array_equal(batch.generated.numpy(), expected.generated)
            assert (batch.generated[~batch.has_previous] == 0).all()
            loader.close()
    assert not collate(list(stays), data).generated.size


def copy(generated, tmp_path):
    return shutil.copytree(generated, tmp_path / "generated")


def test_what_does_not_fit_is_refused(dataset, generated, tmp_path):
    stays = open_dataset(dataset).split("train", "stay")

    def refused(folder, message):
        with pytest.raises(ContractError, match=message):
            list(stays.loader(4, view_of(folder), training=False))

    refused(tmp_path, "none seeds a split; generate every split")
    folder = copy(generated, tmp_path)
    (folder / "stay-valid-1.json").unlink()
    refused(folder, r"stay-valid-1.json: cannot be read; generate again")
    (folder / "stay-valid-1.safetensors").unlink()
    refused(folder, "latents of 2, 1, 2 seeds a split")
    for path in folder.glob("stay-train-*"):
        path.unlink()
    (folder / "stay-valid-0.safetensors").unlink()
    refused(folder, "no latent of stay .*; generate its split")
    record = json.loads((folder / "stay-test-0.json").read_text())
    (folder / "stay-test-0.json").write_text(json.dumps(record | {"dataset": "another"}))
    refused(folder, "of another dataset")


@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"\xff" * 40])
def test_a_broken_file_is_refused(dataset, generated, tmp_path, data):
    folder = copy(generated, tmp_path)
    (folder / "stay-test-0.safetensors").write_bytes(data)
    with pytest.raises(ContractError, match="no file of latents"):
        next(iter(open_dataset(dataset).split("test", "stay").loader(2, view_of(folder))))


def test_folds_that_are_not_whole_are_refused(dataset, runs):
    for folds in ((runs / "0",), (runs / "0", runs / "0"), (runs / "0", runs / "whole")):
        with pytest.raises(ContractError, match="not each fold once"):
            generate(Request(runs / "whole", dataset, "train", 3, "stay", folds))


def test_a_view_of_pairs_has_no_generated_latents():
    with pytest.raises(ContractError, match="generated latents are of stays"):
        View(kind="pair", generated="folder")

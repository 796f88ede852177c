"""DDL-CXR's task: its losses by hand, its ablations, and what it draws."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_build import build_dataset
from tiny_train import ddl_cxr_settings

from cxrfuture_data import ContractError, open_dataset
from cxrfuture_data.batch import convert
from train.ddl_cxr import DdlCxr, draw
from train.task import Moment

AT = Moment(seed=3, step=4, steps=8, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return open_dataset(
        build_dataset(tmp_path_factory.mktemp("ddl_cxr"), "ddl_cxr", shard={"workers": 1})
    )


@pytest.fixture(scope="module")
def batch(data):
    return next(iter(data.split("train", "pair").loader(4, "ddl_cxr.pair", seed=1)))


def built(data, **changes):
    """A task and its model, with random numbers where training starts from zeros."""
    task = DdlCxr(ddl_cxr_settings(**changes), data)
    torch.manual_seed(0)
    model = task.build()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return task, model.eval()


def losses(data, batch, at=AT, **changes):
    task, model = built(data, **changes)
    with torch.no_grad():
        return {name: value.item() for name, value in task.losses_of(model, batch, at).items()}


def test_the_losses_are_those_of_the_paper(data, batch):
    """Recomputed in NumPy from the model's own outputs (specs ddl-cxr 8.4)."""
    task, model = built(data)
    random = draw(batch, task.settings.history.width, AT)
    posterior, alphas = (
        batch.target.numpy().astype(np.float64),
        np.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=np.float64),
    )
    kept = np.cumprod(1 - alphas**2)[random.timestep.numpy()][:, None, None, None]
    target = posterior[:, 0] + np.exp(posterior[:, 1] / 2) * random.target_spread.numpy()
    noise = random.noise.numpy()
    noisy = np.sqrt(kept) * target + np.sqrt(1 - kept) * noise
    mean, logvar = batch.previous.float().unbind(1)
    previous = mean + torch.exp(logvar / 2) * random.previous_spread
    with torch.no_grad():
        found = model(
            torch.from_numpy(noisy).float(),
            previous,
            random.timestep,
            (batch.hours, batch.is_hour),
            random.context_noise,
            0.5,
        )
        result = task.losses_of(model, batch, AT)
    error = ((noise - found.noise.numpy()) ** 2).reshape(4, -1).mean(1)
    disturbed = ((noise - found.noise_disturbed.numpy()) ** 2).reshape(4, -1).mean(1)
    hinge = np.maximum(error - disturbed + 0.2, 0).mean()
    chance = 1 / (1 + np.exp(-found.findings.numpy().astype(np.float64)))
    present = batch.labels.numpy() == 1
    cross = -np.where(present, np.log(chance), np.log(1 - chance)).mean()
    assert result["simple"].item() == pytest.approx(error.mean(), rel=1e-4)
    assert result["contrast"].item() == pytest.approx(hinge, rel=1e-3)
    assert result["findings"].item() == pytest.approx(cross, rel=1e-4)
    total = error.mean() + 1.4 * cross + 0.5 * hinge  # half way through the run
    assert result["loss"].item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
def test_a_repeated_sample_is_in_no_loss(data, batch, fidelity):
    def rows(*kept):
        return replace(
            convert(batch, lambda array: array[list(kept)]), keys=[batch.keys[i] for i in kept]
        )

    padding = torch.tensor([False, False, False, True])
    found = losses(data, replace(rows(0, 1, 2, 0), is_padding=padding), fidelity=fidelity)
    assert found == pytest.approx(losses(data, rows(0, 1, 2), fidelity=fidelity), rel=1e-4)
    assert found != pytest.approx(losses(data, rows(0, 1, 2, 0), fidelity=fidelity), rel=1e-3)


def test_an_ablation_leaves_its_part_out(data, batch):
    whole = losses(data, batch)
    assert whole["contrast"] > 0
    assert whole["findings"] > 0
    for part in ("contrast", "findings"):
        left = losses(data, batch, without=[part])
        assert left[part] == 0
    alone = losses(data, batch, without=["window"])
    assert alone["contrast"] == alone["findings"] == 0


def test_without_a_window_the_record_does_not_matter(data, batch):
    task, _ = built(data, without=["window"])
    hours, is_hour = task.record_of(batch, "cpu")
    assert not is_hour.any()
    assert not hours.any()
    first, width = task.build().unet.config.in_channels, data.statistics.latent.channel_mean
    assert first == 2 * len(width)


def test_without_the_previous_film_the_unet_sees_the_noisy_target_alone(data, batch):
    task, model = built(data, without=["previous"])
    assert model.unet.config.in_channels == len(data.statistics.latent.channel_mean)
    other = replace(batch, previous=batch.previous + 1)
    with torch.inference_mode():
        assert torch.equal(task.generate(model, batch, 1), task.generate(model, other, 1))


def test_the_published_weight_of_the_hinge_is_a_staircase_of_epochs(data):
    length = {"epochs": 4, "steps": None}
    task = DdlCxr(ddl_cxr_settings(fidelity="published", length=length), data)
    weights = [task.contrast_weight(Moment(1, step, 8, torch.device("cpu"))) for step in range(8)]
    assert weights == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert list(task.averaged) == ["unet."]


@pytest.mark.parametrize("without", [[], ["previous"], ["window"]])
def test_a_sample_is_drawn_the_same_in_any_batch(data, batch, without):
    task, model = built(data, without=without)
    with torch.inference_mode():
        both = task.generate(model, batch, 7)
        alone = replace(convert(batch, lambda array: array[1:2]), keys=batch.keys[1:2])
        single = task.generate(model, alone, 7)
        again = task.generate(model, batch, 8)
    assert both.shape == batch.target[:, 0].shape
    assert torch.allclose(both[1:2], single, atol=1e-4)
    assert not torch.allclose(both, again)


def test_a_run_begins_with_an_imported_unet(data, tmp_path):
    """Of the folder that `cxrfuture import_unet` writes; one of another shape is refused."""
    _, model = built(data)
    model.unet.save_pretrained(tmp_path / "unet")
    task = DdlCxr(ddl_cxr_settings(unet_weights=str(tmp_path / "unet")), data)
    begun = task.build().unet.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in model.unet.state_dict().items())
    other = ddl_cxr_settings(unet_weights=str(tmp_path / "unet"), without=["previous"])
    with pytest.raises(ContractError, match="not of the UNet that the settings describe"):
        DdlCxr(other, data).build()

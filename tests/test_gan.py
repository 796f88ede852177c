"""The task `gan`: who learns from which loss, the penalty by hand, what it learns and draws."""

from dataclasses import replace

import pytest
import torch
import yaml
from ranks import run_ranks
from safetensors.torch import load_file
from tiny_build import build_dataset
from tiny_train import fit_settings

from cxrfuture_data import ContractError, View, open_dataset
from cxrfuture_data.batch import StayBatch, convert
from train.checkpoint import checkpoints
from train.drawer import open_drawer
from train.fit import fit
from train.gan import GanSettings, GanTask, gap_hours
from train.model.gan import slope_penalty
from train.task import Moment

AT = Moment(seed=3, step=4, steps=8, device=torch.device("cpu"))
LEVELS = {"channels": [8, 16], "res_blocks": 1, "norm_groups": 4}
OBJECTIVE = {
    "identity_weight": 100,
    "identity_hours": 48,
    "penalty_weight": 10,
    "critic_rate": 5,
}

pytestmark = pytest.mark.usefixtures("one_thread", "new_accelerator")


def gan_settings(**changes):
    value = {
        "task": "gan",
        "recipe": "ddl_cxr",
        "clip_norm": None,
        "select_by": "error",
        "patience": None,
        "fold": None,
        "unet": LEVELS,
        "critic": LEVELS,
        "history": {"width": 16, "feedforward": 16, "heads": 2, "layers": 1, "dropout": 0.0},
        "objective": OBJECTIVE,
    }
    return GanSettings.model_validate(fit_settings() | value | changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """15 training pairs with latents of 4 x 4 x 4."""
    return open_dataset(
        build_dataset(tmp_path_factory.mktemp("gan"), "ddl_cxr", shard={"workers": 1})
    )


@pytest.fixture(scope="module")
def batch(data):
    return next(iter(data.split("train", "pair").loader(4, "ddl_cxr.pair", seed=1)))


def built(data, **changes):
    """A task and its model, whose map is not 0 as a new one's is."""
    task = GanTask(gan_settings(**changes), data)
    torch.manual_seed(0)
    model = task.build().eval()
    torch.nn.init.normal_(model.generator.unet.conv_out.weight, std=0.1)
    return task, model


def rows_of(batch, rows):
    return replace(
        convert(batch, lambda array: array[rows]), keys=[batch.keys[row] for row in rows]
    )


def reached(model):
    """The networks that have a gradient which is not 0."""
    return {
        name.split(".")[0]
        for name, weight in model.named_parameters()
        if weight.grad is not None and weight.grad.any()
    }


@pytest.mark.parametrize(
    ("loss", "network"),
    [
        ("critic", "critic"),
        ("penalty", "critic"),
        ("adversarial", "generator"),
        ("identity", "generator"),
    ],
)
def test_a_loss_reaches_its_own_network_alone(data, batch, loss, network):
    task, model = built(data)
    task.losses_of(model, batch, AT)[loss].backward()
    assert reached(model) == {network}


def test_every_weight_learns_from_the_loss(data, batch):
    """Else several ranks would wait for a gradient."""
    task, model = built(data)
    task.losses_of(model, batch, AT)["loss"].backward()
    left = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert left == []


def test_the_error_is_watched_and_not_learnt_from(data, batch):
    task, model = built(data)
    assert not task.losses_of(model, batch, AT)["error"].requires_grad


def test_the_losses_add_up(data, batch):
    task, model = built(data)
    found = task.losses_of(model, batch, AT)
    assert tuple(found) == tuple(task.losses)
    total = found["critic"] + found["adversarial"]
    total = total + 100 * found["identity"] + 10 * found["penalty"]
    torch.testing.assert_close(found["loss"], total)


def test_a_new_model_copies_the_previous_film(data, batch):
    """Its map is 0: what it draws is the previous posterior's mean, and identity costs nothing."""
    task = GanTask(gan_settings(), data)
    model = task.build().eval()
    assert task.losses_of(model, batch, AT)["identity"] == 0
    found = task.generate(model, batch, 1)
    torch.testing.assert_close(found, batch.previous[:, 0].float(), atol=1e-4, rtol=1e-4)


def test_the_penalty_of_a_linear_critic_is_that_of_its_slope():
    """The score w . x has the slope w everywhere: of length 5, (5 - 1)^2; and d/dw (|w| - 1)^2 is
    2 (|w| - 1) w / |w|."""
    weight = torch.tensor([[3.0, 0.0], [0.0, 4.0]], requires_grad=True)
    latents = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    found = slope_penalty(lambda latent: (latent * weight).sum((1, 2, 3)), latents)
    torch.testing.assert_close(found, torch.full((3,), 16.0))
    found.mean().backward()
    torch.testing.assert_close(weight.grad, 2 * 4 * weight.detach() / 5)


def test_the_penalty_of_a_square_is_taken_where_asked():
    """|x|^2 / 2 has the slope x, of another length for each sample."""
    latents = torch.tensor([[3.0, 4.0], [0.0, 1.0]]).reshape(2, 1, 1, 2)
    found = slope_penalty(lambda latent: latent.square().sum((1, 2, 3)) / 2, latents)
    torch.testing.assert_close(found, torch.tensor([16.0, 0.0]))


def test_a_look_has_the_training_s_losses(data, batch):
    """The penalty needs a gradient where there is else none."""
    task, model = built(data)
    with torch.no_grad():
        looked = task.losses_of(model, batch, AT)
    for name, value in task.losses_of(model, batch, AT).items():
        torch.testing.assert_close(looked[name], value.detach())


def test_a_film_is_held_to_the_previous_one_by_the_gap(data):
    task = GanTask(gan_settings(), data)
    found = task.fade(torch.tensor([0.0, 48.0, 96.0]))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.3678794, 0.1353353]))


@pytest.mark.parametrize("rate", [2.0, 8.0])
def test_the_critic_learns_so_many_times_as_fast(data, batch, rate):
    """One step of Adam moves a weight by the learning rate: times the ratio in what it does."""
    moved = {}
    for critic_rate in (1.0, rate):
        task, model = built(data, objective=OBJECTIVE | {"critic_rate": critic_rate})
        before = [value.detach().clone() * critic_rate for value in model.critic.parameters()]
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
        found = task.losses_of(model, batch, AT)
        found["loss"].backward()
        optimiser.step()
        after = [value.detach() * critic_rate for value in model.critic.parameters()]
        moved[critic_rate] = max(
            (new - old).abs().max() for new, old in zip(after, before, strict=True)
        )
        moved[critic_rate, "critic"] = found["critic"].detach()
    torch.testing.assert_close(moved[rate] / moved[1.0], torch.tensor(rate), atol=0.02, rtol=0)
    torch.testing.assert_close(moved[rate, "critic"], moved[1.0, "critic"], atol=1e-5, rtol=1e-4)


def test_padded_hours_change_nothing(data, batch):
    task, model = built(data)
    more = torch.full((4, 5, batch.hours.shape[2]), 9.0)
    padded = replace(
        batch,
        hours=torch.cat([batch.hours, more], dim=1),
        is_hour=torch.cat([batch.is_hour, torch.zeros(4, 5, dtype=torch.bool)], dim=1),
    )
    expected = task.losses_of(model, batch, AT)
    for name, value in task.losses_of(model, padded, AT).items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-4)
    drawn = task.generate(model, padded, 1)
    torch.testing.assert_close(drawn, task.generate(model, batch, 1), atol=1e-5, rtol=1e-5)


def test_a_repeated_sample_is_in_no_loss(data, batch):
    task, model = built(data)
    padded = replace(
        rows_of(batch, [0, 1, 2, 0]), is_padding=torch.tensor([False, False, False, True])
    )
    expected = task.losses_of(model, rows_of(batch, [0, 1, 2]), AT)
    for name, value in task.losses_of(model, padded, AT).items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-4)


def test_the_record_and_the_gap_matter(data, batch):
    task, model = built(data)
    drawn = task.generate(model, batch, 1)
    for other in (
        replace(batch, hours=batch.hours + 1),
        replace(batch, gap_hours=batch.gap_hours * 2),
    ):
        assert not torch.allclose(task.generate(model, other, 1), drawn, atol=1e-4)


def test_the_error_falls_on_eight_samples(data):
    """Long after the previous film, when nothing holds to it, targets are 2 deviations lower."""
    batch = next(iter(data.split("train", "pair").loader(8, "ddl_cxr.pair", seed=1)))
    mean, logvar = batch.previous.float().unbind(1)
    batch = replace(
        batch,
        previous=torch.stack([mean, logvar - 20], dim=1),
        target=torch.stack([mean - 2 * mean.std(), logvar - 20], dim=1),
        gap_hours=torch.full((8,), 1000.0),
    )
    flat = {"channels": [8], "res_blocks": 1, "norm_groups": 4}
    task = GanTask(gan_settings(unet=flat, critic=flat), data)
    torch.manual_seed(0)
    model = task.build().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.0, 0.9))
    errors = []
    for step in range(60):
        found = task.losses_of(model, batch, replace(AT, step=step))
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
        errors.append(found["error"].item())
    assert errors[-1] < 0.5 * errors[0]


def test_a_latent_depends_on_its_sample_alone(data, batch):
    """Not on the seed either: there is no noise."""
    task, model = built(data)
    drawn = task.generate(model, batch, 7)
    assert drawn.shape == batch.target[:, 0].shape
    assert torch.equal(task.generate(model, batch, 7), drawn)
    assert torch.equal(task.generate(model, batch, 8), drawn)
    for rows in ([2], [3, 0]):
        part = task.generate(model, rows_of(batch, rows), 7)
        torch.testing.assert_close(part, drawn[rows], atol=1e-5, rtol=1e-5)


def test_a_stay_is_drawn_as_a_pair_of_its_film_gap_and_hours(data, batch):
    task, model = built(data)
    view = View(kind="stay", latents="posterior", hours=True)
    stays = next(iter(data.split("train", "stay").loader(4, view, seed=1)))
    assert isinstance(stays, StayBatch)
    assert gap_hours(stays) is stays.hours_since_previous
    pairs = replace(
        batch,
        previous=stays.previous,
        hours=stays.hours,
        is_hour=stays.is_hour,
        gap_hours=stays.hours_since_previous,
    )
    drawn = task.generate(model, stays, 1)
    assert torch.isfinite(drawn).all()
    assert torch.equal(drawn, task.generate(model, pairs, 1))


def test_too_many_levels_are_refused(data):
    levels = LEVELS | {"channels": [8, 8, 8, 8]}
    with pytest.raises(ContractError, match="4 levels, for which latents of 4 x 4 do not halve"):
        GanTask(gan_settings(unet=levels), data).build()


def test_a_dataset_without_hourly_values_is_refused(tmp_path):
    events = open_dataset(build_dataset(tmp_path, "ehrxdiff", shard={"workers": 1}))
    with pytest.raises(ContractError, match="recipe 'ehrxdiff' keeps no hourly record"):
        GanTask(gan_settings(), events)


def test_a_run_keeps_the_weights_of_the_least_error_and_draws(data, batch, tmp_path):
    fit(data.path, tmp_path, gan_settings(valid_steps=4, valid_samples=2), 5)
    drawn = open_drawer(tmp_path, data).draw(batch, 3)
    assert torch.isfinite(drawn).all()
    average = load_file(tmp_path / "best" / "average.safetensors")
    assert {name.split(".")[0] for name in average} == {"generator"}


@pytest.mark.slow
def test_two_ranks_train_as_one(data, tmp_path):
    """Real processes over gloo, with the gradient of a gradient. Adam's first moment is the
    averaged gradient where nothing decays."""
    settings = gan_settings(length={"epochs": None, "steps": 2})
    (tmp_path / "gan.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    fit(data.path, tmp_path / "one", settings, 5)
    place = ["--dataset", data.path, "--out", tmp_path / "two"]
    said = run_ranks(2, "cxrfuture", ["train", tmp_path / "gan.yaml", "--seed", 5, *place])
    assert "2 ranks" in said
    one, two = (
        load_file(checkpoints(tmp_path / name)[-1] / "optimiser.safetensors")
        for name in ("one", "two")
    )
    moments = {name: value for name, value in one.items() if name.startswith("exp_avg/")}
    assert {name.split("/")[1].split(".")[0] for name in moments} == {"generator", "critic"}
    for name, value in moments.items():
        torch.testing.assert_close(two[name], value, atol=1e-4, rtol=1e-3, msg=name)

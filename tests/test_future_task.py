"""The task `future` on a tiny dataset: its losses, what it learns, and what it draws."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from tiny_build import build_dataset
from tiny_future import future_settings, make_known, pad

from cxrfuture_data import ContractError, open_dataset
from train import draw, flow
from train.diffusion import posterior_sample
from train.drawer import open_drawer
from train.fit import fit
from train.future import (
    Future,
    FutureSettings,
    changes_loss,
    draw_given,
    findings_loss,
    guided_velocity,
)
from train.model.known import MODALITIES, Known
from train.task import Moment
from train.tasks import read_task_settings


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """15 training pairs, with latents of 4 x 4 x 4."""
    return open_dataset(
        build_dataset(tmp_path_factory.mktemp("future"), "future", shard={"workers": 1})
    )


def task_of(data, **changes):
    return Future(future_settings(**changes), data)


def build(task, seed=1):
    """A model whose zeroed layers are random too."""
    torch.manual_seed(seed)
    model = task.build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():
                weight.normal_(0, 0.1)
    return model


def batch_of(task, count=8, split="train"):
    pairs = task.data.split(split, "pair")
    first = pairs.where(np.arange(len(pairs)) < count)
    return next(iter(first.loader(count, task.view, training=False)))


def rows_of(batch, rows):
    found = {
        field.name: getattr(batch, field.name)[rows]
        for field in fields(batch)
        if field.name != "keys"
    }
    return replace(batch, keys=[batch.keys[row] for row in rows], **found)


def moment(step=0, purpose="train"):
    return Moment(seed=5, step=step, steps=8, device=torch.device("cpu"), purpose=purpose)


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def mean_of_samples(each, known):
    return np.mean([row[is_known].mean() for row, is_known in zip(each, known, strict=True)])


def test_losses_are_those_of_a_few_lines_of_numpy():
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 14)).astype(np.float32)
    labels = random.integers(-1, 2, (3, 14)).astype(np.int8)
    known = random.random((3, 14)) < 0.6
    said = known & (labels != -1)
    chance = sigmoid(logits)
    each = -np.log(np.where(labels == 1, chance, 1 - chance))
    found = findings_loss(*map(torch.from_numpy, (logits, labels, known)))
    assert found.mean().item() == pytest.approx(mean_of_samples(each, said), rel=1e-5)

    logits = random.normal(size=(3, 14, 5)).astype(np.float32)
    changes = random.integers(0, 5, (3, 14)).astype(np.int8)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    each = -np.log(np.take_along_axis(shares, changes[..., None].astype(int), -1)[..., 0])
    found = changes_loss(*map(torch.from_numpy, (logits, changes, known)))
    assert found.mean().item() == pytest.approx(mean_of_samples(each, known), rel=1e-5)


def test_the_parts_of_a_batch_have_its_losses():
    """As on two ranks, whichever labels are known on each."""
    random = torch.Generator().manual_seed(3)
    logits, known = torch.randn(4, 14, generator=random), torch.rand(4, 14, generator=random) < 0.3
    labels = (torch.rand(4, 14, generator=random) < 0.5).to(torch.int8)
    whole = findings_loss(logits, labels, known)
    parts = [findings_loss(logits[at], labels[at], known[at]) for at in (slice(2), slice(2, 4))]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_no_known_label_costs_nothing():
    none = torch.zeros(2, 14, dtype=torch.bool)
    labels = torch.zeros(2, 14, dtype=torch.int8)
    assert not findings_loss(torch.ones(2, 14), labels, none).any()
    assert not changes_loss(torch.ones(2, 14, 5), labels, none).any()


def test_a_repeated_sample_is_in_no_loss(data):
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    padded = replace(
        rows_of(batch, [0, 1, 2, 0]), is_padding=torch.tensor([False, False, False, True])
    )
    expected = task.losses_of(model, rows_of(batch, [0, 1, 2]), moment())
    for name, value in task.losses_of(model, padded, moment()).items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-4)


def test_the_loss_is_the_weighted_sum_of_its_parts(data):
    task = task_of(data)
    found = task.losses_of(build(task), batch_of(task), moment())
    assert tuple(found) == tuple(task.losses)
    total = found["velocity"] + 0.5 * found["findings"] + 0.25 * found["changes"]
    torch.testing.assert_close(found["loss"], total)


def test_a_new_model_pays_the_spread_of_target_and_noise(data):
    """It predicts a velocity of 0, so its error is the mean square of target - noise."""
    task = task_of(data)
    batch = batch_of(task)
    found = task.losses_of(task.build(), batch, moment())["velocity"]
    randoms = draw.generators(batch.keys, "train", 5, 0)
    draw.draw_normal(randoms, (4, 4, 4))  # of the previous latent
    mean, std = (
        np.array(getattr(data.statistics.latent, f"channel_{name}"))[:, None, None]
        for name in ("mean", "std")
    )
    target = (
        posterior_sample(batch.target, draw.draw_normal(randoms, (4, 4, 4))).numpy() - mean
    ) / std
    noise = draw.draw_normal(randoms, (4, 4, 4)).numpy()
    assert found.item() == pytest.approx(np.square(target - noise).mean(), rel=1e-5)


def test_the_loss_depends_on_step_and_not_on_the_batch_s_order(data):
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    turned = rows_of(batch, list(reversed(range(8))))
    one = task.losses_of(model, batch, moment())["loss"]
    torch.testing.assert_close(task.losses_of(model, turned, moment())["loss"], one)
    assert task.losses_of(model, batch, moment(step=1))["loss"] != one


def test_modalities_are_dropped_as_often_as_asked_and_only_in_training(data):
    drop = {"previous": 0.0, "hours": 0.5, "events": 0.25, "demographics": 0.9}
    task = task_of(data, drop=drop)
    randoms = draw.generators([str(i) for i in range(2000)], 1)
    given = draw_given(task.settings.use, task.settings.drop, randoms)
    assert (~given).float().mean(0).tolist() == pytest.approx(list(drop.values()), abs=0.04)
    model, batch = build(task), batch_of(task)
    never = task_of(data, drop=dict.fromkeys(MODALITIES, 0.0))
    look = moment(purpose="valid")
    assert task.losses_of(model, batch, look)["loss"] == never.losses_of(model, batch, look)["loss"]
    assert (
        task.losses_of(model, batch, moment())["loss"]
        != never.losses_of(model, batch, moment())["loss"]
    )


def test_eight_samples_are_learnt_by_heart(data):
    """Each target is one number, by which they differ: so the flow must end near its own."""
    task = task_of(
        data,
        model=future_settings().model.model_dump() | {"width": 32},
        drop=dict.fromkeys(MODALITIES, 0.0),
    )
    batch = batch_of(task)
    torch.manual_seed(0)
    model = task.build().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.99))
    for step in range(100):
        losses = task.losses_of(model, batch, moment(step))
        optimiser.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    assert losses["findings"] < 0.1  # of log 2 at the start
    assert losses["changes"] < 0.1  # of log 5
    made = task.standardise(task.generate(model.eval(), batch, 1)).mean((1, 2, 3))
    targets = task.standardise(batch.target[:, 0].float()).mean((1, 2, 3))
    assert targets.var() > 0.5
    assert (made - targets).square().mean() < 0.05


def test_a_drawn_latent_has_the_dataset_s_scale(data):
    """A model that stands still returns its noise, which the dataset's moments then scale."""
    task = task_of(data)
    batch = batch_of(task)
    found = task.generate(task.build().eval(), batch, 7)
    noise = draw.draw_normal(draw.generators(batch.keys, "generate", 7), (4, 4, 4))
    torch.testing.assert_close(task.standardise(found), noise, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_sample_depends_on_seed_and_key_alone(data, guidance):
    task = task_of(data, guidance=dict.fromkeys(MODALITIES, guidance))
    model, batch = build(task), batch_of(task)
    found = task.generate(model, batch, 3)
    assert torch.equal(task.generate(model, batch, 3), found)
    assert not torch.allclose(task.generate(model, batch, 4), found, atol=0.01)
    for rows in ([5], [7, 0, 3]):
        part = task.generate(model, rows_of(batch, rows), 3)
        torch.testing.assert_close(part, found[rows], atol=1e-5, rtol=1e-5)


def test_a_sample_does_not_depend_on_padding(data):
    task = task_of(data)
    model = build(task)
    batch = batch_of(task)
    known = Known.of(batch, batch.previous[:, 0].float(), torch.ones(8, 4, dtype=torch.bool))
    noise = torch.randn(8, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    found = []
    with torch.no_grad():
        for given in (known, pad(known, 11, 13)):
            velocity = guided_velocity(model, given, task.settings.guidance)
            found.append(flow.integrate(velocity, noise, task.settings.sampler))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)


def test_guidance_of_1_is_the_model_s_own_prediction(data):
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    known = Known.of(batch, batch.previous[:, 0].float(), torch.ones(8, 4, dtype=torch.bool))
    noisy, time = torch.randn(8, 4, 4, 4), torch.full((8,), 0.4)
    with torch.no_grad():
        expected = model(noisy, time, known).velocity
        found = guided_velocity(model, known, task.settings.guidance)(noisy, time)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        scales = task.settings.guidance.model_copy(update={"hours": 3.0, "events": 0.5})
        without = [
            model(noisy, time, known.without([name])).velocity for name in ("hours", "events")
        ]
        guided = expected + 2 * (expected - without[0]) - 0.5 * (expected - without[1])
        found = guided_velocity(model, known, scales)(noisy, time)
    torch.testing.assert_close(found, guided, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", MODALITIES)
def test_what_is_not_used_changes_nothing(data, name):
    """Neither in training nor after; hours and events are not even read."""
    use = dict.fromkeys(MODALITIES, True) | {name: False}
    task, whole = task_of(data, use=use), task_of(data)
    assert (task.view.hours, task.view.events != "none") == (name != "hours", name != "events")
    model, batch = build(task), batch_of(whole)
    emptied = batch_of(task)
    changed = rows_of(batch, [1, 2, 3, 4, 5, 6, 7, 0])
    fields = {
        "previous": ["previous"],
        "hours": ["hours", "is_hour"],
        "events": ["event", "event_hours", "event_end_hours", "event_table"],
        "demographics": ["age", "is_male", "bmi", "comorbidities"],
    }[name]
    swapped = replace(batch, **{field: getattr(changed, field) for field in fields})
    found = task.generate(model, batch, 3)
    for other in (emptied, swapped):
        torch.testing.assert_close(task.generate(model, other, 3), found, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(whole.generate(model, batch, 3), found, atol=1e-4)


def test_a_posterior_without_spread_is_its_mean():
    posterior = torch.stack([torch.full((2, 1, 2, 2), 3.0), torch.full((2, 1, 2, 2), -60.0)], 1)
    randoms = draw.generators(["a", "b"], 1)
    found = posterior_sample(posterior, draw.draw_normal(randoms, (1, 2, 2)))
    torch.testing.assert_close(found, torch.full((2, 1, 2, 2), 3.0))


def test_a_patch_that_does_not_divide_is_refused(data):
    model = future_settings().model.model_dump() | {"patch": 3}
    with pytest.raises(ContractError, match=r"patch 3 does not divide latents of 4 x 4"):
        task_of(data, model=model).build()


@pytest.mark.parametrize("name", ["future", "future-tiny"])
def test_shipped_settings_are_whole(name):
    settings = read_task_settings(name)
    assert isinstance(settings, FutureSettings)
    assert settings.task == "future"
    assert settings.sampler.evaluations == 20


def test_known_takes_every_field_of_a_batch():
    known = make_known()
    assert known.repeat(3).previous.shape[0] == 6
    hidden = known.without([None, "hours"]).is_given
    assert hidden.tolist() == [[True] * 4] * 2 + [[True, False, True, True]] * 2


@pytest.mark.slow
def test_the_loop_trains_it_and_a_run_s_weights_draw(data, tmp_path):
    """By the averaged weights of the best checkpoint."""
    fit(data.path, tmp_path, future_settings(valid_steps=4, valid_samples=2), 5)
    drawer = open_drawer(tmp_path, data)
    batch = batch_of(drawer.task, 2, "valid")
    found = drawer.draw(batch, 3)
    assert found.shape == (2, 4, 4, 4)
    assert torch.isfinite(found).all()

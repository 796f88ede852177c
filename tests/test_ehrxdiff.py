"""EHRXDiff: its seven conditions, its loss, and what it draws."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from tiny_build import add_null_event, write_build
from tiny_ehrxdiff import (
    EVENTS,
    MOST_EVENTS,
    ROWS,
    batch_of,
    build_events,
    build_model,
    clip_settings,
    ehrxdiff_settings,
    fit_briefly,
    moment,
    rows_of,
    shake,
    with_random_events,
)

from cxrfuture_data import open_dataset
from cxrfuture_data.schema import ContractError
from etl import shard
from etl.recipe import read_recipe
from train.clip import ClipTask
from train.diffusion import schedule
from train.draw import draw_normal, draw_timestep, generators
from train.ehrxdiff import BETA_LAST, EhrxdiffSettings, EhrxdiffTask
from train.model.adaptor import InputSizes
from train.model.event_denoiser import EventDenoiser
from train.tasks import read_task_settings

SHIPPED = ("ehrxdiff", "ehrxdiff-null", "ehrxdiff-tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return open_dataset(build_events(tmp_path_factory.mktemp("events")))


@pytest.fixture(scope="module")
def task(data):
    return EhrxdiffTask(ehrxdiff_settings(), data)


def row_task(data, attend, concatenate, **changes):
    conditioned = {"attend": attend, "concatenate": concatenate}
    return EhrxdiffTask(ehrxdiff_settings(conditioned, **changes), data)


def test_the_schedule_is_the_published_one():
    kept = schedule(BETA_LAST).alphas_cumprod
    assert kept[0].item() == pytest.approx(0.9985)
    assert kept[499].item() == pytest.approx(0.061853, rel=1e-4)
    assert kept[999].item() == pytest.approx(3.1514e-6, rel=1e-3)
    scheduler = schedule(BETA_LAST)
    scheduler.set_timesteps(read_task_settings("ehrxdiff").sampler.steps)
    assert scheduler.timesteps.tolist() == list(range(991, 0, -10))


@pytest.mark.parametrize(
    ("attend", "concatenate", "parameters"),
    [
        (["events", "film", "latent"], False, 505_780_355),
        (["events", "film"], True, 505_786_403),
        ([], True, 329_673_571),
    ],
)
def test_the_unet_has_the_published_number_of_parameters(attend, concatenate, parameters):
    settings = read_task_settings("ehrxdiff")
    condition = settings.condition.model_copy(update={"attend": attend, "concatenate": concatenate})
    with torch.device("meta"):
        model = EventDenoiser(settings.unet, condition, InputSizes((3, 64, 64), 1536), "corrected")
    assert sum(weight.numel() for weight in model.unet.parameters()) == parameters
    heads = {module.heads for module in model.unet.modules() if hasattr(module, "to_q")}
    assert heads == {8}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_settings_name_a_recipe(name):
    settings = read_task_settings(name)
    assert isinstance(settings, EhrxdiffSettings)
    has_null = bool(read_recipe(settings.recipe).cohort.null_event_samples)
    assert has_null == (name == "ehrxdiff-null")


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
@pytest.mark.parametrize(("attend", "concatenate"), ROWS)
def test_every_row_of_table_iv_trains_and_draws(data, attend, concatenate, fidelity):
    words = [f"condition.attend={attend}", f"condition.concatenate={str(concatenate).lower()}"]
    assert read_task_settings("ehrxdiff", words).condition.attend == attend
    task = row_task(data, attend, concatenate, fidelity=fidelity)
    batch = batch_of(task, 3)
    assert batch.previous_film.shape[2] == (32 if "film" in attend else 0)
    assert batch.event.shape[1] == (3 if "events" in attend else 0)
    model = shake(build_model(task))
    loss = task.losses_of(model, batch, moment())["loss"]
    loss.backward()
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
    drawn = task.generate(model.eval(), batch, seed=1)
    assert drawn.shape == (3, 4, 4, 4)
    assert drawn.isfinite().all()


def test_training_starts_from_no_noise_at_all(data):
    for attend, concatenate in ROWS:
        task = row_task(data, attend, concatenate)
        batch = batch_of(task, 2)
        condition = task.condition(batch, torch.device("cpu"))
        predicted = build_model(task)(batch.target[:, 0].float(), torch.tensor([5, 6]), condition)
        assert predicted.abs().max() == 0


def test_the_condition_is_unscaled_and_the_target_is_not(task):
    """The dataset's scale is 0.5; sample i's latents are one number everywhere."""
    batch = batch_of(task, 3)
    stored = batch.previous[:, 0, 0, 0, 0].float()
    assert stored.min() > 0
    latent = task.condition(batch, torch.device("cpu")).latent
    assert torch.equal(latent, (2 * stored)[:, None, None, None].expand(3, 4, 4, 4))


@torch.no_grad()
def test_the_loss_is_that_of_the_formula(task):
    batch, at = batch_of(task, 3), moment(step=7)
    model = shake(build_model(task)).eval()
    randoms = generators(batch.keys, "train", at.seed, 7)
    timestep = draw_timestep(randoms, 1000)
    noise, spread = (draw_normal(randoms, (4, 4, 4)).numpy() for _ in range(2))
    mean, logvar = batch.target.float().numpy().swapaxes(0, 1)
    roots = np.linspace(np.sqrt(0.0015), np.sqrt(0.0295), 1000)
    kept = np.cumprod(1 - roots**2)[timestep.numpy()][:, None, None, None]
    noisy = np.sqrt(kept) * (mean + np.exp(logvar / 2) * spread) + np.sqrt(1 - kept) * noise
    condition = task.condition(batch, at.device)
    predicted = model(torch.from_numpy(noisy).float(), timestep, condition).numpy()
    found = task.losses_of(model, batch, at)["loss"].item()
    assert found == pytest.approx(((noise - predicted) ** 2).mean(), rel=1e-4)


@torch.no_grad()
def test_repetitions_that_fill_a_batch_do_not_count(task):
    model, batch = shake(build_model(task)).eval(), batch_of(task, 3)
    padded = replace(batch, is_padding=torch.tensor([False, False, True]))
    found = task.losses_of(model, padded, moment())["loss"].item()
    alone = task.losses_of(model, rows_of(batch, [0, 1]), moment())["loss"].item()
    assert found == pytest.approx(alone, rel=1e-5)


def test_eight_samples_are_learned(task):
    batch = with_random_events(batch_of(task, 8), [3, 1, 2, 0, 4, 5, 6, 1])
    losses = fit_briefly(task, build_model(task).train(), batch, steps=45, rate=1e-2)
    assert losses[0] > 0.8
    assert np.mean(losses[-10:]) < 0.4


@torch.no_grad()
def test_a_drawn_latent_depends_on_its_sample_and_the_seed_alone(task):
    batch = with_random_events(batch_of(task, 3), [1, 3, 5])
    model = shake(build_model(task)).eval()
    together = task.generate(model, batch, seed=1)
    short = rows_of(batch, [0])
    alone = replace(short, event=short.event[:, :1], is_event=short.is_event[:, :1])
    assert torch.allclose(together[:1], task.generate(model, alone, seed=1), atol=1e-4)
    assert torch.equal(together, task.generate(model, batch, seed=1))
    backwards = task.generate(model, rows_of(batch, [2, 1, 0]), seed=1)
    assert torch.allclose(together, backwards.flip(0), atol=1e-4)
    assert not torch.allclose(together, task.generate(model, batch, seed=2), atol=1e-2)


@torch.no_grad()
def test_film_latent_and_events_all_matter(task):
    batch = with_random_events(batch_of(task, 1), [3])
    model = shake(build_model(task)).eval()
    usual = task.generate(model, batch, seed=1)
    for name, value in {
        "previous": batch.previous + 1,
        "previous_film": 255 - batch.previous_film,
        "event": batch.event + 1,
    }.items():
        changed = task.generate(model, replace(batch, **{name: value}), seed=1)
        assert not torch.allclose(usual, changed, atol=1e-4), name


@pytest.mark.parametrize("attend", [["events"], ["events", "film", "latent"]])
@torch.no_grad()
def test_windows_without_any_event_are_drawn(data, attend):
    task = row_task(data, attend, concatenate=False)
    batch = batch_of(task, 2)
    none = replace(batch, event=batch.event[:, :0], is_event=batch.is_event[:, :0])
    masked = replace(batch, is_event=torch.zeros_like(batch.is_event))
    model = shake(build_model(task)).eval()
    drawn = task.generate(model, none, seed=1)
    assert drawn.isfinite().all()
    assert torch.allclose(drawn, task.generate(model, masked, seed=1), atol=1e-4)


@torch.no_grad()
def test_guidance_goes_from_no_events_towards_the_events(data):
    def draw(guidance, batch):
        sampler = {"steps": 1, "eta": 0.0, "guidance": guidance}
        task = row_task(data, ["events", "latent"], concatenate=False, sampler=sampler)
        return task.generate(shake(build_model(task), spread=0.4).eval(), batch, seed=1)

    task = row_task(data, ["events", "latent"], concatenate=False)
    batch = with_random_events(batch_of(task, 2), [3, 2])
    without = draw(1.0, replace(batch, is_event=torch.zeros_like(batch.is_event)))
    usual = draw(1.0, batch)
    assert not torch.allclose(usual, without, atol=1e-2)
    assert torch.allclose(draw(0.0, batch), without, atol=1e-4)
    assert torch.allclose(draw(3.0, batch), without + 3 * (usual - without), atol=1e-3)


@torch.no_grad()
def test_events_are_dropped_in_training_alone(data):
    task = row_task(data, ["events", "latent"], concatenate=False, event_dropout=0.5)
    batch = with_random_events(batch_of(task, 8), [3] * 8)
    other = replace(batch, event=batch.event + 1)
    model = shake(build_model(task)).eval()

    def is_same(purpose):
        found = []
        for row in range(8):
            losses = [
                task.losses_of(model, rows_of(b, [row]), moment(purpose=purpose))["loss"].item()
                for b in (batch, other)
            ]
            found.append(losses[0] == losses[1])
        return found

    assert 0 < sum(is_same("train")) < 8
    assert not any(is_same("valid"))


@pytest.mark.parametrize(
    ("conditioned", "changes", "problem"),
    [
        ({"attend": ["film"]}, {"event_dropout": 0.1}, "need events"),
        ({"attend": ["film", "film"]}, {}, "named twice"),
        ({"attend": [], "concatenate": False}, {}, "attend to a source"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(conditioned, changes, problem):
    with pytest.raises(ValidationError, match=problem):
        ehrxdiff_settings(conditioned, **changes)


@pytest.mark.parametrize(("fidelity", "prefix"), [("corrected", ""), ("published", "unet.")])
def test_as_published_the_unet_alone_is_averaged(data, fidelity, prefix):
    assert EhrxdiffTask(ehrxdiff_settings(fidelity=fidelity), data).averaged == (prefix,)


@torch.no_grad()
def test_null_events_are_nothing_or_as_published_zeros_that_count(tmp_path):
    params, recipe = write_build(
        tmp_path, "ehrxdiff_null", shard={"workers": 1, "keep_films": "png"}
    )
    add_null_event(params.build(recipe.name), 1)
    shard.run(params, recipe)
    data = open_dataset(params.build(recipe.name, "shard"))
    for fidelity, events in (("corrected", 0), ("published", MOST_EVENTS)):
        task = EhrxdiffTask(ehrxdiff_settings(fidelity=fidelity), data)
        batch = batch_of(task, 16)
        null = rows_of(batch, batch.is_null_event.nonzero()[:, 0].tolist())
        assert null.is_event.sum(1).tolist() == [events]
        assert torch.equal(null.previous, null.target)
        assert task.generate(shake(build_model(task)).eval(), null, seed=1).isfinite().all()


def test_encoders_begin_with_those_of_a_clip_run(data, tmp_path):
    clip = shake(build_model(ClipTask(clip_settings(), data)), seed=9)
    folder = tmp_path / "best"
    folder.mkdir()
    save_file(clip.state_dict(), folder / "model.safetensors")
    save_file({}, folder / "average.safetensors")
    (folder / "state.json").write_text(json.dumps({}))
    for attend in (["film"], ["events", "film", "latent"]):
        task = row_task(data, attend, concatenate=False, clip=str(tmp_path))
        adaptor = build_model(task).adaptor
        found = adaptor.state_dict()
        for name, value in clip.state_dict().items():
            if name in found:
                assert torch.equal(found[name], value)
        assert any(name.startswith("film.") for name in found)
    other = {"events": EVENTS | {"feedforward": 8}}
    with pytest.raises(ContractError, match="train clip with the same width"):
        EhrxdiffTask(ehrxdiff_settings(other, clip=str(tmp_path)), data).build()


def test_a_dataset_without_events_is_refused(tmp_path):
    hourly = open_dataset(build_events(tmp_path, "ddl_cxr"))
    with pytest.raises(ContractError, match="recipe 'ddl_cxr' keeps no events"):
        row_task(hourly, ["events"], concatenate=False).build()
    row_task(hourly, [], concatenate=True).build()

"""Contrastive pre-training: its loss, its negatives, and that ranks do not matter."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from clip_rank import write_gradients
from safetensors.torch import load_file
from tiny_build import add_null_event, write_build
from tiny_ehrxdiff import (
    MOST_EVENTS,
    batch_of,
    build_events,
    build_model,
    clip_settings,
    fit_briefly,
    moment,
    rows_of,
    shake,
    with_random_events,
)

from cxrfuture_data import open_dataset
from cxrfuture_data.schema import ContractError
from etl import shard
from train.clip import LIMIT, ClipSettings, ClipTask, film_ids
from train.model.event import pad_events
from train.tasks import read_task_settings

LENGTHS = [3, 1, 2, 6, 4, 5, 6, 1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return open_dataset(build_events(tmp_path_factory.mktemp("events")))


@pytest.fixture(scope="module")
def task(data):
    return ClipTask(clip_settings(), data)


def distinct(task, count):
    """Pairs whose films and windows all differ."""
    batch = batch_of(task, count)
    random = torch.Generator().manual_seed(4)
    films = torch.randint(256, batch.previous_film.shape, generator=random).to(torch.uint8)
    previous = torch.randn(batch.previous.shape, generator=random).half()
    batch = replace(batch, previous_film=films, previous=previous)
    return with_random_events(batch, LENGTHS[:count])


def losses_by_hand(model, batch, is_negative):
    """Both directions' in NumPy; ``is_negative`` (B, B) says which of the others count."""
    embedded = model(batch.previous_film, batch.event, batch.is_event)
    film, window = (side.detach().double().numpy() for side in (embedded.film, embedded.window))
    film, window = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (film, window))
    weight = np.exp(embedded.scale.item() * film @ window.T) * np.maximum(
        is_negative, np.eye(len(film))
    )
    films = -np.log(np.diag(weight) / weight.sum(1)).mean()
    events = -np.log(np.diag(weight) / weight.sum(0)).mean()
    return [(films + events) / 2, films, events]


@torch.no_grad()
def test_the_loss_is_a_symmetric_cross_entropy(task):
    model, batch = shake(build_model(task)).eval(), distinct(task, 4)
    found = task.losses_of(model, batch, moment())
    wanted = losses_by_hand(model, batch, np.ones((4, 4)))
    assert list(found) == ["loss", "films_find_events", "events_find_films"]
    assert [value.item() for value in found.values()] == pytest.approx(wanted, rel=1e-4)


@torch.no_grad()
def test_other_pairs_of_the_same_film_are_no_negatives(data):
    is_same = np.zeros((4, 4), bool)
    is_same[0, 2] = is_same[2, 0] = True
    for fidelity, is_negative in (("corrected", ~is_same), ("published", np.ones((4, 4)))):
        task = ClipTask(clip_settings(fidelity=fidelity), data)
        batch = distinct(task, 4)
        previous = batch.previous[torch.tensor([0, 1, 0, 3])]  # augmented, its pixels differ
        batch = replace(batch, previous=previous)
        model = shake(build_model(task)).eval()
        found = task.losses_of(model, batch, moment())["loss"].item()
        assert found == pytest.approx(losses_by_hand(model, batch, is_negative)[0], rel=1e-4)


def test_a_film_is_known_by_its_latent(task):
    """Each of a patient's two pairs begins with another film."""
    batch = batch_of(task, 15)
    ids = film_ids(batch.previous)
    assert len(set(ids.tolist())) == len(set(batch.previous[:, 0, 0, 0].tolist())) == 15
    assert torch.equal(film_ids(batch.previous.clone()), ids)


@torch.no_grad()
def test_repetitions_that_fill_a_batch_do_not_count(task):
    model, batch = shake(build_model(task)).eval(), distinct(task, 4)
    padded = replace(batch, is_padding=torch.tensor([False, False, False, True]))
    found = task.losses_of(model, padded, moment())["loss"].item()
    alone = task.losses_of(model, rows_of(batch, [0, 1, 2]), moment())["loss"].item()
    assert found == pytest.approx(alone, rel=1e-5)


@torch.no_grad()
def test_padding_changes_nothing_but_as_published(data):
    for fidelity in ("corrected", "published"):
        task = ClipTask(clip_settings(fidelity=fidelity), data)
        model, batch = shake(build_model(task)).eval(), distinct(task, 2)
        event, is_event = pad_events(batch.event, batch.is_event, MOST_EVENTS)
        windows = [
            model(batch.previous_film, *given).window
            for given in ((batch.event, batch.is_event), (event, is_event))
        ]
        assert torch.allclose(*windows, atol=1e-5)
        tokens, _ = model.events(event, is_event)
        sums = (tokens * is_event[..., None]).sum(1) / is_event.sum(1, keepdim=True)
        assert torch.allclose(windows[0], sums, atol=1e-5) == (fidelity == "corrected")


@pytest.mark.parametrize(("fidelity", "used"), [("corrected", LIMIT), ("published", 5.0)])
@torch.no_grad()
def test_the_scale_is_clamped(data, fidelity, used):
    task = ClipTask(clip_settings(fidelity=fidelity), data)
    model, batch = build_model(task), batch_of(task, 2)
    assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    model.logit_scale.fill_(5.0)
    scale = model(batch.previous_film, batch.event, batch.is_event).scale
    assert scale.item() == pytest.approx(math.exp(used))
    assert model.logit_scale.item() == pytest.approx(math.log(100))


def test_eight_samples_are_learned(task):
    model, batch = build_model(task), distinct(task, 8)
    losses = fit_briefly(task, model, batch, steps=60, rate=3e-3)
    assert losses[0] > 1.0
    assert losses[-1] < 0.2


def test_it_learns_from_pairs_with_events(tmp_path):
    params, recipe = write_build(
        tmp_path, "ehrxdiff_null", shard={"workers": 1, "keep_films": "png"}
    )
    key = add_null_event(params.build(recipe.name), 1)
    shard.run(params, recipe)
    data = open_dataset(params.build(recipe.name, "shard"))
    split = data.split("train", "pair")
    kept = ClipTask(clip_settings(), data).select(split)
    assert len(kept) == len(split) - 1
    assert key not in {kept.key(i) for i in range(len(kept))}


def test_films_are_cropped_in_training(task):
    samples = task.select(task.data.split("train", "pair"))
    assert task.view.augment == {"previous": "random_resized_crop"}
    assert next(iter(samples.loader(4, task.view))).previous_film.shape == (4, 1, 32, 32)


def test_a_dataset_without_films_is_refused(tmp_path):
    params, recipe = write_build(tmp_path, "ehrxdiff", shard={"workers": 1, "keep_films": "none"})
    shard.run(params, recipe)
    data = open_dataset(params.build(recipe.name, "shard"))
    with pytest.raises(ContractError, match="the dataset keeps none"):
        ClipTask(clip_settings(), data).build()


@pytest.mark.parametrize("name", ["clip", "clip-tiny"])
def test_shipped_settings_are_read(name):
    assert isinstance(read_task_settings(name), ClipSettings)


def test_two_ranks_give_the_gradient_of_one(task, tmp_path):
    """Each finds its own among the negatives of both; the first and the sixth are of one film."""
    batch = distinct(task, 8)
    previous = batch.previous[torch.tensor([0, 1, 2, 3, 4, 0, 6, 7])]
    batch = replace(batch, previous=previous)
    model = shake(build_model(task)).eval()
    halves = [rows_of(batch, rows) for rows in ([0, 1, 2, 3], [4, 5, 6, 7])]
    # Forked by a server that imports once what both need.
    torch.multiprocessing.set_forkserver_preload(["train.tasks"])
    torch.multiprocessing.start_processes(
        write_gradients, (task, model, halves, tmp_path), nprocs=2, start_method="forkserver"
    )
    found = load_file(tmp_path / "gradients.safetensors")
    task.losses_of(model, batch, moment())["loss"].backward()
    for name, weight in model.named_parameters():
        nearly = 1e-4 * weight.grad.abs().max().clamp(min=1e-3).item()
        assert torch.allclose(found[name], weight.grad, atol=nearly), name
    assert model.logit_scale.grad.abs() > 1e-4

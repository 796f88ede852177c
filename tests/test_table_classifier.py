"""The table classifier: labels of the target from events or hours alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_build import build_dataset
from tiny_ehrxdiff import (
    MOST_EVENTS,
    batch_of,
    build_events,
    build_model,
    fit_briefly,
    moment,
    rows_of,
    shake,
    table_settings,
    with_random_events,
)

from cxrfuture_data import open_dataset
from cxrfuture_data.labels import ATTRIBUTES
from cxrfuture_data.schema import FINDINGS, ContractError
from train.model.event import pad_events
from train.table_classifier import (
    TableClassifier,
    TableClassifierSettings,
    TableClassifierTask,
)
from train.tasks import read_task_settings


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return open_dataset(build_events(tmp_path_factory.mktemp("events")))


@pytest.fixture(scope="module")
def hourly(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hours")
    return open_dataset(build_dataset(folder, "ddl_cxr", shard={"workers": 1}))


def task_of(data, **changes):
    return TableClassifierTask(table_settings(**changes), data)


def with_labels(batch, values, is_known):
    labels = torch.tensor(values, dtype=torch.int8)
    return replace(batch, labels=labels, label_known=torch.tensor(is_known))


def test_the_loss_is_a_mean_over_known_labels_and_then_over_samples(data):
    task = task_of(data)
    model = shake(build_model(task)).eval()
    batch = batch_of(task, 2)
    values = np.array([[1, 0, -1, 0] + [0] * 10, [1] + [0] * 13])
    is_known = np.array([[True, True, True, False] + [False] * 10, [True] + [False] * 13])
    batch = with_labels(batch, values, is_known)
    chance = task.predict(model, batch).double().numpy()
    first = -(math.log(chance[0, 0]) + math.log(1 - chance[0, 1])) / 2  # -1 and unsaid left out
    second = -math.log(chance[1, 0])
    loss = task.losses_of(model, batch, moment())["loss"].item()
    assert loss == pytest.approx((first + second) / 2, rel=1e-4)


def test_as_published_what_is_not_said_is_absent(data):
    task = task_of(data, fidelity="published")
    model = shake(build_model(task)).eval()
    batch = batch_of(task, 1)
    batch = with_labels(batch, [[1] + [0] * 13], [[True] + [False] * 13])
    chance = task.predict(model, batch)[0].double().numpy()
    wanted = -(np.log(chance[0]) + np.log(1 - chance[1:]).sum()) / 14
    assert task.losses_of(model, batch, moment())["loss"].item() == pytest.approx(wanted, rel=1e-4)


@torch.no_grad()
def test_the_loss_of_a_batch_is_the_mean_of_its_halves(data):
    """So that it does not matter on which rank a sample is."""
    task = task_of(data)
    model, batch = shake(build_model(task)).eval(), batch_of(task, 4)
    halves = [rows_of(batch, rows) for rows in ([0, 1], [2, 3])]
    whole, *parts = (
        task.losses_of(model, part, moment())["loss"].item() for part in (batch, *halves)
    )
    assert whole == pytest.approx(sum(parts) / 2, rel=1e-5)


def test_a_sample_of_which_nothing_is_known_costs_nothing(data):
    task = task_of(data)
    batch = batch_of(task, 2)
    batch = replace(batch, label_known=torch.zeros_like(batch.label_known))
    loss = task.losses_of(build_model(task), batch, moment())["loss"]
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("with_previous_labels", [False, True])
@torch.no_grad()
def test_padding_changes_nothing_and_an_empty_window_is_no_accident(data, with_previous_labels):
    task = task_of(data, with_previous_labels=with_previous_labels)
    model = shake(build_model(task)).eval()
    batch = with_random_events(batch_of(task, 3), [3, 1, 0])
    event, is_event = pad_events(batch.event, batch.is_event, MOST_EVENTS)
    chance = task.predict(model, batch)
    padded = task.predict(model, replace(batch, event=event, is_event=is_event))
    assert torch.allclose(chance, padded, atol=1e-5)
    alone = rows_of(batch, [2])
    alone = replace(alone, event=alone.event[:, :0], is_event=alone.is_event[:, :0])
    assert torch.allclose(chance[2:], task.predict(model, alone), atol=1e-5)


@torch.no_grad()
def test_as_published_padding_is_pooled(data):
    full = with_random_events(batch_of(task_of(data), 1), [MOST_EVENTS])
    short = with_random_events(batch_of(task_of(data), 1), [2])
    chances = {}
    for fidelity in ("corrected", "published"):
        task = task_of(data, fidelity=fidelity)
        model = shake(build_model(task)).eval()
        chances[fidelity] = [task.predict(model, batch) for batch in (full, short)]
    assert torch.allclose(chances["corrected"][0], chances["published"][0], atol=1e-5)
    assert not torch.allclose(chances["corrected"][1], chances["published"][1], atol=1e-3)


@pytest.mark.parametrize("given", ["events", "hours"])
@torch.no_grad()
def test_previous_labels_matter_where_they_are_asked_for(data, hourly, given):
    data = hourly if given == "hours" else data
    for is_asked in (False, True):
        task = task_of(data, input=given, with_previous_labels=is_asked)
        model = shake(build_model(task)).eval()
        batch = batch_of(task, 2)
        one = replace(batch, previous_labels=torch.ones_like(batch.previous_labels))
        none = replace(batch, previous_labels=-torch.ones_like(batch.previous_labels))
        assert torch.allclose(task.predict(model, one), task.predict(model, none)) != is_asked


def test_the_token_of_previous_labels_is_their_mean_row(data):
    """10.5: (L, D) rows; a label that is absent, uncertain or not said adds nothing."""
    task = task_of(data, with_previous_labels=True)
    model = shake(build_model(task)).eval()
    batch = batch_of(task, 1)
    previous = torch.zeros(1, 14, dtype=torch.int8)
    previous[0, 2], previous[0, 5], previous[0, 6] = 1, 1, -1
    found = task.predict(model, replace(batch, previous_labels=previous))
    token = (model.previous[2] + model.previous[5]) / 14
    event = torch.cat([token[None, None], batch.event.float()], dim=1)
    tokens, _ = model.events(event, torch.ones(1, 4, dtype=torch.bool))
    wanted = torch.sigmoid(model.classify(tokens.mean(1)))
    assert torch.allclose(found, wanted, atol=1e-5)


def test_hours_are_read_where_there_are_no_events(hourly):
    task = task_of(hourly, input="hours")
    batch = batch_of(task, 8)
    assert batch.event.shape[1] == 0
    model = build_model(task)
    losses = fit_briefly(task, model, batch, steps=60, rate=1e-2)
    assert losses[-1] < 0.2 * losses[0]
    unknown = replace(batch, hours=batch.hours[:, :0], is_hour=batch.is_hour[:, :0])
    assert task.predict(model.eval(), unknown).isfinite().all()


@torch.no_grad()
def test_attributes_take_the_place_of_findings(data):
    """Of the tiny dataset's targets none is described, so a model is made by hand."""
    task = task_of(data, labels="attributes", with_previous_labels=True)
    model = shake(TableClassifier(task.settings, 8, 0, len(task.label_names))).eval()
    batch = batch_of(task, 1)
    known = torch.zeros(1, 10, dtype=torch.bool)
    known[0, 3] = True
    batch = replace(batch, attributes=known.to(torch.int8), attribute_known=known)
    chance = task.predict(model, batch)
    assert chance.shape == (1, len(ATTRIBUTES))
    found = task.losses_of(model, batch, moment())["loss"].item()
    assert found == pytest.approx(-math.log(chance[0, 3]), rel=1e-4)
    one = replace(batch, previous_attributes=torch.ones(1, 10, dtype=torch.int8))
    assert not torch.allclose(chance, task.predict(model, one), atol=1e-3)


def test_eight_samples_are_learned(data):
    task = task_of(data)
    batch = with_random_events(batch_of(task, 8), [3, 1, 2, 0, 4, 5, 6, 1])
    model = build_model(task)
    losses = fit_briefly(task, model, batch, steps=150, rate=1e-2)
    assert losses[0] > 0.5
    assert losses[-1] < 0.1
    chance = task.predict(model.eval(), batch)
    assert chance.shape == (8, len(FINDINGS))
    is_said = batch.label_known & (batch.labels >= 0)
    assert torch.equal((chance > 0.5)[is_said], (batch.labels == 1)[is_said])


def test_what_a_dataset_does_not_hold_is_refused(data, hourly):
    with pytest.raises(ContractError, match="no film has attributes"):
        task_of(data, labels="attributes").build()
    with pytest.raises(ContractError, match="keeps no hours"):
        task_of(data, input="hours").build()
    with pytest.raises(ContractError, match="keeps no events"):
        task_of(hourly).build()


@pytest.mark.parametrize("name", ["table_classifier", "table_classifier-tiny"])
def test_shipped_settings_are_read(name):
    assert isinstance(read_task_settings(name), TableClassifierSettings)

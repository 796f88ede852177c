"""The judge of films: what it learns from, what it leaves out, and what it says."""

import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch
from tiny_judge import (
    DEVICE,
    batches,
    build_pairs,
    change_manifest,
    classifier_settings,
    classifier_task,
    train,
)

from cxrfuture_data.batch import field_names
from cxrfuture_data.schema import ContractError
from train.classifier import Answers, Classifier, join, predict
from train.task import Moment

MOMENT = Moment(0, 0, 1, DEVICE)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """15 real training pairs; films of 32 pixels, each of one grey level."""
    return build_pairs(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def task(dataset):
    return classifier_task(dataset)


class Constant(torch.nn.Module):
    """Says the same of every film: logits of 0, age one deviation above the mean."""

    def __init__(self):
        super().__init__()
        self.zero = torch.nn.Parameter(torch.zeros(()))

    def forward(self, films):
        samples = len(films)
        zeros = self.zero.expand(samples)
        return Answers(
            self.zero.expand(samples, 14), self.zero.expand(samples, 10), zeros + 1, zeros, zeros
        )


def test_losses_of_a_coin(task):
    """Logits of 0 cost ln 2 whatever is known; the parts add up by their weights."""
    (batch,) = batches(task, batch_size=64)
    task = dataclasses.replace(
        task,
        settings=classifier_settings(
            weights={"findings": 1.0, "attributes": 2.0, "age": 0.5, "sex": 3.0}
        ),
    )
    batch = dataclasses.replace(batch, attribute_known=torch.ones_like(batch.attribute_known))
    found = task.losses_of(Constant(), batch, MOMENT)
    ages = batch.age[~batch.is_padding].double()
    statistics = task.data.statistics.pair.age
    years = ((1 - (ages - statistics.mean) / statistics.std) ** 2).mean().item()
    for name in ("findings", "attributes", "sex"):
        assert found[name].item() == pytest.approx(math.log(2), abs=1e-6)
    assert found["age"].item() == pytest.approx(years, abs=1e-5)
    assert found["loss"].item() == pytest.approx(6 * math.log(2) + 0.5 * years, abs=1e-5)


@pytest.mark.parametrize("unknown", ["labels", "attributes", "padding"])
def test_what_is_not_known_costs_nothing(task, unknown):
    torch.manual_seed(0)
    model = task.build()
    (batch,) = batches(task, batch_size=64)
    before = task.losses_of(model, batch, MOMENT)
    if unknown == "labels":
        is_free = ~batch.label_known | (batch.labels == -1)
        other = {"labels": torch.where(batch.label_known & (batch.labels == -1), -1, batch.labels)}
        other["labels"] = torch.where(is_free & ~batch.label_known, 1, other["labels"]).to(
            batch.labels.dtype
        )
        assert is_free.any()
    elif unknown == "attributes":
        other = {"attributes": torch.where(batch.attribute_known, batch.attributes, 1)}
        assert not batch.attribute_known.all()
    else:
        other = {"age": torch.where(batch.is_padding, 999.0, batch.age)}
        assert batch.is_padding.any()
    after = task.losses_of(model, dataclasses.replace(batch, **other), MOMENT)
    for name, value in before.items():
        assert after[name].item() == value.item(), name


def test_halves_of_a_batch_have_its_gradient_on_average(task):
    """As two ranks or two parts have it, whatever is known of whom."""

    def gradient(batch):
        model.zero_grad()
        task.losses_of(model, batch, MOMENT)["loss"].backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters()])

    torch.manual_seed(0)
    model = task.build()
    (whole,) = batches(task, batch_size=15)
    assert whole.label_known.sum(1).unique().numel() > 1
    halves = []
    for rows in (slice(0, 7), slice(7, 14)):
        taken = {name: getattr(whole, name)[rows] for name in field_names(whole)}
        halves.append(dataclasses.replace(whole, keys=whole.keys[rows], **taken))
    taken = {name: getattr(whole, name)[:14] for name in field_names(whole)}
    both = gradient(dataclasses.replace(whole, keys=whole.keys[:14], **taken))
    mean = (gradient(halves[0]) + gradient(halves[1])) / 2
    torch.testing.assert_close(mean, both, atol=1e-6, rtol=1e-4)


def test_nothing_known_costs_zero(task):
    model = task.build()
    (batch,) = batches(task, batch_size=64)
    nothing = dataclasses.replace(
        batch,
        label_known=torch.zeros_like(batch.label_known),
        attribute_known=torch.zeros_like(batch.attribute_known),
    )
    found = task.losses_of(model, nothing, MOMENT)
    assert found["findings"].item() == 0.0
    assert found["attributes"].item() == 0.0


def test_it_learns_age_from_films(task):
    """Films with a white bar of as many columns as the patient is years over 40."""
    (batch,) = batches(task, batch_size=15)
    films = torch.zeros_like(batch.target_film)
    for film, age in zip(films, batch.age.tolist(), strict=True):
        film[..., : int(age) - 40] = 255
    model, rows = train(task, dataclasses.replace(batch, target_film=films), 60)
    assert rows[-1]["age"] < 0.1 * rows[0]["age"]
    found = predict(model, films)
    assert np.corrcoef(found.age.numpy(), batch.age.numpy())[0, 1] > 0.95
    assert found.age.mean().item() == pytest.approx(batch.age.mean().item(), abs=1.0)


def test_a_judgement_is_of_each_film_alone(task):
    torch.manual_seed(1)
    model = task.build()
    films = torch.randint(256, (5, 1, 32, 32), dtype=torch.uint8)
    whole = predict(model, films)
    assert whole.findings.shape == (5, 14)
    assert whole.attributes.shape == (5, 10)
    assert whole.age.shape == whole.is_male.shape == (5,)
    assert whole.features.shape == (5, 16)
    assert ((whole.findings > 0) & (whole.findings < 1)).all()
    joined = join([predict(model, films[:2]), predict(model, films[2:])])
    for name, value in vars(joined).items():
        torch.testing.assert_close(value, vars(whole)[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [16, 32, 40])
def test_films_are_brought_to_one_size(side):
    """A film of one grey level is the same at any size."""
    torch.manual_seed(0)
    model = Classifier(classifier_settings(film_size=32), 60.0, 10.0)
    grey = torch.full((1, 1, side, side), 77, dtype=torch.uint8)
    expected = predict(model, torch.full((1, 1, 32, 32), 77, dtype=torch.uint8))
    torch.testing.assert_close(predict(model, grey).features, expected.features)


def test_every_weight_has_a_gradient(task):
    torch.manual_seed(0)
    model = task.build()
    task.losses_of(model, batches(task)[0], MOMENT)["loss"].backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())


def test_null_events_are_left_out(task):
    split = task.data.split("train", "pair")
    is_null = split.columns["is_null_event"]
    assert is_null.sum() == 1
    assert len(task.select(split)) == 15
    assert set(task.select(split).columns["key"]).isdisjoint(split.columns["key"][is_null])


def test_a_dataset_without_films_is_refused(dataset, tmp_path):
    copied = shutil.copytree(dataset, tmp_path / "dataset")
    change_manifest(copied, lambda manifest: manifest.update(films_kept="none"))
    with pytest.raises(ContractError, match="keep_films: png"):
        _ = classifier_task(copied).view

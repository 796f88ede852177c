"""The task `future_fusion` on a tiny dataset: what it is told, what costs what, and what it learns.

Patient 2 has no film before the prediction, and of patient 4 no outcome is known.
"""

import json
from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest
import torch
from tiny_build import leave_out_film, write_build
from tiny_future import future_settings, model_settings, pad
from tiny_train import fit_settings

from cxrfuture_data import ContractError, open_dataset
from etl import shard
from train import draw
from train.fit import fit
from train.fusion.future import FutureFusion, FutureFusionSettings
from train.fusion.seen import Target, outcome_loss
from train.future import used_of
from train.model.known import MODALITIES, Known
from train.outcome import OUTCOMES
from train.task import Moment
from train.tasks import read_task_settings

NO_FILM, NO_OUTCOME = 2, 4
LABELS = 1 + 25 + 2 + 3
ANSWERS = {  # of a batch: a field, and what says whether it is known
    "died": "died_known",
    "phenotypes": "phenotypes_known",
    "remaining_hours": "remaining_known",
    "icu_transfer": "icu_transfer_known",
    "readmitted": "readmitted_known",
}
OF_MODALITY = {
    "previous": ["previous", "has_previous", "hours_since_previous"],
    "hours": ["hours", "is_hour"],
    "events": ["event", "event_hours", "event_end_hours", "event_runs", "event_table", "is_event"],
    "demographics": ["age", "is_male", "bmi", "bmi_known", "comorbidities", "has_history"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    params, recipe = write_build(tmp_path_factory.mktemp("fusion"), "future", shard={"workers": 1})
    folder = params.build(recipe.name)
    leave_out_film(folder, NO_FILM)
    path = folder / "cohort" / "stay.parquet"
    stays = pl.read_parquet(path)
    names = ["died_in_hospital", "remaining_hours", "icu_transfer", "readmitted"]
    is_chosen = pl.col("subject_id") == NO_OUTCOME
    unknown = [pl.when(~is_chosen).then(pl.col(name)).alias(name) for name in names]
    coded = pl.col("has_phenotypes") & ~is_chosen
    stays.with_columns(*unknown, coded.alias("has_phenotypes")).write_parquet(path)
    shard.run(params, recipe)
    return open_dataset(params.build(recipe.name, "shard"))


def fusion_settings(**changes):
    model = model_settings().model_dump(exclude={"depth"})
    value = {name: getattr(future_settings(), name) for name in ("max_events", "use", "drop")}
    value |= {
        "task": "future_fusion",
        "recipe": "future",
        "model": model | changes.pop("model", {}),
        "patience": None,
        "fold": None,
        "class_weights": True,
        "select_by": "loss",
    }
    return FutureFusionSettings.model_validate(fit_settings() | value | changes)


def task_of(data, **changes):
    return FutureFusion(fusion_settings(**changes), data)


def never():
    return dict.fromkeys(MODALITIES, 0.0)


def build(task, seed=1):
    """A model whose zeroed layers are random too."""
    torch.manual_seed(seed)
    model = task.build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():
                weight.normal_(0, 0.1)
    return model


def batch_of(task, split="train"):
    """Every stay, in the order of patients."""
    stays = task.data.split(split, "stay")
    batch = next(iter(stays.loader(len(stays), task.view, training=False)))
    subjects = dict(zip(stays.columns["key"], stays.columns["subject_id"], strict=True))
    return rows_of(batch, list(np.argsort([subjects[key] for key in batch.keys])))


def rows_of(batch, rows):
    found = {
        field.name: getattr(batch, field.name)[rows]
        for field in fields(batch)
        if field.name != "keys"
    }
    return replace(batch, keys=[batch.keys[row] for row in rows], **found)


def with_own_events(batch):
    """Else every stay has the same."""
    later = torch.arange(len(batch.keys))[:, None]
    return replace(batch, event_hours=batch.event_hours + later)


def moment(step=0, purpose="train"):
    return Moment(seed=5, step=step, steps=8, device=torch.device("cpu"), purpose=purpose)


def known_of(batch, is_given=None):
    given = torch.ones(len(batch.keys), 4, dtype=torch.bool) if is_given is None else is_given
    return Known.of(batch, batch.previous[:, 0].float(), given)


def logits_of(task, model, batch):
    return task.predict_outcomes(model, batch, 3).logits


def gradient(task, model, batch):
    model.zero_grad()
    task.losses_of(model, batch, moment())["loss"].backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def assert_close(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_times_are_since_the_film_or_since_the_window_s_start(data):
    """Films of hour 10, predictions at hour 48; either way an event is as long before it."""
    batch = batch_of(task_of(data))
    assert batch.window_hours.tolist() == [48.0] * 8
    known = known_of(batch)
    has_film = [patient != NO_FILM for patient in range(1, 9)]
    assert known.is_given[:, 0].tolist() == has_film
    assert known.gap_hours.tolist() == [38.0 if film else 48.0 for film in has_film]
    assert known.window_start_hours.tolist() == [-10.0 if film else 0.0 for film in has_film]
    before = known.gap_hours[:, None] - (known.event_hours + known.window_start_hours[:, None])
    assert before[:, :3].tolist() == [[47.0, 46.0, 44.0]] * 8
    hidden = torch.tensor([[False, True, True, True]]).expand(8, -1)
    assert known_of(batch, hidden).gap_hours.tolist() == [48.0] * 8


def test_predictions_have_a_logit_a_label(data):
    task = task_of(data)
    found = task.predict_outcomes(build(task), batch_of(task, "valid"), 3)
    wanted = OUTCOMES["all"].wanted(batch_of(task, "valid"))
    assert found.logits.shape == (2, LABELS) == (2, len(task.labels))
    assert found.logits.dtype == torch.float32
    assert torch.equal(found.is_present, wanted.is_present)
    assert torch.equal(found.is_known, wanted.is_known)
    assert found.attention is None


@pytest.mark.parametrize(("hours", "events"), [(0, 7), (9, 0), (30, 50)])
def test_padding_changes_nothing(data, hours, events):
    task = task_of(data)
    model, known = build(task), known_of(batch_of(task))
    with torch.no_grad():
        assert_close(model(pad(known, hours, events)), model(known))


@pytest.mark.parametrize("name", MODALITIES)
def test_a_modality_is_seen_if_it_is_given_and_only_then(data, name):
    whole, without = (
        task_of(data),
        task_of(data, use=dict.fromkeys(MODALITIES, True) | {name: False}),
    )
    model, batch = build(whole), with_own_events(batch_of(whole))
    turned = rows_of(batch, [1, 2, 3, 4, 5, 6, 7, 0])
    changed = replace(batch, **{field: getattr(turned, field) for field in OF_MODALITY[name]})
    assert (logits_of(whole, model, changed) - logits_of(whole, model, batch)).abs().max() > 1e-3
    hidden = logits_of(without, model, batch)
    assert_close(logits_of(without, model, changed), hidden)
    emptied = with_own_events(batch_of(without))
    assert_close(logits_of(without, model, emptied), hidden)
    assert (hidden - logits_of(whole, model, batch)).abs().max() > 1e-3


def test_a_dropped_modality_changes_no_step(data):
    """In training: a film is dropped of all, so it might be any other."""
    task = task_of(data, drop=never() | {"previous": 0.999})
    model, batch = build(task), batch_of(task)
    other = replace(
        batch,
        previous=batch.previous + 1,
        hours_since_previous=batch.hours_since_previous + 5,
        has_previous=~batch.has_previous,
    )
    torch.testing.assert_close(gradient(task, model, other), gradient(task, model, batch))


def test_of_a_stay_without_a_film_its_place_holds_nothing(data):
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    row = NO_FILM - 1
    filled = replace(batch, previous=batch.previous.clone(), hours_since_previous=torch.ones(8))
    filled.previous[row] = 3.0
    assert_close(logits_of(task, model, filled)[row], logits_of(task, model, batch)[row])
    assert not batch.has_previous[row]
    assert torch.isfinite(gradient(task, model, filled)).all()


def test_the_answers_are_not_seen(data):
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    changed = {name: torch.ones_like(getattr(batch, name)) for name in ANSWERS}
    changed |= {known: ~getattr(batch, known) for known in ANSWERS.values()}
    changed |= {"labels": batch.labels + 1, "label_known": ~batch.label_known}
    assert torch.equal(
        logits_of(task, model, replace(batch, **changed)), logits_of(task, model, batch)
    )


@pytest.mark.parametrize(("name", "known"), ANSWERS.items())
def test_what_is_not_known_costs_nothing(data, name, known):
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    is_known = getattr(batch, known).clone()
    is_known[[0, 4]] = False
    masked = replace(batch, **{known: is_known})
    value = getattr(batch, name).clone()
    value[~is_known] = 1 if value.dtype != torch.float32 else 1e6
    found = gradient(task, model, replace(masked, **{name: value}))
    assert torch.equal(found, gradient(task, model, masked))
    assert not torch.allclose(found, gradient(task, model, batch), atol=1e-6)


def test_nothing_known_costs_zero(data):
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    row = rows_of(batch, [NO_OUTCOME - 1])
    assert task.losses_of(model, row, moment())["loss"] == 0
    assert not gradient(task, model, row).any()


def test_the_loss_is_that_of_the_logits(data):
    task = task_of(data, drop=never(), class_weights=True)
    model, batch = build(task), batch_of(task)
    look = moment(purpose="valid")
    found = task.losses_of(model, batch, look)
    assert tuple(found) == tuple(task.losses)
    # The posteriors of a tiny build have next to no spread, so that a draw is the mean.
    target = Target(*OUTCOMES["all"].wanted(batch), task.positive_weight)
    cost = outcome_loss(logits_of(task, model, batch), target, ~batch.is_padding)
    assert found["loss"].item() == pytest.approx(cost.item(), rel=1e-3)


def test_padding_samples_are_in_no_loss(data):
    task = task_of(data, drop=never())
    model, batch = build(task), batch_of(task)
    padded = rows_of(batch, [0, 1, 2, 2])
    padded = replace(padded, is_padding=torch.tensor([False, False, False, True]))
    found = task.losses_of(model, padded, moment())["loss"]
    torch.testing.assert_close(
        found, task.losses_of(model, rows_of(batch, [0, 1, 2]), moment())["loss"]
    )


def test_class_weights_are_the_training_stays_negatives_over_positives(data):
    columns = data.split("train", "stay").columns
    is_present, is_known = OUTCOMES["all"].of_columns(columns)
    positives, known = is_present.sum(0), is_known.sum(0)
    negatives = known - positives
    expected = np.where(
        (positives > 0) & (negatives > 0), negatives / np.maximum(positives, 1), 1.0
    )
    np.testing.assert_allclose(task_of(data).positive_weight, expected, rtol=1e-6)
    assert task_of(data).positive_weight[0] == 6  # of seven, one died
    assert (task_of(data, class_weights=False).positive_weight == 1).all()


def test_stays_without_an_outcome_are_left_out(data):
    chosen = task_of(data).select(data.split("train", "stay")).columns["subject_id"]
    assert sorted(chosen) == [1, 2, 3, 5, 6, 7, 8]


def test_modalities_are_dropped_in_training_alone(data):
    often, not_once = (
        task_of(data, drop=dict.fromkeys(MODALITIES, 0.5)),
        task_of(data, drop=never()),
    )
    model, batch = build(often), batch_of(often)
    for purpose, is_same in (("valid", True), ("train", False)):
        at = moment(purpose=purpose)
        losses = [task.losses_of(model, batch, at)["loss"].item() for task in (often, not_once)]
        assert (losses[0] == losses[1]) == is_same


def test_halves_of_a_batch_have_its_gradient_on_average(data):
    """As two ranks or two parts have it, whatever is known of whom."""
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    halves = [gradient(task, model, rows_of(batch, rows)) for rows in ([0, 2, 4, 6], [1, 3, 5, 7])]
    whole = gradient(task, model, batch)
    assert whole.abs().max() > 1e-3
    torch.testing.assert_close(sum(halves) / 2, whole, atol=1e-6, rtol=1e-4)


def test_a_step_depends_on_seed_step_and_keys_alone(data):
    task = task_of(data)
    batch = batch_of(task)
    torch.testing.assert_close(
        task.losses_of(build(task), rows_of(batch, list(range(8))[::-1]), moment())["loss"],
        task.losses_of(build(task), batch, moment())["loss"],
    )
    model = build(task)
    steps = [task.losses_of(model, batch, moment(step))["loss"].item() for step in range(3)]
    assert len(set(steps)) == 3
    assert torch.equal(task.predict_outcomes(model, batch, 1).logits, logits_of(task, model, batch))
    alone = logits_of(task, model, rows_of(batch, [5]))
    assert_close(alone, logits_of(task, model, batch)[[5]])


def test_every_weight_is_trained(data):
    """DDP waits for the gradient of every weight, and none is that of another task."""
    task = task_of(data, drop=dict.fromkeys(MODALITIES, 0.5))
    model, batch = build(task), batch_of(task)
    known = known_of(batch)
    randoms = draw.generators([str(row) for row in range(8)], 2)
    given = torch.stack([draw.draw_uniform(randoms) < 0.5 for _ in MODALITIES], dim=1)
    model(replace(known, is_given=given & known.is_given)).square().sum().backward()
    lost = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert lost == []
    model.zero_grad()
    model(replace(known, is_given=used_of(task.settings.use, 8))).square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_half_precision_says_about_the_same(data):
    task = task_of(data)
    model, batch = build(task), batch_of(task)
    with torch.autocast("cpu", torch.bfloat16):
        half = logits_of(task, model, batch)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, logits_of(task, model, batch), atol=0.05, rtol=0.05)


def test_eight_stays_are_learnt_by_heart(data):
    task = task_of(data, model={"width": 32}, drop=never())
    batch = batch_of(task)
    torch.manual_seed(0)
    model = task.build().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(60):
        loss = task.losses_of(model, batch, moment(step))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05
    found = task.predict_outcomes(model.eval(), batch, 0)
    right = (found.logits > 0) == found.is_present
    assert right[found.is_known].all()


def test_a_patch_that_does_not_divide_is_refused(data):
    with pytest.raises(ContractError, match=r"patch 3 does not divide latents of 4 x 4"):
        task_of(data, model={"patch": 3}).build()


@pytest.mark.parametrize("name", ["future_fusion", "future_fusion-tiny"])
def test_shipped_settings_are_whole(name):
    settings = read_task_settings(name)
    assert isinstance(settings, FutureFusionSettings)
    assert settings.select_by == "auprc"


@pytest.mark.slow
def test_the_loop_trains_it(data, tmp_path, new_accelerator):
    fit(data.path, tmp_path, fusion_settings(valid_steps=4, select_by="auprc"), 5)
    assert len((tmp_path / "loss.jsonl").read_text().splitlines()) == 8
    looks = [json.loads(line) for line in (tmp_path / "valid.jsonl").read_text().splitlines()]
    best = json.loads((tmp_path / "metrics.json").read_text())["best_valid"]
    assert best == max(look["auprc"] for look in looks)

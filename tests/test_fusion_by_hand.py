"""Fusion models against the same thing written out in NumPy, and whom each loss trains."""

import numpy as np
import pytest
import torch
from tiny_fusion import PUBLISHED, build, random_seen, random_target
from transformers import ResNetConfig, ResNetModel

from cxrfuture_data.schema import ContractError
from train.fusion.ddl_cxr import cut_patches
from train.fusion.film import IMAGENET_MEAN, IMAGENET_STD
from train.fusion.record import mean_of_tokens
from train.fusion.seen import outcome_loss

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def seen():
    return random_seen()


def arrays(module):
    """Weights by name, as NumPy's."""
    return {name: weight.detach().double().numpy() for name, weight in module.named_parameters()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(layer, x):
    found = arrays(layer)
    return x @ found["weight"].T + found.get("bias", 0.0)


def run_lstm(lstm, sequence):
    """(T, F) -> the state after each step (T, D); gates in torch's order: in, forget, cell, out."""
    w = arrays(lstm)
    width = w["weight_hh_l0"].shape[1]
    state, cell, states = np.zeros(width), np.zeros(width), []
    for step in sequence:
        raw = w["weight_ih_l0"] @ step + w["bias_ih_l0"] + w["weight_hh_l0"] @ state
        entered, kept, new, shown = np.split(raw + w["bias_hh_l0"], 4)
        cell = sigmoid(kept) * cell + sigmoid(entered) * np.tanh(new)
        state = sigmoid(shown) * np.tanh(cell)
        states.append(state)
    return np.array(states)


def own_hours(seen, row):
    """(T of the stay, F)."""
    return seen.hours[row, seen.is_hour[row]].double().numpy()


def film_of(model, seen, row):
    return model.film(seen.film, seen.has_film)[row].detach().double().numpy()


def binary_cross_entropy(logits, is_present, weight=1.0):
    chance = sigmoid(logits)
    return -np.where(is_present, weight * np.log(chance), np.log(1 - chance))


@pytest.mark.parametrize("row", range(6))
def test_uni_ehr_reads_its_own_hours_through_two_lstms(row, seen):
    model = build("uni_ehr_lstm")
    first = run_lstm(model.record.first, own_hours(seen, row))
    state = run_lstm(model.record.second, first)[-1]
    expected = linear(model.head, state)
    np.testing.assert_allclose(model(seen).logits[row].detach(), expected, **CLOSE)


def test_lstms_begin_as_medfuse_has_them():
    """Xavier for what comes in, orthogonal for what comes back, no bias (fusion-baselines 6)."""
    lstm = build("uni_ehr_lstm").record.first
    recurrent = arrays(lstm)["weight_hh_l0"]  # (4 D, D)
    np.testing.assert_allclose(recurrent.T @ recurrent, np.eye(32), atol=1e-5)
    entering = arrays(lstm)["weight_ih_l0"]  # (4 D, F)
    limit = np.sqrt(6 / (4 * 32 + 6))
    assert 0.9 * limit < np.abs(entering).max() <= limit
    assert not arrays(lstm)["bias_ih_l0"].any()
    assert not arrays(lstm)["bias_hh_l0"].any()


def test_the_mean_of_tokens_is_of_real_ones():
    tokens = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [5.0], [5.0]]])
    is_token = torch.tensor([[True, True, False], [False, False, False]])
    assert mean_of_tokens(tokens, is_token).tolist() == [[2.0], [0.0]]


def test_tabular_is_a_logistic_regression(seen):
    model = build("tabular")
    age = (seen.age.double().numpy() - 64) / 17
    expected = linear(model.head, np.stack([age, seen.is_male.double().numpy()], axis=1))
    np.testing.assert_allclose(model(seen).logits.detach(), expected, **CLOSE)


def test_films_are_scaled_as_imagenets(seen):
    """Three times the grey film, of the stays that have one; 0 of the others."""
    model = build("uni_cxr")
    entered = []
    model.film.network.register_forward_pre_hook(lambda _, given: entered.append(given[0]))
    logits = model(seen).logits
    assert entered[0].shape == (4, 3, 32, 32)
    grey = seen.film[seen.has_film][1, 0].numpy() / 255
    for channel, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)):
        np.testing.assert_allclose(entered[0][1, channel], (grey - mean) / std, **CLOSE)
    assert torch.equal(logits[2], model.head.bias)


@pytest.mark.parametrize("changes", [{}, PUBLISHED])
@pytest.mark.parametrize("row", [0, 1, 2, 4])
def test_mmtm_gates_film_and_hours(row, changes, seen):
    model = build("mmtm", **changes)
    hours = own_hours(seen, row)
    film, first = film_of(model, seen, row), run_lstm(model.record.first, hours)
    counted = seen.hours.shape[1] if changes else len(hours)
    squeezed = np.concatenate([film, first.sum(0) / counted])
    hidden = np.maximum(linear(model.gates.squeeze, squeezed), 0)
    factor = 1 if changes else 2
    film = factor * sigmoid(linear(model.gates.film, hidden)) * film
    gated = factor * sigmoid(linear(model.gates.record, hidden)) * first
    state = run_lstm(model.record.second, gated)[-1]
    answer = model(seen)
    joint = linear(model.joint_head, np.concatenate([linear(model.widen, state), film]))
    np.testing.assert_allclose(answer.logits[row].detach(), joint, **CLOSE)
    for name, head, features in (
        ("film", model.film_head, film),
        ("record", model.record_head, state),
    ):
        found = answer.parts[f"{name}_logits"][row].detach()
        np.testing.assert_allclose(found, linear(head, features), **CLOSE)


@pytest.mark.parametrize("changes", [{}, PUBLISHED])
def test_mmtm_costs_each_head_over_its_own_stays(changes, seen):
    model, target = build("mmtm", **changes), random_target()
    target = target._replace(positive_weight=torch.tensor([1.0, 2.0, 5.0]))
    seen = seen._replace(is_real=torch.arange(6) != 1)
    answer = model(seen)
    losses = model.losses_of(answer, target, seen)
    counted = {"film": [0, 3, 4], "record": [0, 2, 3, 4, 5]}  # stays 2 and 5 have no film
    for name, rows in counted.items():
        logits = answer.parts[f"{name}_logits"][rows].detach().double().numpy()
        present, weight = target.is_present[rows].numpy(), target.positive_weight.numpy()
        expected = binary_cross_entropy(logits, present, weight).mean()
        assert losses[name].item() == pytest.approx(expected, abs=1e-5)


def test_the_loss_of_mmtms_record_head_trains_both_sides(seen):
    """T10 of specs fusion-baselines 18; as published it trains the film's network alone (D5)."""
    corrected = trained_by("mmtm", "record", seen)
    assert {"film", "record", "gates", "record_head"} == corrected
    assert {"film"} == trained_by("mmtm", "record", seen, **PUBLISHED)
    for changes in ({}, PUBLISHED):
        film = trained_by("mmtm", "film", seen, **changes)
        assert {"film", "record", "gates", "film_head"} == film


def trained_by(name, loss, seen, **changes):
    """Parts of a model to which the gradient of one loss comes."""
    model = build(name, **changes).train()
    model.losses_of(model(seen), random_target(), seen)[loss].backward()
    return {
        part.split(".")[0]
        for part, weight in model.named_parameters()
        if weight.grad is not None and weight.grad.any()
    }


def test_as_published_the_films_network_still_has_the_heads_own_gradient(seen):
    """What reaches it is neither more nor less than the head's loss asks of it."""
    model, target = build("mmtm", **PUBLISHED), random_target()
    weights = list(model.film.parameters())
    answer = model(seen)
    plain = outcome_loss(answer.parts["record_logits"], target, seen.is_real)
    expected = torch.autograd.grad(plain, weights, retain_graph=True)
    found = model.losses_of(answer, target, seen)["record"]
    assert found.item() == plain.item()
    for one, other in zip(torch.autograd.grad(found, weights), expected, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        looked_at = model.losses_of(model(seen), target, seen)["record"]
    assert looked_at.item() == pytest.approx(plain.item(), abs=1e-6)


@pytest.mark.parametrize("changes", [{}, PUBLISHED])
@pytest.mark.parametrize("row", [0, 1, 2, 4])
def test_daft_scales_and_shifts_hours_where_there_is_a_film(row, changes, seen):
    model = build("daft", **changes)
    hours = own_hours(seen, row)
    first = run_lstm(model.record.first, hours)
    counted = seen.hours.shape[1] if changes else len(hours)
    squeezed = np.concatenate([film_of(model, seen, row), first.sum(0) / counted])
    hidden = np.maximum(linear(model.squeeze, squeezed), 0)
    scale, shift = np.split(linear(model.modulate, hidden), 2)
    changed = (scale if changes else 1 + scale) * first + shift
    state = run_lstm(model.record.second, changed if seen.has_film[row] else first)[-1]
    expected = linear(model.head, state)
    np.testing.assert_allclose(model(seen).logits[row].detach(), expected, **CLOSE)


@pytest.mark.parametrize("row", [0, 1, 2, 4])
def test_medfuse_reads_one_or_two_states(row, seen):
    model = build("medfuse")
    first = run_lstm(model.record.first, own_hours(seen, row))
    sequence = [run_lstm(model.record.second, first)[-1]]
    if seen.has_film[row]:
        sequence.append(linear(model.project, film_of(model, seen, row)))
    expected = linear(model.head, run_lstm(model.fusion, sequence)[-1])
    np.testing.assert_allclose(model(seen).logits[row].detach(), expected, **CLOSE)


def test_patches_run_by_row_and_within_one_by_row_and_channel():
    """(s1, s2, c) of specs ddl-cxr 9."""
    latent = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    patches = cut_patches(latent, 2)  # (2, 6, 12)
    assert patches.shape == (2, 6, 12)
    expected = [
        latent[1, channel, 2 + row, 4 + column]
        for row in range(2)
        for column in range(2)
        for channel in range(3)
    ]
    assert patches[1, 5].tolist() == [value.item() for value in expected]


def test_tokens_that_look_at_all_alike_give_shares_of_their_number(seen):
    """1 of the film, 4 of the latent of 8 x 8, one an hour; without a film hours alone."""
    model = build("ddl_cxr")
    with torch.no_grad():
        model.fusion.encoder.layers[0].self_attn.in_proj_weight[: 2 * 32] = 0  # query and key
    found = model(seen).attention.detach().numpy()
    for row, hours in enumerate(seen.is_hour.sum(1).tolist()):
        counts = np.array([1, 4, hours] if seen.has_film[row] else [0, 0, hours])
        np.testing.assert_allclose(found[row], counts / counts.sum(), **CLOSE)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_film_encoder_begins_with_saved_weights(norm, tmp_path, seen):
    """Of a longer network too, as DAFT's of three stages."""
    torch.manual_seed(9)
    saved = ResNetModel(
        ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16, 24], depths=[1, 1, 1], layer_type="basic"
        )
    ).eval()
    saved.save_pretrained(tmp_path)
    begun = {"weights": str(tmp_path), "norm": norm}
    own = arrays(build("uni_cxr", film=begun).film.network)
    theirs = arrays(saved)
    assert {name for name in theirs if ".stages.2." not in name} == set(own)
    assert all(np.array_equal(value, theirs[name]) for name, value in own.items())
    with pytest.raises(ContractError, match=r"is \(8, 3, 7, 7\), expected \(4, 3, 7, 7\)"):
        build("uni_cxr", film=begun | {"stem": 4})
    with pytest.raises(ContractError, match="no such file"):
        build("uni_cxr", film=begun | {"weights": str(tmp_path / "missing")})

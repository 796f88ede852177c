"""DrFuse: what it answers, what changes nothing, and its losses by a few lines of NumPy.

The laws T7, T8 and T9 are those of specs fusion-baselines 18.
"""

import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetModel

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import parse_settings, read_yaml
from train.fusion.drfuse import DrFuse, DrFuseSettings, LabelAttention
from train.fusion.drfuse_encoders import FilmBranches
from train.fusion.drfuse_losses import (
    FILM,
    RECORD,
    SHARED,
    alignment_loss,
    divergence_loss,
    pool_logits,
    rank_loss,
)
from train.fusion.seen import Seen, Shape, Target, outcome_loss
from train.settings import find_config

COLUMNS, LABELS, SIDE, WIDTH = 7, 3, 32, 16
SHAPE = Shape(hour_columns=COLUMNS, latent=(4, 4, 4), labels=LABELS)
SHIPPED = ("fusion-drfuse", "fusion-drfuse-published", "fusion-drfuse-tiny")


def drfuse_settings(film=None, **changes):
    terms = ("record", "film", "shared", "divergence", "record_distinct", "film_distinct", "rank")
    value = {
        "name": "drfuse",
        "fidelity": "corrected",
        "width": WIDTH,
        "record": {"heads": 2, "feedforward": 16, "dropout": 0.0, "max_hours": 30},
        "film": {
            "stem": 4,
            "channels": [4, 8],
            "depths": [1, 1],
            "layer": "basic",
            "norm": "group",
            "norm_groups": 2,
            "film_size": SIDE,
            "weights": None,
        }
        | (film or {}),
        "weights": dict.fromkeys(terms, 1.0),
        "margin": 0.0,
    }
    return DrFuseSettings.model_validate(value | changes)


def build(seed=1, shape=SHAPE, **changes):
    torch.manual_seed(seed)
    return DrFuse(drfuse_settings(**changes), shape)


def make_seen(stays=4, hours=5, seed=0, has_film=None):
    """Stay i has i hours fewer than the first."""
    random = torch.Generator().manual_seed(seed)
    is_hour = torch.arange(hours)[None] < (hours - torch.arange(stays)[:, None]).clamp(min=1)
    has_film = torch.ones(stays, dtype=torch.bool) if has_film is None else torch.tensor(has_film)
    film = torch.randint(256, (stays, 1, SIDE, SIDE), generator=random, dtype=torch.uint8)
    return Seen(
        hours=torch.randn(stays, hours, COLUMNS, generator=random) * is_hour[..., None],
        is_hour=is_hour,
        film=film * has_film[:, None, None, None],
        has_film=has_film,
        generated=torch.zeros(stays, 0, 4, 4),
        age=torch.full((stays,), 60.0),
        is_male=torch.zeros(stays, dtype=torch.bool),
        is_real=torch.ones(stays, dtype=torch.bool),
    )


def make_target(stays=4, seed=0, known=1.0, weight=1.0):
    random = torch.Generator().manual_seed(seed)
    is_known = torch.rand(stays, LABELS, generator=random) < known
    is_present = (torch.rand(stays, LABELS, generator=random) < 0.5) & is_known
    return Target(is_present, is_known, torch.full((LABELS,), weight))


def answer(model, seen):
    with torch.no_grad():
        return model.eval()(seen)


def assert_same(one, other):
    torch.testing.assert_close(one.logits, other.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.attention, other.attention, atol=1e-5, rtol=1e-5)


def differs(one, other):
    return (one.logits - other.logits).abs().max() > 1e-4


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def test_shapes():
    model, seen = build(), make_seen(stays=4)
    found = answer(model, seen)
    assert found.logits.shape == (4, LABELS)
    assert found.attention.shape == (4, len(model.modalities)) == (4, 3)
    assert found.parts["weights"].shape == found.parts["own_logits"].shape == (4, LABELS, 3)
    for name in ("record_shared", "film_shared", "record_distinct", "film_distinct"):
        assert found.parts[name].shape == (4, WIDTH)
    assert tuple(model.losses_of(found, make_target(), seen)) == model.losses
    assert all(value.ndim == 0 for value in model.losses_of(found, make_target(), seen).values())


@pytest.mark.parametrize("labels", [1, 25])
def test_any_number_of_labels(labels):
    found = answer(build(shape=SHAPE._replace(labels=labels)), make_seen())
    assert found.logits.shape == (4, labels)
    assert found.attention.shape == (4, 3)


@pytest.mark.parametrize("film", [{}, {"norm": "batch"}])
@pytest.mark.parametrize("more", [1, 12])
def test_more_hours_that_are_not_real_change_nothing(film, more):
    model, seen = build(film=film), make_seen()
    filled = torch.cat([seen.hours, torch.full((4, more, COLUMNS), 7.0)], dim=1)
    places = torch.cat([seen.is_hour, torch.zeros(4, more, dtype=torch.bool)], dim=1)
    longer = seen._replace(hours=filled, is_hour=places)
    assert_same(answer(model, longer), answer(model, seen))


def test_a_stay_does_not_depend_on_its_neighbours():
    """In training too, by group norm."""
    model, seen = build().train(), make_seen(has_film=[True, False, True, True])
    together = model(seen)
    for row in range(4):
        alone = model(Seen(*(value[row : row + 1] for value in seen)))
        torch.testing.assert_close(alone.logits[0], together.logits[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("hours", [0, 5])
def test_a_stay_without_hours_is_finite(hours, is_training):
    """Of tensors with no places, and with places that are not real."""
    model, seen = build(), make_seen()
    seen = seen._replace(hours=seen.hours[:, :hours], is_hour=torch.zeros(4, hours) > 0)
    model.train(is_training)
    found = model(seen)
    losses = model.losses_of(found, make_target(), seen)
    (found.logits.sum() + sum(losses.values())).backward()
    assert torch.isfinite(found.logits).all()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


def test_hours_have_an_order():
    model, seen = build(), make_seen(stays=1)
    turned = seen._replace(hours=seen.hours.flip(1))
    assert differs(answer(model, turned), answer(model, seen))


def test_a_record_longer_than_its_positions_is_refused():
    with pytest.raises(ContractError, match=r"31 hours.*max_hours"):
        answer(build(), make_seen(hours=31))


def test_t8_without_a_film_its_weight_is_0_and_nothing_of_it_is_seen():
    model, seen = build(), make_seen(has_film=[True, False, True, False])
    found = answer(model, seen)
    weights = found.parts["weights"]
    assert torch.equal(weights[[1, 3], :, FILM], torch.zeros(2, LABELS))
    assert (weights[[0, 2], :, FILM] > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, LABELS))
    torch.testing.assert_close(found.attention, weights.mean(1))
    other = seen._replace(film=seen.film.clone())
    other.film[[1, 3]] = make_seen(seed=8).film[[1, 3]]
    assert torch.equal(answer(model, other).logits, found.logits)
    changed = seen._replace(film=other.film.flip(0))
    assert differs(answer(model, changed), found)


def test_without_a_film_the_record_says_what_is_shared():
    model, seen = build(), make_seen(stays=1, has_film=[False])
    parts = answer(model, seen).parts
    shared = model.heads[SHARED](parts["record_shared"])
    torch.testing.assert_close(parts["own_logits"][..., SHARED], shared)
    parts = answer(model, make_seen(stays=1)).parts
    pooled = pool_logits(parts["record_shared"], parts["film_shared"])
    torch.testing.assert_close(parts["own_logits"][..., SHARED], model.heads[SHARED](pooled))


def test_attention_of_one_label_by_hand():
    torch.manual_seed(0)
    attend = LabelAttention(4, 2)
    tokens, is_token = torch.randn(1, 3, 4), torch.tensor([[True, True, False]])
    found = attend(tokens, is_token)
    projected = attend.project(tokens)[0].detach().numpy()  # (3, 16): q, v, k of each label
    query = projected[:2, :4].mean(0)
    scores = projected[:2, 12:16] @ query / 2
    weights = np.exp(scores) / np.exp(scores).sum()
    feature = weights @ projected[:2, 4:8]
    logit = feature @ attend.classify.weight[1].detach().numpy() + attend.classify.bias[1].item()
    np.testing.assert_allclose(found.weights[0, 1].detach().numpy()[:2], weights, rtol=1e-5)
    assert found.logits[0, 1].item() == pytest.approx(logit, rel=1e-4)


def test_t7_pooling():
    one, other = torch.randn(2, 50, generator=torch.Generator().manual_seed(0)) * 3
    mean = (sigmoid(one.double().numpy()) + sigmoid(other.double().numpy())) / 2
    np.testing.assert_allclose(pool_logits(one, other), np.log(mean / (1 - mean)), rtol=1e-3)
    torch.testing.assert_close(pool_logits(one, one), one, atol=1e-5, rtol=1e-5)
    large = torch.tensor([20.0, 80.0, 1e4])
    torch.testing.assert_close(pool_logits(large, -large), torch.zeros(3))


def test_large_logits_have_finite_losses_and_gradients():
    large = torch.tensor([[1e4, -1e4, 1e4, -1e4, 0.0]], requires_grad=True)
    other = torch.tensor([[1e4, -1e4, -1e4, 1e4, 0.0]], requires_grad=True)
    always = torch.ones(1, dtype=torch.bool)
    found = pool_logits(large, other)
    torch.testing.assert_close(found, torch.tensor([[1e4, -1e4, 0.0, 0.0, 0.0]]))
    divergence = divergence_loss(large, other, always, always)
    assert divergence.item() == pytest.approx(2 * 0.5 * np.log(2))  # two places: 1 against 0
    (found.sum() + divergence).backward()
    assert torch.isfinite(large.grad).all()
    assert torch.isfinite(other.grad).all()


def test_divergence_by_numpy():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 4, 5))
    paired = np.array([True, False, True, True])
    p, q = sigmoid(one), sigmoid(other)
    mean = (p + q) / 2
    each = 0.5 * (p * np.log(p / mean) + q * np.log(q / mean)).sum(1)
    tensors = torch.tensor(one), torch.tensor(other)
    flags = torch.tensor(paired)
    masked = divergence_loss(*tensors, flags, flags)
    assert masked.item() == pytest.approx(each[paired].sum() / 3, rel=1e-5)
    unmasked = divergence_loss(*tensors, torch.ones(4, dtype=torch.bool), flags)
    assert unmasked.item() == pytest.approx(each.sum() / 3, rel=1e-5)


def test_alignment_by_numpy():
    one, other = np.random.default_rng(0).normal(size=(2, 3, 5))
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    is_counted = torch.tensor([True, True, False])
    found = alignment_loss(torch.tensor(one), torch.tensor(other), is_counted)
    assert found.item() == pytest.approx(np.abs(cosine[:2]).mean(), rel=1e-5)


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_ranking_by_numpy(margin):
    random = np.random.default_rng(1)
    logits = random.normal(size=(4, LABELS, 3))
    weights = np.exp(random.normal(size=(4, LABELS, 3)))
    weights /= weights.sum(-1, keepdims=True)
    target = make_target(known=0.7)
    paired = np.array([True, False, True, True])
    chance = sigmoid(logits)
    present = target.is_present.numpy()[..., None]
    cost = -np.log(np.where(present, chance, 1 - chance))
    counted = paired[:, None] & target.is_known.numpy()
    terms = []
    for first, second in ((FILM, RECORD), (SHARED, RECORD), (SHARED, FILM)):
        sign = np.where(cost[..., first] < cost[..., second], 1, -1)
        ahead = sign * (weights[..., first] - weights[..., second])
        each = np.maximum(0, margin - ahead)[counted]
        terms.append(each.sum() / max((each > 0).sum(), 1))
    found = rank_loss(
        torch.tensor(weights), torch.tensor(logits), target, torch.tensor(paired), margin
    )
    assert found.item() == pytest.approx(np.mean(terms), rel=1e-5)


def ranked(order, costs):
    """One stay, one present label: weights (in the order of tokens), and costs of their heads."""
    logits = torch.tensor([[[-float(cost) for cost in costs]]])
    yes = torch.ones(1, 1, dtype=torch.bool)
    target = Target(yes, yes, torch.ones(1))
    return torch.tensor([[order]]), logits, target, yes[:, 0]


def test_t9_the_right_order_costs_nothing():
    right = ranked([0.2, 0.5, 0.3], costs=[3, 1, 2])
    assert rank_loss(*right, 0.0) == 0
    assert rank_loss(*right, 0.1) == pytest.approx(0, abs=1e-6)  # each is ahead by 0.1 or more
    # Ahead by 0.1 and 0.2 of three pairs, where 0.25 is asked for: 0.15 and 0.05.
    assert rank_loss(*right, 0.25).item() == pytest.approx((0.15 + 0.05) / 3, rel=1e-4)
    wrong = ranked([0.5, 0.2, 0.3], costs=[3, 1, 2])
    assert rank_loss(*wrong, 0.0).item() == pytest.approx((0.2 + 0.3 + 0.1) / 3, rel=1e-5)


def test_t9_of_equal_tokens_the_second_is_to_weigh_more():
    """Record before film, record before shared, film before shared."""
    assert rank_loss(*ranked([0.5, 0.2, 0.3], costs=[1, 1, 1]), 0.0) == 0
    found = rank_loss(*ranked([0.2, 0.5, 0.3], costs=[1, 1, 1]), 0.0)
    assert found.item() == pytest.approx((0.1 + 0.3 + 0.2) / 3, rel=1e-5)


def test_ranking_trains_the_attention_and_no_head():
    model, seen = build(margin=0.5), make_seen()
    losses = model.losses_of(model(seen), make_target(), seen)
    losses["rank"].backward()
    assert model.attend.project.weight.grad.abs().sum() > 0
    assert all(head.weight.grad is None for head in model.heads)


def test_the_parts_are_the_heads_own_costs_by_their_weights():
    terms = {name: 0.5 + index for index, name in enumerate(DrFuse.losses)}
    model, seen = build(weights=terms), make_seen(has_film=[True, True, False, True])
    target, found = make_target(known=0.8, weight=3.0), answer(model, seen)
    losses = model.losses_of(found, target, seen)
    for name, token, counted in (
        ("record", RECORD, seen.is_real),
        ("film", FILM, seen.has_film),
        ("shared", SHARED, seen.is_real),
    ):
        cost = outcome_loss(found.parts["own_logits"][..., token], target, counted)
        torch.testing.assert_close(losses[name], terms[name] * cost)


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
def test_stays_without_a_film_add_to_the_published_divergence_alone(fidelity):
    model = build(fidelity=fidelity)
    seen = make_seen(has_film=[True, False, True, False])
    target = make_target()
    whole = model.losses_of(answer(model, seen), target, seen)
    paired = Seen(*(value[[0, 2]] for value in seen))
    kept = Target(target.is_present[[0, 2]], target.is_known[[0, 2]], target.positive_weight)
    alone = model.losses_of(answer(model, paired), kept, paired)
    for name in ("film", "film_distinct", "rank"):
        torch.testing.assert_close(whole[name], alone[name])
    if fidelity == "corrected":
        torch.testing.assert_close(whole["divergence"], alone["divergence"])
    else:
        assert whole["divergence"] > alone["divergence"] + 1e-4


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
def test_padding_stays_are_in_no_loss(fidelity):
    model, target = build(fidelity=fidelity), make_target(known=0.7)
    seen = make_seen()._replace(is_real=torch.tensor([True, True, True, False]))
    other = seen._replace(film=seen.film.clone(), hours=seen.hours.clone())
    other.film[3] = 0
    other.hours[3] = 5
    one = model.losses_of(answer(model, seen), target, seen)
    two = model.losses_of(answer(model, other), target, other)
    for name in model.losses:
        torch.testing.assert_close(one[name], two[name])


def test_no_film_in_a_batch_costs_nothing_and_trains_what_there_is():
    """Every weight has a gradient, for which other ranks wait."""
    model, seen = build(), make_seen(has_film=[False] * 4)
    found = model(seen)
    losses = model.losses_of(found, make_target(), seen)
    for name in ("film", "divergence", "film_distinct", "rank"):
        assert losses[name] == 0
    (found.logits.sum() + sum(losses.values())).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())
    assert model.record.project.weight.grad.abs().sum() > 0


def test_every_weight_is_trained():
    model, seen = build(), make_seen()
    found = model(seen)
    (found.logits.sum() + sum(model.losses_of(found, make_target(), seen).values())).backward()
    lost = [
        name
        for name, weight in model.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ]
    assert lost == []


def test_half_precision_costs_about_the_same():
    model, seen, target = build(), make_seen(has_film=[True, False, True, True]), make_target()
    found = []
    for is_half in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            said = model(seen)
            losses = model.losses_of(said, target, seen)
        total = outcome_loss(said.logits, target, seen.is_real) + sum(losses.values())
        total.backward()
        assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())
        assert said.parts["weights"][1, :, FILM].tolist() == [0] * LABELS
        found.append(total.item())
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_sixteen_stays_are_learnt_by_heart():
    seen, target = make_seen(stays=16, hours=6), make_target(stays=16)
    model = build().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=6e-3)
    for _ in range(90):
        found = model(seen)
        loss = outcome_loss(found.logits, target, seen.is_real)
        total = loss + sum(model.losses_of(found, target, seen).values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    assert loss < 0.1  # of log 2 at the start
    assert ((found.logits > 0) == target.is_present).all()


def test_a_seed_gives_the_same_weights_and_answers():
    seen = make_seen()
    assert torch.equal(answer(build(3), seen).logits, answer(build(3), seen).logits)
    assert differs(answer(build(3), seen), answer(build(4), seen))


def test_the_two_ends_of_a_film_differ_and_share_their_stem():
    torch.manual_seed(0)
    network = FilmBranches(drfuse_settings().film, WIDTH)
    shared, distinct = (list(part.parameters()) for part in (network.shared, network.distinct))
    assert len(shared) == len(distinct)
    weights = [pair for pair in zip(shared, distinct, strict=True) if pair[0].ndim > 1]
    assert all(not torch.equal(one, other) for one, other in weights)
    found = network(make_seen().film)
    (found.shared.sum() + found.distinct.sum()).backward()
    assert network.stem.embedder.convolution.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("side", [16, 48])
def test_films_of_another_size_are_resized(side):
    """A film of one grey level is the same at any size."""
    torch.manual_seed(0)
    network = FilmBranches(drfuse_settings().film, WIDTH)
    expected = network(torch.full((1, 1, SIDE, SIDE), 77, dtype=torch.uint8))
    found = network(torch.full((1, 1, side, side), 77, dtype=torch.uint8))
    torch.testing.assert_close(found.shared, expected.shared)


def test_public_weights_begin_both_ends(tmp_path):
    torch.manual_seed(5)
    public = ResNetModel(
        ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    )
    public.save_pretrained(tmp_path)
    settings = drfuse_settings(film={"norm": "batch", "weights": str(tmp_path)}).film
    network = FilmBranches(settings, WIDTH).eval()
    film = make_seen().film
    features = public.eval()(network._pixels(film)).pooler_output.flatten(1)
    found = network(film)
    torch.testing.assert_close(found.shared, network.to_shared(features))
    torch.testing.assert_close(found.distinct, network.to_distinct(features))
    other = settings.model_copy(update={"channels": [4, 16]})
    with pytest.raises(ContractError, match=r"expected \(16, .*film.weights: null"):
        FilmBranches(other, WIDTH)


def count(module):
    return sum(weight.numel() for weight in module.parameters())


def test_parameters_at_the_published_widths():
    """256 wide, 76 columns, 25 labels, ResNet-50 (23,508,032 without its head)."""
    settings = parse_settings(
        DrFuseSettings, read_yaml(find_config(".", "fusion-drfuse-published"))["model"], "published"
    )
    with torch.device("meta"):
        model = DrFuse(settings, Shape(76, (4, 28, 28), 25))
    attention = 4 * (256 * 256 + 256)
    layer = attention + 2 * 256 * 2048 + 2048 + 256 + 4 * 256
    assert count(model.record) == 76 * 256 + 256 + 350 * 256 + 3 * layer
    stem = 3 * 64 * 49 + 2 * 64
    assert count(model.film.stem) == stem
    assert count(model.film.shared) == count(model.film.distinct) == 23_508_032 - stem
    assert count(model.film.to_shared) == 2048 * 256 + 256
    assert count(model.project) == 328_704
    assert count(model.heads) == 3 * (256 * 25 + 25)
    assert count(model.attend) == 257 * 27 * 256 + 256 * 25 + 25


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_settings_are_whole(name):
    value = read_yaml(find_config(".", name))
    settings = parse_settings(DrFuseSettings, value["model"], name)
    assert value["task"] == "fusion"
    assert (settings.fidelity == "published") == (name == "fusion-drfuse-published")
    assert set(settings.weights.model_dump().values()) == {1.0}


@pytest.mark.parametrize(
    "change",
    [{"width": 15}, {"fidelity": "published", "margin": 0.1}],
)
def test_settings_that_do_not_fit_are_refused(change):
    with pytest.raises(ValueError, match=r"heads|margin"):
        drfuse_settings(**change)
    with pytest.raises(ValueError, match="depths"):
        drfuse_settings(film={"depths": [1]})

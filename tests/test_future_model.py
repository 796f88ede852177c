"""The latent transformer: shapes, masks, and what each part may see."""

from dataclasses import replace

import pytest
import torch
from tiny_future import SHAPE, make_known, model_settings, pad

from train.model.attention import Attention, Block, grid_sines, sines
from train.model.known import MODALITIES
from train.model.latent_transformer import LatentTransformer
from train.model.shape import TransformerSettings


def awake(settings=None, shape=SHAPE):
    """A model whose zeroed layers are random too, so that everything has an effect."""
    torch.manual_seed(1)
    model = LatentTransformer(settings or model_settings(), shape).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():
                weight.normal_(0, 0.2)
    return model


def noisy_of(known, seed=3):
    return torch.randn(known.previous.shape, generator=torch.Generator().manual_seed(seed))


def predict(model, known, noisy=None, time=0.3):
    with torch.no_grad():
        noisy = noisy_of(known) if noisy is None else noisy
        return model(noisy, torch.full((len(noisy),), time), known)


def assert_same(one, other):
    for found, expected in zip(one, other, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def differs(one, other):
    return (one - other).abs().max() > 1e-3


@pytest.mark.parametrize(("channels", "grid"), [(4, (28, 28)), (3, (64, 64)), (3, (4, 6))])
def test_the_velocity_has_the_latent_s_shape(channels, grid):
    shape = SHAPE._replace(channels=channels)
    known = replace(make_known(grid=grid), previous=torch.zeros(2, channels, *grid))
    found = predict(awake(shape=shape), known)
    assert found.velocity.shape == (2, channels, *grid)
    assert found.findings.shape == (2, 14)
    assert found.changes.shape == (2, 14, 5)


def test_a_new_model_predicts_no_velocity():
    known = make_known()
    velocity = predict(LatentTransformer(model_settings(), SHAPE), known).velocity
    assert torch.equal(velocity, torch.zeros_like(velocity))


def test_a_patch_returns_to_its_place():
    """One patch of the output, found by its number."""
    model = awake()
    patches = torch.zeros(1, 6, SHAPE.channels * 4)  # a grid of 2 x 3 patches
    patches[0, 5] = torch.arange(12)
    latent = model._unpatch(patches, 2, 3)
    expected = torch.zeros(1, 3, 4, 6)
    expected[0, :, 2:, 4:] = torch.arange(12.0).reshape(3, 2, 2)
    assert torch.equal(latent, expected)


@pytest.mark.parametrize(("hours", "events"), [(0, 7), (9, 0), (30, 50)])
def test_padding_changes_nothing(hours, events):
    model, known = awake(), make_known()
    assert_same(predict(model, pad(known, hours, events)), predict(model, known))


@pytest.mark.parametrize("places", [0, 3])
def test_an_empty_window_is_as_good_without_places(places):
    """No hour and no event: of tensors with no places, and with places that are not real."""
    model, known = awake(), make_known(hours=0, events=0)
    found = predict(model, pad(known, places, places))
    assert all(torch.isfinite(value).all() for value in found)
    assert_same(found, predict(model, known))


@pytest.mark.parametrize("name", MODALITIES)
def test_a_modality_is_seen_if_given_and_only_then(name):
    model = awake()
    one = make_known(seed=0)
    other = make_known(seed=1)
    fields = {
        "previous": ["previous"],
        "hours": ["hours"],
        "events": ["event", "event_hours", "event_end_hours", "event_runs", "event_table"],
        "demographics": ["age", "is_male", "bmi", "comorbidities"],
    }[name]
    changed = replace(one, **{field: getattr(other, field) for field in fields})
    for index in range(3):
        assert differs(predict(model, one)[index], predict(model, changed)[index])
    hidden, changed_hidden = one.without([name]), changed.without([name])
    assert_same(predict(model, hidden), predict(model, changed_hidden))
    assert differs(predict(model, one).velocity, predict(model, hidden).velocity)


@pytest.mark.parametrize("field", ["event_hours", "event_end_hours", "event_table", "event_runs"])
def test_what_is_said_of_events_matters(field):
    model, known = awake(), make_known()
    value = getattr(known, field)
    other = ~value if value.dtype == torch.bool else value + 1
    assert differs(
        predict(model, known).velocity, predict(model, replace(known, **{field: other})).velocity
    )


def test_an_empty_window_is_not_an_unknown_one():
    model, known = awake(), make_known(hours=0, events=0)
    for name in ("hours", "events"):
        assert differs(
            predict(model, known).velocity, predict(model, known.without([name])).velocity
        )


def test_what_is_not_known_of_a_patient_has_no_value():
    model, known = awake(), make_known()
    unknown = torch.zeros(2, dtype=torch.bool)
    one = replace(known, bmi_known=unknown, has_history=unknown)
    other = replace(one, bmi=one.bmi + 5, comorbidities=~one.comorbidities)
    assert_same(predict(model, one), predict(model, other))
    assert differs(predict(model, known).velocity, predict(model, one).velocity)


def test_the_head_sees_neither_noisy_target_nor_time():
    model, known = awake(), make_known()
    noisy = noisy_of(known).requires_grad_()
    time = torch.tensor([0.2, 0.7], requires_grad=True)
    found = model(noisy, time, known)
    heads = found.findings.sum() + found.changes.sum()
    assert torch.autograd.grad(heads, [noisy, time], allow_unused=True) == (None, None)
    (reached,) = torch.autograd.grad(found.velocity.sum(), noisy)
    assert reached.abs().sum() > 0


def test_every_weight_is_trained():
    """DDP waits for the gradient of every weight, and a modality that is never given has some."""
    known = make_known().without(list(MODALITIES))
    model = awake()
    found = model(noisy_of(known), torch.full((len(known.age),), 0.5), known)
    sum(value.square().sum() for value in found).backward()
    lost = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert lost == []


def test_a_sample_does_not_depend_on_its_neighbours():
    model, known = awake(), make_known(samples=2)
    together = predict(model, known)
    noisy = noisy_of(known)
    for row in range(2):
        rows = {name: getattr(known, name)[row : row + 1] for name in known.__dataclass_fields__}
        alone = predict(model, replace(known, **rows), noisy[row : row + 1])
        assert_same(alone, [value[row : row + 1] for value in together])


def test_gradient_checkpointing_changes_no_gradient():
    known = make_known()
    found = []
    for checkpointing in (False, True):
        model = awake(model_settings(gradient_checkpointing=checkpointing)).train()
        value = model(noisy_of(known), torch.full((2,), 0.5), known)
        (value.velocity.square().sum() + value.changes.sum()).backward()
        found.append([weight.grad for weight in model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_attention_over_one_token_is_that_token_s_value():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    tokens, context = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    is_token = torch.tensor([[False, True, False, False, False]] * 2)
    value = attention.out(attention.key_value(context)[:, 1, 8:])
    found = attention(tokens, attention.remember(context, is_token))
    torch.testing.assert_close(found, value[:, None].expand(2, 3, 8))


def test_a_new_block_changes_nothing():
    block = Block(8, 2, 2, 0.0, has_context=True)
    tokens = torch.randn(2, 3, 8)
    memory = block.look.remember(torch.randn(2, 4, 8))
    assert torch.equal(block(tokens, torch.randn(2, 8), None, memory), tokens)


def test_sines_of_known_values():
    found = sines(torch.tensor([0.0, 1.0]), 4, longest=4.0, shortest=2.0)
    expected = torch.tensor([[0.0, 0, 1, 1], [0, 1, -1, 0]])  # of pi and pi / 2
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_every_place_of_a_grid_has_its_own_numbers():
    places = grid_sines(5, 3, 16, torch.device("cpu"))
    assert places.shape == (15, 16)
    assert torch.cdist(places, places).fill_diagonal_(1).min() > 0.1


@pytest.mark.parametrize("change", [{"heads": 3}, {"width": 18, "heads": 2}])
def test_a_width_that_does_not_divide_is_refused(change):
    with pytest.raises(ValueError, match="multiple of heads"):
        TransformerSettings.model_validate(model_settings().model_dump() | change)

"""Encoders of events and films, and the adaptor that makes one context of them."""

import pytest
import torch
from safetensors.torch import save_file
from tiny_ehrxdiff import EVENTS, FILM, MOST_EVENTS, ROWS, condition, shake
from torch.nn.functional import layer_norm, linear, pad

from cxrfuture_data.schema import ContractError
from train.model.adaptor import Adaptor, Condition, ConditionSettings, InputSizes
from train.model.event import EventEncoder, EventSettings, pad_events, pool_events
from train.model.vision import FilmEncoder, FilmSettings
from train.tasks import read_task_settings

DIMENSIONS = 8
SIZES = InputSizes(latent=(4, 4, 4), event=DIMENSIONS)
PUBLISHED = read_task_settings("ehrxdiff").condition


def count(module):
    return sum(weight.numel() for weight in module.parameters())


def encoder(width=5, **changes):
    torch.manual_seed(0)
    settings = EventSettings.model_validate(EVENTS | changes)
    return shake(EventEncoder(settings, DIMENSIONS, width))


def window(*lengths, seed=1):
    """Events (B, E, D), of zeros at padding, and which are real."""
    random = torch.Generator().manual_seed(seed)
    is_event = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    event = torch.randn(*is_event.shape, DIMENSIONS, generator=random)
    return event * is_event[..., None], is_event


def inputs(*lengths, seed=1):
    random = torch.Generator().manual_seed(seed)
    latent = torch.randn(len(lengths), 4, 4, 4, generator=random)
    film = torch.randint(256, (len(lengths), 1, 32, 32), generator=random).to(torch.uint8)
    return Condition(latent, film, *window(*lengths, seed=seed))


def adaptor(attend, fidelity="corrected"):
    torch.manual_seed(0)
    settings = ConditionSettings.model_validate(condition(attend=attend))
    return shake(Adaptor(settings, SIZES, fidelity)).eval()


def test_the_encoders_have_the_published_number_of_parameters():
    with torch.device("meta"):
        events = EventEncoder(PUBLISHED.events, 1536, PUBLISHED.width)
        film = FilmEncoder(PUBLISHED.film, PUBLISHED.width)
    assert count(events) == 57_843_456
    assert count(film) == 87_467_520
    assert PUBLISHED.film.tokens == 65


@pytest.mark.parametrize("is_training", [True, False])
@torch.no_grad()
def test_padded_events_do_not_reach_the_tokens_of_others(is_training):
    model = encoder().train(is_training)
    event, is_event = window(3, 1)
    alone, _ = model(event, is_event)
    padded, is_token = model(*pad_events(event, is_event, MOST_EVENTS))
    assert padded.shape == (2, MOST_EVENTS, 5)
    assert torch.allclose(alone[is_event], padded[is_token], atol=1e-5)


@torch.no_grad()
def test_tokens_at_padding_are_the_same_numbers_in_training_and_evaluation():
    """Else what is published would be fused from other numbers than it was trained on."""
    event, is_event = pad_events(*window(3, 1, 0), MOST_EVENTS)
    model = encoder(layers=2)
    trained, _ = model.train()(event, is_event)
    evaluated, _ = model.eval()(event, is_event)
    assert torch.allclose(trained, evaluated, atol=1e-5)
    assert trained[1, 1:].abs().min() > 0


@torch.no_grad()
def test_the_order_of_events_only_orders_their_tokens():
    model = encoder().eval()
    event, is_event = window(4)
    order = torch.tensor([2, 0, 3, 1])
    ordered, _ = model(event[:, order], is_event)
    assert torch.allclose(model(event, is_event)[0][:, order], ordered, atol=1e-5)


@pytest.mark.parametrize("is_training", [True, False])
def test_windows_without_events_give_numbers_and_gradients(is_training):
    model = encoder().train(is_training)
    for event, is_event in (window(2, 0), window(0, 0)):
        tokens, is_token = model(event, is_event)
        assert tokens.shape[1] == max(event.shape[1], 1)
        assert is_token.sum() == is_event.sum()
        pool_events(tokens, is_token, over_padding=False).sum().backward()
        assert tokens.isfinite().all()
        assert all(weight.grad.isfinite().all() for weight in model.parameters())


def test_pooling_is_a_mean_of_real_events_or_as_published_a_sum_over_all():
    tokens = torch.tensor([[[1.0], [2.0], [30.0]], [[5.0], [6.0], [7.0]]])
    is_event = torch.tensor([[True, True, False], [False, False, False]])
    assert pool_events(tokens, is_event, over_padding=False).tolist() == [[1.5], [0.0]]
    assert pool_events(tokens, is_event, over_padding=True).tolist() == [[16.5], [18.0]]


def test_heads_that_do_not_divide_an_embedding_are_refused():
    with pytest.raises(ContractError, match="heads: 3 does not divide the 8 numbers"):
        encoder(heads=3)


@torch.no_grad()
def test_a_film_is_read_as_the_specification_says():
    """7.2 by hand, with one block and one head."""
    torch.manual_seed(0)
    model = shake(FilmEncoder(FilmSettings.model_validate(FILM | {"heads": 1}), 16)).eval()
    weights = {name.split("layers.0.")[-1]: w for name, w in model.transformer.named_parameters()}

    def norm(name, value):
        return layer_norm(value, (16,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    def apply(name, value):
        return linear(value, weights[f"{name}.weight"], weights[f"{name}.bias"])

    film = torch.randint(256, (2, 1, 32, 32), generator=torch.Generator().manual_seed(1))
    pixels = (film / 127.5 - 1).expand(-1, 3, -1, -1)
    squares = pixels.unfold(2, 16, 16).unfold(3, 16, 16)  # (B, 3, 2, 2, 16, 16)
    squares = squares.permute(0, 2, 3, 1, 4, 5).reshape(2, 4, -1)
    patches = squares @ weights["embeddings.patch_embedding.weight"].reshape(16, -1).T
    cls = weights["embeddings.class_embedding"].expand(2, 1, -1)
    positions = weights["embeddings.position_embedding.weight"]
    value = norm("pre_layrnorm", torch.cat([cls, patches], 1) + positions)
    query, key, content = (
        apply(f"self_attn.{name}_proj", norm("layer_norm1", value)) for name in "qkv"
    )
    attention = torch.softmax(query @ key.transpose(1, 2) / 4, -1) @ content
    value = value + apply("self_attn.out_proj", attention)
    wide = apply("mlp.fc1", norm("layer_norm2", value))
    value = value + apply("mlp.fc2", wide * torch.sigmoid(1.702 * wide))

    found = model(film.to(torch.uint8))
    assert torch.allclose(found.tokens, value, atol=1e-5)
    assert torch.allclose(found.pooled, norm("post_layernorm", value[:, 0]), atol=1e-5)


def test_positions_start_as_wide_as_clips():
    torch.manual_seed(0)
    settings = FilmSettings.model_validate(FILM | {"patch": 2, "heads": 4})
    positions = FilmEncoder(settings, 64).transformer.embeddings.position_embedding.weight
    assert positions.std().item() == pytest.approx(64**-0.5, rel=0.02)


def test_public_weights_are_taken_but_positions_of_another_size(tmp_path):
    torch.manual_seed(0)
    settings = FilmSettings.model_validate(FILM)
    public = {
        f"vision_model.{name}": torch.randn(weight.shape)
        for name, weight in FilmEncoder(settings, 16).transformer.named_parameters()
    }
    name = "vision_model.embeddings.position_embedding.weight"
    public[name] = torch.randn(50, 16)
    save_file(public, tmp_path / "public.safetensors")
    path = str(tmp_path / "public.safetensors")
    model = FilmEncoder(settings.model_copy(update={"weights": path}), 16).transformer
    for own, weight in model.named_parameters():
        if f"vision_model.{own}" != name:
            assert torch.equal(weight, public[f"vision_model.{own}"])
    del public["vision_model.post_layernorm.bias"]
    save_file(public, tmp_path / "public.safetensors")
    with pytest.raises(ContractError, match=r"post_layernorm\.bias is nothing, expected \(16,\)"):
        FilmEncoder(settings.model_copy(update={"weights": path}), 16)


@pytest.mark.parametrize(("attend", "tokens"), [
    (["latent"], 4), (["film"], 5), (["events"], 3), (["events", "film"], 7),
    (["film", "latent"], 7), (["events", "latent"], 7), (["events", "film", "latent"], 7),
])  # fmt: skip
def test_one_source_keeps_its_tokens_and_several_are_fused(attend, tokens):
    context = adaptor(attend)(inputs(3, 1))
    assert context.tokens.shape == (2, tokens, 16)
    if attend == ["events"]:
        assert context.is_token.tolist() == [[True, True, True], [True, False, False]]
    else:
        assert context.is_token is None


@torch.no_grad()
def test_fusion_is_one_linear_layer_over_the_places_of_events_film_and_latent():
    model, given = adaptor(["latent", "film", "events"]), inputs(3, 1)
    tokens, is_token = model.events(given.event, given.is_event)
    parts = [
        pad(tokens * is_token[..., None], (0, 0, 0, MOST_EVENTS - 3)),
        model.film(given.film).tokens,
        model.latent(given.latent.reshape(2, 4, 16)),
    ]
    wanted = torch.einsum("ts,bsw->btw", model.fuse.weight, torch.cat(parts, 1))
    wanted = wanted + model.fuse.bias[:, None]
    assert torch.allclose(model(given).tokens, wanted, atol=1e-5)


@pytest.mark.parametrize("attend", [sources for sources, _ in ROWS if "events" in sources])
@torch.no_grad()
def test_padding_changes_nothing(attend):
    model, given = adaptor(attend), inputs(3, 1, 0)
    longer = pad_events(given.event, given.is_event, MOST_EVENTS)
    alone = model(given)
    padded = model(Condition(given.latent, given.film, *longer))
    if alone.is_token is None:
        assert torch.allclose(alone.tokens, padded.tokens, atol=1e-5)
    else:
        assert torch.allclose(pad(alone.tokens, (0, 0, 0, 3)), padded.tokens, atol=1e-5)
        assert padded.is_token.sum(1).tolist() == [3, 1, 0]


@torch.no_grad()
def test_as_published_padding_is_fused_like_events():
    corrected, published = adaptor(["events", "film"]), adaptor(["events", "film"], "published")
    full, short = inputs(MOST_EVENTS), inputs(2)
    assert torch.allclose(corrected(full).tokens, published(full).tokens, atol=1e-5)
    assert not torch.allclose(corrected(short).tokens, published(short).tokens, atol=1e-2)
    alone = adaptor(["events"], "published")(short)
    assert alone.tokens.shape[1] == MOST_EVENTS
    assert alone.is_token is None


def test_every_weight_that_is_trained_takes_part_whatever_the_window():
    """A weight without gradient stalls several ranks."""
    for lengths in ((3, 1), (0, 0)):
        model = adaptor(["events", "film", "latent"])
        model(inputs(*lengths)).tokens.sum().backward()
        for name, weight in model.named_parameters():
            assert (weight.grad is not None) == weight.requires_grad, name


@torch.no_grad()
def test_events_can_be_left_out_of_some_samples():
    model, given = adaptor(["events", "latent"]), inputs(3, 2)
    dropped = model(given.without_events(torch.tensor([True, False]))).tokens
    kept = model(given).tokens
    assert torch.allclose(dropped[1], kept[1], atol=1e-6)
    assert not torch.allclose(dropped[0], kept[0], atol=1e-2)
    other = Condition(given.latent, given.film, given.event + 9, given.is_event)
    again = model(other.without_events(torch.tensor([True, False]))).tokens
    assert torch.allclose(dropped[0], again[0], atol=1e-6)

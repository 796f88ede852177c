"""Fusion models: what each may depend on, and what it may not."""

import pytest
import torch
from tiny_fusion import (
    CONFIGS,
    MODELS,
    NAMES,
    PUBLISHED,
    SHAPE,
    build,
    build_block,
    pad,
    random_seen,
    random_target,
    read_model,
    rows_of,
    total_loss,
)

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import read_yaml
from train.fusion.daft import bottleneck
from train.fusion.seen import Shape, Target
from train.outcome_metric import auroc

SEES_FILMS = [name for name in NAMES if not name.startswith(("uni_ehr", "tabular"))]
SEES_HOURS = [name for name in NAMES if name not in ("uni_cxr", "tabular")]
OURS = [
    path.stem.removeprefix("fusion-")
    for path in sorted(CONFIGS.glob("fusion-*.yaml"))
    if read_yaml(path)["model"]["name"] in MODELS
]
EACH = [(name, {}) for name in NAMES]


def weights_of(module):
    return sum(weight.numel() for weight in module.parameters())


def fit(model, seen, target, rate, steps=200):
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        loss = total_loss(model, seen, target)
        if loss < 0.02:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()


@pytest.fixture(scope="module")
def seen():
    return random_seen()


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_has_its_shapes_and_names(name, seen):
    model = build(name)
    answer = model(seen)
    assert answer.logits.shape == (6, 3)
    losses = model.losses_of(answer, random_target(), seen)
    assert list(losses) == list(model.losses)
    assert all(loss.shape == () for loss in losses.values())
    if model.modalities:
        assert answer.attention.shape == (6, len(model.modalities))
        assert torch.allclose(answer.attention.sum(1), torch.ones(6), atol=1e-6)
        assert model.train()(seen).attention is None
    else:
        assert answer.attention is None


@pytest.mark.parametrize("value", [0.0, 9.0])
@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name, value, seen):
    model = build(name)
    more = model(pad(seen, 7, value))
    assert torch.allclose(more.logits, model(seen).logits, atol=1e-5)


@pytest.mark.parametrize("name", ["mmtm", "daft"])
def test_as_published_padding_dilutes_the_mean_over_time(name, seen):
    model = build(name, **PUBLISHED)
    change = (model(pad(seen, 7)).logits - model(seen).logits).abs().max(1).values
    assert (change[seen.has_film] > 1e-5).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_stay_has_the_same_answer_alone_and_in_a_batch(name, seen):
    """In training too: no statistic is taken over a batch."""
    model = build(name).train()
    together = model(seen).logits
    for row in range(3):
        alone = model(rows_of(seen, slice(row, row + 1))).logits
        assert torch.allclose(alone[0], together[row], atol=1e-5)


@pytest.mark.parametrize("changes", [{}, PUBLISHED])
@pytest.mark.parametrize("name", SEES_FILMS)
def test_a_film_that_is_not_there_changes_nothing(name, changes, seen):
    """Nor does a latent; a film that is there does (T6 of fusion-baselines 18)."""
    model = build(name, **(changes if name in ("mmtm", "daft") else {}))
    other = seen._replace(film=255 - seen.film, generated=seen.generated + 1)
    change = (model(other).logits - model(seen).logits).abs().max(1).values
    assert (change[~seen.has_film] == 0).all()
    assert (change[seen.has_film] > 0).all()


@pytest.mark.parametrize("name", SEES_HOURS)
def test_the_record_matters(name, seen):
    model = build(name)
    other = model(seen._replace(hours=seen.hours + 1.0 * seen.is_hour[..., None]))
    assert ((other.logits - model(seen).logits).abs().max(1).values > 0).all()


@pytest.mark.parametrize("name", ["uni_cxr", "ddl_cxr", "mmtm", "daft", "medfuse"])
def test_a_blank_film_is_in_no_moment_of_batch_norm(name):
    """A stay without a film leaves the running mean where the other stays put it."""
    seen = random_seen()
    moments = []
    for stays in (seen, rows_of(seen, seen.has_film)):
        model = build(name, film={"norm": "batch"}).train()
        model(stays)
        moments.append(model.film.network.embedder.embedder.normalization.running_mean)
    assert torch.equal(*moments)
    assert moments[0].abs().max() > 0


@pytest.mark.parametrize("films", ["some", "none"])
@pytest.mark.parametrize(("name", "changes"), [*EACH, ("mmtm", PUBLISHED), ("daft", PUBLISHED)])
def test_every_weight_has_a_gradient(name, changes, films, seen):
    """Of a batch without films too, for ranks that average gradients wait for each other's."""
    if films == "none":
        seen = seen._replace(has_film=torch.zeros_like(seen.has_film))
    model = build(name, **changes).train()
    total_loss(model, seen, random_target()).backward()
    assert [n for n, weight in model.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_makes_a_model(name, seen):
    first, again, other = (build(name, seed=seed)(seen).logits for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "tabular"])
def test_it_learns_16_stays_by_heart(name):
    """Random labels, which two numbers of a patient cannot tell apart: the tabular model is out."""
    seen = random_seen(24, hours=4, pixels=16)
    seen = rows_of(seen, seen.has_film)  # 16 stays
    target = random_target(16)
    model = build(name)
    fit(model, seen, target, 1e-2)
    assert ((model(seen).logits > 0) == target.is_present).all()


def test_the_tabular_model_learns_what_age_says():
    seen = random_seen(64)
    target = random_target(64)._replace(is_present=(seen.age > 55)[:, None].expand(64, 3))
    model = build("tabular")
    fit(model, seen, target, 0.1)
    assert ((model(seen).logits > 0) == target.is_present).float().mean() > 0.95


@pytest.mark.parametrize("name", ["uni_ehr", "uni_ehr_lstm", "last_cxr", "mmtm", "medfuse"])
def test_shuffled_labels_teach_nothing_of_other_stays(name):
    """A label that the last hour tells is found in stays never seen; shuffled, it is not."""
    shape = SHAPE._replace(labels=1)
    seen = random_seen(900, hours=3, pixels=16, shape=shape)
    seen = rows_of(seen, seen.has_film)
    last = seen.hours[torch.arange(len(seen.hours)), seen.is_hour.sum(1) - 1, 0]
    is_present = (last > 0)[:, None]
    train, test = slice(0, 300), slice(300, None)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    found = {}
    for kind, labels in (("true", is_present[train]), ("shuffled", is_present[train][order])):
        model = build(name, shape)
        target = Target(labels, torch.ones_like(labels), torch.ones(1))
        fit(model, rows_of(seen, train), target, 1e-2, steps=40)
        logits = model(rows_of(seen, test)).logits.detach()
        found[kind] = auroc(logits[:, 0].numpy(), is_present[test, 0].numpy())
    assert found["true"] > 0.85
    assert abs(found["shuffled"] - 0.5) < 0.15


def test_ddl_cxr_has_the_published_number_of_weights():
    """Specs ddl-cxr 9; LayerNorm has as many as BatchNorm. K = 25 labels."""
    model = build_block(read_model("ddl_cxr-published"), Shape(79, (4, 28, 28), 25))
    assert weights_of(model.record) == 1_357_056
    assert weights_of(model.latent) == 1_382_144
    assert weights_of(model.patch) == 8_320
    assert weights_of(model.fusion) == 1_578_752
    assert weights_of(model.film_token) == 262_656
    assert weights_of(model.film) == 21_284_672
    assert weights_of(model.head) == 68_889


def test_mmtm_squeezes_to_384():
    """Specs fusion-baselines 8 and 18 (T5)."""
    model = build_block(read_model("mmtm"), Shape(76, (0, 28, 28), 1))
    assert model.gates.squeeze.weight.shape == (384, 768)
    assert model.gates.film.weight.shape == (512, 384)
    assert model.gates.record.weight.shape == (256, 384)
    lstm = 4 * 256 * (76 + 256 + 2) + 4 * 256 * (256 + 256 + 2)
    assert weights_of(model.record) == lstm


@pytest.mark.parametrize(("stages", "expected"), [(1, 11), (2, 20), (3, 38), (4, 75)])
def test_daft_squeezes_by_seven(stages, expected):
    """T5 of specs fusion-baselines 18: the stage that speaks is the last that the network has."""
    channels = [4 * 2**stage for stage in range(stages)]
    model = build("daft", film={"channels": channels, "depths": [1] * stages})
    assert model.squeeze.weight.shape == (bottleneck(channels[-1]), channels[-1] + 32)
    assert bottleneck(64 * 2 ** (stages - 1)) == expected


def test_last_cxr_is_ddl_cxr_without_the_latent(seen):
    model = build("ddl_cxr", without=["record", "latent"])
    attention = model(seen).attention
    assert attention[seen.has_film].tolist() == [[1.0, 0.0, 0.0]] * 4
    assert attention[~seen.has_film].tolist() == [[0.0, 0.0, 0.0]] * 2
    nothing = Shape(6, (0, 8, 8), 3)
    without = seen._replace(generated=torch.zeros(6, 0, 8, 8))
    assert build("last_cxr", nothing)(without).logits.shape == (6, 3)
    with pytest.raises(ContractError, match=r"model\.without=\[latent\]"):
        build("ddl_cxr", nothing)
    with pytest.raises(ContractError, match="does not divide latents of 8 x 8"):
        build("ddl_cxr", SHAPE, patch=3)


@pytest.mark.parametrize("config", OURS)
def test_shipped_configs_build(config):
    """All say the same things, each by its own model."""
    said = read_yaml(CONFIGS / f"fusion-{config}.yaml")
    assert list(said) == list(read_yaml(CONFIGS / "fusion-mmtm.yaml"))
    with torch.device("meta"):
        model = build_block(said["model"], Shape(79, (4, 28, 28), 25))
    assert weights_of(model) > 0


@pytest.mark.parametrize(
    ("begins", "part", "as_of"),
    [
        *((name, "film", "uni_cxr") for name in SEES_FILMS),
        *((name, "record", "uni_ehr_lstm") for name in ("mmtm", "daft", "medfuse")),
        ("ddl_cxr", "record", "uni_ehr"),
    ],
)
def test_an_encoder_begins_as_another_runs(begins, part, as_of):
    """``start`` of a config: MedFuse's order of training (fusion-baselines 7.3)."""
    first = getattr(build(as_of, seed=1), part)
    second = getattr(build(begins), part)
    second.load_state_dict(first.state_dict())
    assert all(
        torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True)
    )

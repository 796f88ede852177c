"""The network of Diff3M and its training: facts of specs diff3m 9, 10, 12 and 18."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_diff3m import SIDE, build_diff3m, diff3m_settings, image_batch

from cxrfuture_data import ContractError, open_dataset
from train.diff3m import Diff3MTask, freeze_stage_1, measure_moments, pixels_of, start_from
from train.draw import draw_normal, draw_timestep, generators
from train.fit import fit
from train.inversion import kept_signal
from train.model.diff3m import Diff3M, blend, checkerboard, soften
from train.model.pixel_unet import Decoder, Encoder
from train.model.static_attention import (
    MEASUREMENTS,
    PLACEHOLDER,
    StaticAttention,
    attention_weights,
    demographics_of,
)
from train.task import Moment

CPU = torch.device("cpu")
PAPER = {"width": 128, "multipliers": [1, 1, 2, 2, 4, 4], "res_blocks": 2, "norm_groups": 32}


pytestmark = pytest.mark.usefixtures("new_accelerator")


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_diff3m(tmp_path_factory.mktemp("diff3m"))


def awake(model):
    """With no weight at zero, so that every part has a say."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) / max(weight[0].numel(), 4) ** 0.5)
    return model.eval()


def inputs(count=2, side=SIDE):
    batch = image_batch(count, side)
    film = batch.image_film / 255
    level = torch.arange(count) * 300
    return torch.randn_like(film), level, film, batch.static, batch.static_known


# --- static values -------------------------------------------------------------------------------


def test_demographic_tokens_are_age_then_female_male_pa_ap():
    """Ages 1 and 100 are 0 and 1 (T7, T8)."""
    static = torch.zeros(2, 8)
    static[:, :3] = torch.tensor([[1.0, 1.0, 1.0], [0.0, 100.0, 0.0]])  # male, age, AP
    values, known = demographics_of(static, torch.ones(2, 8, dtype=torch.bool))
    assert values.tolist() == [[0, 0, 1, 0, 1], [1, 1, 0, 1, 0]]
    assert known.all()


def test_weights_sum_to_1_and_equal_scores_give_the_plain_mean():
    tokens, query = torch.randn(3, 5, 8), torch.randn(3, 8)
    known = torch.ones(3, 5, dtype=torch.bool)
    assert torch.allclose(attention_weights(tokens, query, known).sum(1), torch.ones(3))
    even = attention_weights(tokens, torch.zeros(3, 8), known)
    assert torch.allclose(even, torch.full((3, 5), 0.2))


def test_weights_of_two_tokens_by_hand():
    """<token, q> / sqrt(4) is 1 and 0, so the weights are e / (1 + e) and 1 / (1 + e)."""
    tokens = torch.tensor([[[2.0, 0, 0, 0], [0, 1.0, 0, 0]]])
    weights = attention_weights(tokens, torch.tensor([[1.0, 0, 0, 0]]), torch.ones(1, 2).bool())
    assert weights[0].tolist() == pytest.approx([math.e / (1 + math.e), 1 / (1 + math.e)])


@pytest.mark.parametrize("skips", [True, False])
def test_what_is_not_known_is_not_attended_to_unless_as_published(skips):
    """Its stored value never counts; as published the token of 0 does."""
    attention = StaticAttention(4, 8, PLACEHOLDER, skips_unknown=skips).eval()
    features, batch = torch.randn(2, 4, 3, 3), image_batch(2)
    known = batch.static_known.clone()
    known[:, 3] = False
    found = attention(features, batch.static, known)
    changed = batch.static.clone()
    changed[:, 3] = 99
    assert torch.equal(found, attention(features, changed, known))
    zeroed = batch.static.clone()
    zeroed[:, 3] = 0
    assert torch.allclose(found, attention(features, zeroed, batch.static_known)) != skips


def test_a_patient_of_whom_nothing_is_known_has_no_condition():
    attention = StaticAttention(4, 8, PLACEHOLDER, skips_unknown=True)
    found = attention(torch.randn(2, 4, 3, 3), torch.zeros(2, 8), torch.zeros(2, 8).bool())
    assert torch.equal(found, torch.zeros(2, 8))


def test_moments_are_those_of_normal_training_films_alone(dataset):
    """Patients 1 to 8, one normal film each; the weight of patient 2 is not known."""
    data = open_dataset(dataset)
    task = Diff3MTask(diff3m_settings(), data)
    found = measure_moments(task.select(data.split("train", "image")))
    values = dict(zip(MEASUREMENTS, zip(found.mean, found.std, strict=True), strict=True))
    heights = np.arange(61.0, 69.0)
    assert values["height"] == pytest.approx((heights.mean(), heights.std()))
    weights = np.array([150.0 + 3 * subject for subject in (1, 3, 4, 5, 6, 7, 8)])
    assert values["weight"] == pytest.approx((weights.mean(), weights.std()))
    assert values["diastolic"] == (70, 1)  # a constant is not scaled
    model = task.build()
    assert model.static.mean.tolist() == pytest.approx(list(found.mean))


def test_only_films_that_say_no_finding_are_learned_from(dataset):
    data = open_dataset(dataset)
    task = Diff3MTask(diff3m_settings(), data)
    for split, count in (("train", 8), ("valid", 2), ("test", 2)):
        chosen = task.select(data.split(split, "image"))
        assert len(chosen) == count
        assert set(chosen.columns["image.No Finding"]) == {1}


def test_an_age_of_100_is_refused_as_published(dataset):
    batch = image_batch(2)
    batch.static[1, 1] = 100
    at = Moment(0, 0, 1, CPU)
    for fidelity in ("corrected", "published"):
        settings = diff3m_settings(fidelity=fidelity)
        task, model = Diff3MTask(settings, open_dataset(dataset)), Diff3M(settings, PLACEHOLDER)
        if fidelity == "corrected":
            assert task.losses_of(model, batch, at)["loss"].isfinite()
        else:
            with pytest.raises(ContractError, match="100 years"):
                task.losses_of(model, batch, at)


# --- masks ---------------------------------------------------------------------------------------


def test_masks_are_a_checkerboard_that_fades_with_the_step():
    """T9."""
    first, second = checkerboard(torch.zeros(1, 1, 4, 4))
    assert first[:2, :3].tolist() == [[0, 1, 0], [1, 0, 1]]
    assert torch.equal(first + second, torch.ones(4, 4))
    masks = soften((first, second), torch.tensor([0, 500]))
    assert torch.equal(masks[0][0, 0], first)
    assert torch.equal(masks[0][0] + masks[1][0], torch.ones(1, 4, 4))
    assert masks[0][1].unique().tolist() == [0.5, 1]


@pytest.mark.parametrize(("normalised", "total"), [(True, 1.0), (False, 1.5)])
def test_the_blends_weights_sum_to_1_or_as_published_to_more(normalised, total):
    ones = torch.ones(1, 1, 4, 4)
    found = blend((ones, ones), torch.tensor([500]), normalised=normalised)
    assert torch.equal(found, total * ones)


def test_each_branch_fills_what_the_other_saw():
    """At step 0 the first branch gives the pixels that its own mask hides."""
    ones = torch.ones(1, 1, 4, 4)
    first, _ = checkerboard(ones)
    found = blend((ones, 0 * ones), torch.tensor([0]), normalised=True)
    assert torch.equal(found[0, 0], 1 - first)


def test_a_branch_at_step_0_does_not_see_what_it_fills():
    """Changing hidden pixels of the noisy film changes no rebuilt pixel there."""
    model = awake(Diff3M(diff3m_settings(), PLACEHOLDER))
    noisy, _, film, static, known = inputs(1)
    first, _ = checkerboard(noisy)
    other = torch.where(first == 0, noisy + 1, noisy)
    level = torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        one = model(noisy, level, film, static, known).rebuilt
        two = model(other, level, film, static, known).rebuilt
    assert torch.equal(one[0, 0][first == 0], two[0, 0][first == 0])
    assert not torch.equal(one[0, 0][first == 1], two[0, 0][first == 1])


# --- network -------------------------------------------------------------------------------------


def test_the_papers_encoder_has_its_18_blocks():
    """10.2, 18b: channels and sides of what every block gives, at 1/8 of the side."""
    settings = diff3m_settings(unet=PAPER | {"attention_levels": [4]}).unet
    with torch.device("meta"):
        skips = Encoder(settings)(torch.zeros(1, 1, 256, 256), torch.zeros(1, 512))
    found = [(skip.shape[1], skip.shape[2]) for skip in skips]
    assert found == [
        *[(128, 256)] * 3,
        *[(128, 128)] * 3,
        (128, 64),
        *[(256, 64)] * 2,
        *[(256, 32)] * 3,
        (256, 16),
        *[(512, 16)] * 2,
        *[(512, 8)] * 3,
    ]


def test_the_papers_decoder_takes_three_skips_a_level_and_draws_the_film():
    settings = diff3m_settings(unet=PAPER | {"attention_levels": [4]}).unet
    with torch.device("meta"):
        decoder = Decoder(settings, 2)
        skips = Encoder(settings)(torch.zeros(1, 1, 256, 256), torch.zeros(1, 512))
        assert decoder(skips, torch.zeros(1, 512)).shape == (1, 2, 256, 256)
    assert [len(level.resnets) for level in decoder.levels] == [3] * 6
    assert [hasattr(level, "attentions") for level in decoder.levels].index(True) == 1


@pytest.mark.parametrize(("fidelity", "channels"), [("corrected", 1), ("published", 2)])
def test_shapes_and_the_start_at_zero(fidelity, channels):
    model = Diff3M(diff3m_settings(fidelity=fidelity), PLACEHOLDER)
    assert model.decoder.last.weight.shape == (channels, 4, 3, 3)
    assert model.mask_decoder.last.weight.shape == (1, 4, 3, 3)
    assert model.static.demographics.weight.shape == (5, 16)
    found = model(*inputs())
    assert found.noise.shape == found.rebuilt.shape == (2, 1, SIDE, SIDE)
    assert not found.noise.any()
    assert not found.rebuilt.any()


def test_condition_once_and_predict_is_the_one_forward():
    model = awake(Diff3M(diff3m_settings(), PLACEHOLDER))
    noisy, level, film, static, known = inputs()
    with torch.no_grad():
        one = model(noisy, level, film, static, known)
        two = model.predict(noisy, level, model.condition(film, static, known))
    assert torch.equal(one.noise, two.noise)
    assert torch.equal(one.rebuilt, two.rebuilt)


def test_static_values_and_film_reach_both_outputs():
    model = awake(Diff3M(diff3m_settings(), PLACEHOLDER))
    noisy, level, film, static, known = inputs()
    with torch.no_grad():
        plain = model(noisy, level, film, static, known)
        older = static.clone()
        older[:, 1] += 40
        for changed in (
            model(noisy, level, film, older, known),
            model(noisy, level, film.flip(0), static, known),
        ):
            assert not torch.allclose(plain.noise, changed.noise)
            assert not torch.allclose(plain.rebuilt, changed.rebuilt)


@pytest.mark.parametrize("rebuild_weight", [0.5, 0.0])
def test_every_weight_has_a_gradient(rebuild_weight):
    """So that several ranks need not look for unused ones (17)."""
    model = awake(Diff3M(diff3m_settings(rebuild_weight=rebuild_weight), PLACEHOLDER)).train()
    found = model(*inputs())
    (found.noise.square().mean() + found.rebuilt.square().mean()).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_gradient_checkpointing_changes_no_gradient():
    plain = awake(Diff3M(diff3m_settings(), PLACEHOLDER)).train()
    saving = Diff3M(diff3m_settings(unet={"gradient_checkpointing": True}), PLACEHOLDER).train()
    saving.load_state_dict(plain.state_dict())
    batch = inputs()
    for model in (plain, saving):
        found = model(*batch)
        (found.noise.square().mean() + found.rebuilt.square().mean()).backward()
    for one, two in zip(plain.parameters(), saving.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, atol=1e-6)


def test_without_masks_the_rebuilt_film_is_the_noisy_one():
    model = Diff3M(diff3m_settings(rebuild_weight=0.0), PLACEHOLDER)
    assert not any(name.startswith("mask_") for name in model.state_dict())
    batch = inputs()
    assert torch.equal(model(*batch).rebuilt, batch[0])


# --- training ------------------------------------------------------------------------------------


def test_films_are_the_mean_of_the_pixels_they_cover():
    batch = image_batch(2, side=4)
    film = batch.image_film.numpy().astype(float)
    found = pixels_of(batch, diff3m_settings(film_size=2)).numpy()
    assert found == pytest.approx(film.reshape(2, 1, 2, 2, 2, 2).mean((3, 5)) / 255)
    with pytest.raises(ContractError, match="multiple of 8"):
        pixels_of(batch, diff3m_settings(film_size=None, unet={"multipliers": [1, 1, 1, 1]}))
    with pytest.raises(ContractError, match="film_size 8"):
        pixels_of(batch, diff3m_settings(film_size=8))


@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_the_loss_against_numpy(dataset, weight):
    settings = diff3m_settings(rebuild_weight=weight)
    model = awake(Diff3M(settings, PLACEHOLDER))
    batch, at = image_batch(3), Moment(seed=3, step=5, steps=9, device=CPU)
    batch.is_padding[2] = True  # a repeated film counts for nothing
    found = Diff3MTask(settings, open_dataset(dataset)).losses_of(model, batch, at)

    randoms = generators(batch.keys, "train", 3, 5)
    level = draw_timestep(randoms, 1000)
    noise = draw_normal(randoms, (1, SIDE, SIDE)).numpy()
    film = batch.image_film.numpy() / 255
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[level.numpy()][:, None, None, None]
    noisy = np.sqrt(kept) * film + np.sqrt(1 - kept) * noise
    with torch.no_grad():
        predicted = model(
            torch.from_numpy(noisy).float(),
            level,
            torch.from_numpy(film).float(),
            batch.static,
            batch.static_known,
        )
    noise_error = np.mean((noise - predicted.noise.numpy())[:2] ** 2)
    rebuild_error = np.mean((noisy - predicted.rebuilt.numpy())[:2] ** 2)
    assert found["noise"].item() == pytest.approx(noise_error, rel=1e-4)
    assert found["rebuild"].item() == pytest.approx(rebuild_error, rel=1e-4)
    expected = (1 - weight) * noise_error + weight * rebuild_error
    assert found["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_the_schedule_is_the_papers():
    kept = kept_signal()
    assert [kept[level].item() for level in (0, 400, 499)] == pytest.approx(
        [0.9999, 0.1936, 0.0786], abs=1e-4
    )
    assert kept[-1] == 1


def test_eight_films_are_learned_by_heart(dataset):
    settings = diff3m_settings()
    task = Diff3MTask(settings, open_dataset(dataset))
    model = Diff3M(settings, PLACEHOLDER)
    batch = image_batch(8)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.6e-2)
    history = []
    for step in range(24):
        losses = task.losses_of(model, batch, Moment(1, step % 4, 24, CPU))
        losses["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
        history.append({name: value.item() for name, value in losses.items()})
    for name in ("noise", "rebuild"):
        first, last = (np.mean([row[name] for row in part]) for part in (history[:4], history[-4:]))
        assert last < 0.5 * first, name


def test_the_loop_trains_it_on_a_dataset(dataset, tmp_path):
    fit(dataset, tmp_path / "run", diff3m_settings(), 5)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["samples"] == 8
    assert metrics["last"]["loss"] < metrics["first"]["loss"]
    assert metrics["best_valid"] > 0


# --- two stages ----------------------------------------------------------------------------------


def stage_1(path, **changes):
    """A file of random weights without masked branches; its weights."""
    model = awake(Diff3M(diff3m_settings(rebuild_weight=0.0, **changes), PLACEHOLDER))
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    save_file(weights, path)
    return weights


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
def test_stage_2_starts_its_masked_branches_from_stage_1(tmp_path, fidelity):
    path = tmp_path / "stage1.safetensors"
    weights = stage_1(path, fidelity=fidelity)
    settings = diff3m_settings(fidelity=fidelity)
    model = Diff3M(settings, PLACEHOLDER)
    start_from(model, path, settings)
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, weights[f"encoder.{name}"])
        for encoder in model.mask_encoders:
            assert torch.equal(value, encoder.state_dict()[name])
    is_fresh = torch.equal(
        model.mask_decoder.middle.resnets[0].conv1.weight,
        weights["decoder.middle.resnets.0.conv1.weight"],
    )
    assert is_fresh == (fidelity == "corrected")  # published: as drawn, not as loaded
    assert not model.mask_decoder.last.weight.any()


def test_stage_2_freezes_encoder_time_reference_and_query(tmp_path):
    path = tmp_path / "stage1.safetensors"
    stage_1(path)
    model = Diff3M(diff3m_settings(), PLACEHOLDER)
    freeze_stage_1(model)
    frozen = {
        ".".join(name.split(".")[: 2 if name.startswith("static") else 1])
        for name, weight in model.named_parameters()
        if not weight.requires_grad
    }
    assert frozen == {"encoder", "time", "reference", "static.query"}
    trained = {name.split(".")[0] for name, w in model.named_parameters() if w.requires_grad}
    assert trained == {"decoder", "static", "norm", "mask_encoders", "mask_decoder"}


def test_masked_branches_of_a_checkpoint_are_kept_but_as_published(tmp_path):
    """B5."""
    settings = diff3m_settings()
    trained = awake(Diff3M(settings, PLACEHOLDER))
    path = tmp_path / "stage2.safetensors"
    save_file({name: value.clone() for name, value in trained.state_dict().items()}, path)
    model = Diff3M(settings, PLACEHOLDER)
    start_from(model, path, settings)
    for name, value in model.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name]), name


def test_stage_1_of_another_size_or_of_nothing_is_refused(tmp_path):
    path = tmp_path / "stage1.safetensors"
    stage_1(path, unet={"width": 8})
    settings = diff3m_settings()
    model = Diff3M(settings, PLACEHOLDER)
    with pytest.raises(ContractError, match=r"is \(.*train stage 1 with the same unet"):
        start_from(model, path, settings)
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(ContractError, match=r"no .* in it; name a run of diff3m"):
        start_from(model, path, settings)
    with pytest.raises(ContractError, match="no file or folder"):
        start_from(model, tmp_path / "absent", settings)


def test_a_run_of_stage_2_resumes_with_its_own_masked_branches(dataset, tmp_path):
    """Stage 1, then stage 2 stopped after 2 of 4 steps and gone on: as if never stopped."""
    one = tmp_path / "one"
    length = {"epochs": None, "steps": 2}
    fit(dataset, one, diff3m_settings(rebuild_weight=0.0, length=length, ema_decay=None), 5)
    length["steps"] = 4
    settings = diff3m_settings(stage1=str(one), checkpoint_steps=2, length=length)
    fit(dataset, tmp_path / "whole", settings, 5)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "checkpoint-000004")
    fit(dataset, tmp_path / "cut", settings, 5)
    last = "checkpoint-000004/model.safetensors"
    assert (tmp_path / "cut" / last).read_bytes() == (tmp_path / "whole" / last).read_bytes()

"""Into noise and back, scores by hand, resumed scoring, and the table (specs diff3m 13, 14)."""

import json
import math

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from tiny_diff3m import SIDE, build_diff3m, diff3m_settings, image_batch

from cxrfuture_data import ContractError, open_dataset
from train.anomaly import (
    SCORES,
    anomaly_map,
    draw_films,
    open_detector,
    read_scores,
    score,
    scores_of,
)
from train.anomaly_table import STATIC_ALONE, Judged, auprc, auroc, fit_logistic, write_table
from train.diff3m_settings import InversionSettings
from train.fit import fit
from train.inversion import CLEAN, add_noise, kept_signal, move, plan_trip, reconstruct
from train.model.diff3m import Prediction


def settings_of(fidelity="corrected", level=400, steps=None):
    sampler = {"level": level, "steps": steps, "batch_size": 4}
    return diff3m_settings(fidelity=fidelity, sampler=sampler)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_diff3m(tmp_path_factory.mktemp("diff3m"))


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    """Two steps of training."""
    AcceleratorState._reset_state(reset_partial_state=True)
    out = tmp_path_factory.mktemp("run") / "run"
    fit(dataset, out, diff3m_settings(length={"epochs": None, "steps": 2}), 5)
    return out


@pytest.fixture(scope="module")
def scored(run, dataset, tmp_path_factory):
    """The scores of valid and test."""
    folder = tmp_path_factory.mktemp("scored")
    paths = {split: folder / f"{split}.jsonl" for split in ("valid", "test")}
    for split, path in paths.items():
        score(run, dataset, split, path, seed=1)
    return paths


# --- into noise and back -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fidelity", "calls"), [("published", 399 + 399), ("corrected", 400 + 401)]
)
def test_the_model_is_called_once_a_step(fidelity, calls):
    """T11: as published 399 there and 399 back."""
    levels = []

    def predict(noisy, level):
        levels.append(level.tolist())
        return Prediction(0 * noisy, noisy)

    trip = plan_trip(settings_of(fidelity))
    reconstruct(predict, torch.rand(2, 1, 2, 2), torch.randn(2, 1, 2, 2), trip)
    assert len(levels) == calls
    assert all(one == two for one, two in levels)


def test_corrected_the_model_is_told_where_the_film_stands():
    trip = plan_trip(settings_of(level=3))
    assert trip.encode == [(0, 1), (1, 2), (2, 3)]
    assert trip.decode == [(3, 2), (2, 1), (1, 0), (0, CLEAN)]


def test_published_it_is_told_one_more_on_the_way_in_and_two_less_at_the_turn():
    trip = plan_trip(settings_of("published"))
    assert trip.encode[0] == (1, 2)
    assert trip.encode[-1] == (399, 400)
    assert trip.decode[0] == (398, 397)
    assert trip.decode[-1] == (0, CLEAN)


def test_fewer_steps_still_reach_the_level_and_the_film():
    trip = plan_trip(settings_of(level=400, steps=4))
    assert trip.encode == [(0, 100), (100, 200), (200, 300), (300, 400)]
    assert trip.decode == [(400, 300), (300, 200), (200, 100), (100, 0), (0, CLEAN)]


@pytest.mark.parametrize("steps", [None, 3])
def test_a_perfect_model_gives_the_film_back(steps):
    """T10: it knows the noise, and rebuilds what it is given."""
    film, noise = torch.rand(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    found = []

    def predict(noisy, level):
        found.append((noisy, level))
        return Prediction(noise, noisy)

    back = reconstruct(predict, film, noise, plan_trip(settings_of(level=40, steps=steps)))
    assert torch.allclose(back, film, atol=1e-5)
    for noisy, level in found:
        assert torch.allclose(noisy, add_noise(film, noise, level), atol=1e-5)


def test_published_a_perfect_model_gives_it_back_within_the_mismatch():
    """It knows film and noise and tells the noise for the level it is told; what is left of the
    film differs by less than one step of the schedule at the turn."""
    film, noise = 0.2 + 0.6 * torch.rand(2, 1, 4, 4), torch.randn(2, 1, 4, 4)

    def predict(noisy, level):
        return Prediction(noise, noisy)

    back = reconstruct(predict, film, noise, plan_trip(settings_of("published")))
    error = (back - film).abs().max()
    assert 1e-4 < error < 0.1


def test_the_step_by_hand():
    """From a share of 0.64 to one of 0.36: film (1 - 0.6 * 0.5) / 0.8, noise (1.2 - 0.8 * film) /
    0.6 since the masked branches rebuilt 1 of a pixel of 1.2."""
    one = torch.ones(1, 1, 1, 1)
    kept = torch.tensor(0.64), torch.tensor(0.36)
    found = move(1.2 * one, Prediction(0.5 * one, one), kept, lowest=0.0)
    film = 0.7 / 0.8
    assert found.item() == pytest.approx(0.6 * film + 0.8 * (1.2 - 0.8 * film) / 0.6)


@pytest.mark.parametrize(("fidelity", "lowest"), [("corrected", 0.0), ("published", -1.0)])
def test_films_are_clipped_to_their_range_or_as_published_to_more(fidelity, lowest):
    trip = plan_trip(settings_of(fidelity))
    assert trip.lowest == lowest
    dark = torch.full((1, 1, 1, 1), -5.0)
    kept = kept_signal()
    found = move(dark, Prediction(0 * dark, dark), (kept[0], kept[CLEAN]), trip.lowest)
    assert found.item() == lowest


def test_a_films_way_depends_on_seed_and_key_alone(run, dataset):
    detector = open_detector(run)
    batch = image_batch(3)
    film, whole = detector.reconstruct(batch, 1)
    _, again = detector.reconstruct(batch, 1)
    _, other = detector.reconstruct(batch, 2)
    assert film.shape == whole.shape == (3, 1, SIDE, SIDE)
    assert torch.equal(whole, again)
    assert not torch.equal(whole, other)
    alone = image_batch(3)
    last = type(alone)(
        keys=alone.keys[2:],
        **{name: getattr(alone, name)[2:] for name in vars(alone) if name != "keys"},
    )
    assert torch.allclose(detector.reconstruct(last, 1)[1], whole[2:], atol=1e-5)


# --- scores --------------------------------------------------------------------------------------


def test_scores_of_four_pixels_by_hand():
    """Film 0, 0.5, 0.5, 1; back 0.2, 0.4, 0.2, 0.4, which stretched is 0, 1, 0, 1."""
    film = torch.tensor([0, 0.5, 0.5, 1.0]).view(1, 1, 2, 2)
    back = torch.tensor([0.2, 0.4, 0.2, 0.4]).view(1, 1, 2, 2)
    found = dict(zip(SCORES, scores_of(film, back)[0].tolist(), strict=True))
    assert found == pytest.approx(
        {
            "error": (0.04 + 0.01 + 0.09 + 0.36) / 4,
            "stretched_error": (0 + 0.25 + 0.25 + 0) / 4,
            "largest": 0.6,
            "stretched_largest": 0.5,
        }
    )
    assert anomaly_map(film, back).flatten().tolist() == pytest.approx([0, 0.5, 0.5, 0])


def test_a_film_of_one_grey_level_has_scores():
    found = scores_of(torch.full((1, 1, 2, 2), 0.3), torch.full((1, 1, 2, 2), 0.1))
    assert found[0].tolist() == pytest.approx([0.04, 0, 0.2, 0], abs=1e-6)


def test_every_film_of_a_split_is_scored_once_by_key_alone(scored, dataset):
    films = open_dataset(dataset).split("test", "image")
    header, *rows = [json.loads(line) for line in scored["test"].read_text().splitlines()]
    assert set(header) == {"made_from"}
    assert [row["key"] for row in rows] == films.columns["key"].tolist()
    assert all(set(row) == {"key", *SCORES} for row in rows)
    assert all(row["largest"] > 0 for row in rows)


def test_scoring_goes_on_after_a_cut_file(run, dataset, scored, tmp_path):
    """The lines that were whole stay as they are, byte by byte."""
    whole = scored["test"].read_text()
    lines = whole.splitlines(keepends=True)
    path = tmp_path / "test.jsonl"
    path.write_text("".join(lines[:3]) + lines[3][:20])
    score(run, dataset, "test", path, seed=1)
    found = path.read_text()
    assert found.startswith("".join(lines[:3]))
    one, two = read_scores(path), read_scores(scored["test"])
    assert list(one) == list(two)
    assert np.allclose(list(one.values()), list(two.values()), atol=1e-5)
    score(run, dataset, "test", path, seed=1)
    assert path.read_text() == found  # nothing was left to do


def test_ranks_share_the_films_and_their_files_are_read_together(
    run, dataset, scored, tmp_path, monkeypatch
):
    path = tmp_path / "test.jsonl"
    monkeypatch.setenv("WORLD_SIZE", "2")
    counts = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        score(run, dataset, "test", path, seed=1)
        counts.append(len((tmp_path / f"test.{rank}.jsonl").read_text().splitlines()) - 1)
    expected = read_scores(scored["test"])
    found = read_scores(path)
    assert sum(counts) == len(expected)
    assert sorted(found) == sorted(expected)
    for key, values in found.items():
        assert values == pytest.approx(expected[key], abs=1e-5)


def test_scores_of_another_seed_or_sampler_are_not_mixed(run, dataset, scored):
    with pytest.raises(ContractError, match="another model, dataset, split, seed or sampler"):
        score(run, dataset, "test", scored["test"], seed=2)
    other = InversionSettings(level=4, steps=None, batch_size=4)
    with pytest.raises(ContractError, match="another model"):
        score(run, dataset, "test", scored["test"], seed=1, sampler=other)


def test_a_checkpoint_brings_its_own_moments(run, dataset):
    """Scaled by training films, whatever is scored (B2)."""
    detector = open_detector(run)
    heights = np.arange(61.0, 69.0)
    at = 3  # of MEASUREMENTS
    assert detector.model.static.mean[at].item() == pytest.approx(heights.mean())
    assert open_detector(run / "best").made_from == detector.made_from


def test_films_are_drawn_side_by_side(run, dataset, tmp_path):
    paths = draw_films(run, dataset, "test", tmp_path / "films", count=3, seed=1)
    films = open_dataset(dataset).split("test", "image")
    keys = {path.stem for path in paths}
    is_normal = films.columns["image.No Finding"] == 1
    assert len(keys & set(films.columns["key"][is_normal])) == 2
    assert len(keys & set(films.columns["key"][~is_normal])) == 1
    picture = np.asarray(Image.open(paths[0]))
    assert picture.shape == (SIDE, 3 * SIDE + 2 * 4)
    film, _ = open_detector(run).reconstruct(_batch_of(films, paths[0].stem), 1)
    assert np.array_equal(picture[:, :SIDE], (film[0, 0] * 255).round().numpy())


def _batch_of(films, key):
    only = films.where(films.columns["key"] == key)
    return next(iter(only.loader(1, "diff3m.image", training=False)))


# --- table ---------------------------------------------------------------------------------------


def judged(scores, is_abnormal):
    count = len(scores)
    return Judged(
        {"error": np.array(scores)},
        np.array(is_abnormal),
        np.array(["AP", "PA"] * count)[:count],
        np.arange(count),
    )


def test_auroc_of_the_samples_the_authors_ship():
    """Of 2 normal and 6 abnormal films, 10 of 12 pairs in order is 10 / 12 (14)."""
    found = judged([1, 2.5, 2, 3, 4, 5, 6, 1.5], [False, False, *[True] * 6])
    assert auroc(found, "error", np.arange(8)) == pytest.approx(10 / 12)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_metrics_by_their_definitions_whatever_the_scale(scale):
    """With ties, and far outside of [0, 1]: pairs in order, and precision over recall's steps."""
    random = np.random.default_rng(0)
    scores = scale * random.integers(-20, 20, 200)
    truth = random.random(200) < 0.3
    found, rows = judged(scores, truth), np.arange(200)
    pairs = scores[truth][:, None] - scores[~truth]
    in_order = ((pairs > 0) + (pairs == 0) / 2).mean()
    assert auroc(found, "error", rows) == pytest.approx(in_order, abs=1e-6)
    precision, recall = [], [0.0]
    for threshold in np.unique(scores)[::-1]:
        precision.append(truth[scores >= threshold].mean())
        recall.append((truth & (scores >= threshold)).sum() / truth.sum())
    expected = np.dot(precision, np.diff(recall))
    assert auprc(found, "error", rows) == pytest.approx(expected, abs=1e-6)


def test_metrics_of_one_class_are_not_defined():
    assert math.isnan(auroc(judged([1.0, 2.0], [True, True]), "error", np.arange(2)))


def test_logistic_regression_finds_the_odds():
    """Of one binary value: the intercept is the log odds of those without it."""
    inputs = torch.tensor([[0.0]] * 400 + [[1.0]] * 400, dtype=torch.float64)
    truth = torch.tensor([1.0] * 100 + [0.0] * 300 + [1.0] * 300 + [0.0] * 100).double()
    weight, intercept = fit_logistic(inputs, truth).tolist()
    assert intercept == pytest.approx(math.log(1 / 3), abs=0.05)
    assert weight == pytest.approx(2 * math.log(3), abs=0.1)


def test_the_table_has_every_score_beside_the_static_values_alone(scored, dataset, tmp_path):
    out = tmp_path / "table.json"
    table = write_table(dataset, scored, out, seed=3, draws=20)
    assert json.loads(out.read_text()) == table
    names = [*SCORES, STATIC_ALONE]
    assert [row["score"] for row in table["valid"]] == names
    assert [(row["score"], row["view"]) for row in table["test"]] == [
        (name, view) for name in names for view in ("all", "AP", "PA")
    ]
    best = max(row["auroc"] for row in table["valid"][:4])
    chosen = next(row for row in table["valid"] if row["score"] == table["chosen_on_valid"])
    assert chosen["auroc"] == best
    by_view = {row["view"]: row for row in table["test"] if row["score"] == "error"}
    # Patients 11 and 12: films 0 and 2 are AP, of which 0 is normal; film 1 is PA and not normal.
    assert [by_view[view]["films"] for view in ("all", "AP", "PA")] == [6, 4, 2]
    assert by_view["AP"]["prevalence"] == 0.5
    assert by_view["PA"]["auroc"] is None
    # Two patients: a draw is of one, of the other or of both, and the interval holds all three.
    low, high = by_view["all"]["auroc_interval"]
    assert low <= by_view["all"]["auroc"] <= high
    assert "auroc_interval" not in by_view["PA"]


def test_a_table_of_half_the_films_is_refused(scored, dataset, tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text("".join(scored["test"].read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(ContractError, match=r"3 of 6 films of test have no score"):
        write_table(dataset, scored | {"test": path}, tmp_path / "table.json")

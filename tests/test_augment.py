"""Films varied as published loaders vary them, and the seeds that they are varied by."""

import numpy as np
import pytest
from PIL import Image
from xxhash import xxh3_64_intdigest

from cxrfuture_data.augment import (
    EHRXDIFF_TARGET,
    PREDICTION,
    Affine,
    apply_affine,
    centre_crop,
    draw_affine,
    prediction_view,
    random_crop,
    random_flip,
    random_resized_crop,
    weak_affine,
)
from cxrfuture_data.schema import ContractError
from cxrfuture_data.seed import random_bits, seed_of, uniform_numbers

SEEDS = range(400)
AS_IT_IS = {"degrees": 0.0, "scale": 1.0, "right": 0, "down": 0}
VIEWS = [weak_affine, random_resized_crop, random_flip, random_crop, prediction_view]


def noise(size, seed=0):
    """A film on which every place is another."""
    return np.random.default_rng(seed).integers(1, 256, (size, size)).astype(np.uint8)


def moved(film, **how):
    return apply_affine(film, Affine(**(AS_IT_IS | how))).tolist()


def test_a_seed_is_a_hash_of_what_it_is_for():
    assert seed_of(23, 4, "abc", "target") == xxh3_64_intdigest(b"23\x004\x00target\x00abc")
    assert seed_of(23, 4, b"abc", "target") == seed_of(23, 4, "abc", "target")


def test_seeds_of_other_samples_epochs_roles_and_runs_are_others():
    found = {
        seed_of(seed, epoch, key, role)
        for seed in (1, 11, 2)
        for epoch in (1, 11, 2)
        for key in ("1", "11", "target1")
        for role in ("target", "previous", "")
    }
    assert len(found) == 81


def test_bits_are_those_of_splitmix64():
    # Published first outputs of seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert random_bits([1234567], 3).tolist() == [expected]


def test_each_row_of_bits_is_of_its_own_seed():
    seeds = [5, 2**64 - 1, 0]
    together = random_bits(seeds, 7)
    assert together.tolist() == [random_bits([seed], 7)[0].tolist() for seed in seeds]
    assert together[:, :3].tolist() == random_bits(seeds, 3).tolist()


def test_uniform_numbers_are_even_and_independent():
    found = np.array([uniform_numbers(seed, "affine", 2) for seed in range(4000)])
    other = np.array([uniform_numbers(seed, "flip", 1) for seed in range(4000)])
    tenths = np.bincount((found[:, 0] * 10).astype(int), minlength=10)
    assert len(tenths) == 10
    assert (np.abs(tenths - 400) < 80).all()  # four standard deviations
    together = np.corrcoef(np.column_stack([found, other]), rowvar=False)
    assert (np.abs(together - np.eye(3)) < 0.065).all()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_depends_on_the_seed_alone_and_leaves_the_film(view):
    film = noise(256)
    before = film.copy()
    assert view(film, 5).tolist() == view(film.copy(), 5).tolist()
    assert len({view(film, seed).tobytes() for seed in range(20)}) > 1
    assert np.array_equal(film, before)


@pytest.mark.parametrize("view", [weak_affine, random_resized_crop, random_flip])
@pytest.mark.parametrize("size", [1, 2, 31, 64])
def test_a_view_has_the_size_of_the_film(view, size):
    found = view(noise(size), 3)
    assert (found.shape, found.dtype) == ((size, size), np.uint8)


@pytest.mark.parametrize("size", [6, 7])
def test_an_affine_turns_clockwise_about_the_centre(size):
    film = noise(size)
    assert moved(film) == film.tolist()
    for quarters in (-1, 1, 2, 3):
        assert moved(film, degrees=90.0 * quarters) == np.rot90(film, -quarters).tolist()


def test_an_affine_shifts_to_the_right_and_down_and_is_black_beyond():
    film = noise(6)
    expected = np.zeros((6, 6), np.uint8)
    expected[1:, 2:] = film[:-1, :-2]
    assert moved(film, right=2, down=1) == expected.tolist()
    expected = np.zeros((6, 6), np.uint8)
    expected[:-1, :-2] = film[1:, 2:]
    assert moved(film, right=-2, down=-1) == expected.tolist()


def test_an_affine_grows_the_middle_and_shrinks_the_whole():
    film = noise(8)
    assert moved(film, scale=2.0) == film[2:6, 2:6].repeat(2, axis=0).repeat(2, axis=1).tolist()
    smaller = np.array(moved(film, scale=0.5))
    assert (smaller[2:6, 2:6] > 0).all()
    assert smaller[2:6, 2:6].size == np.count_nonzero(smaller)


def test_a_shift_comes_after_the_turn():
    film = noise(6)
    expected = np.zeros((6, 6), np.uint8)
    expected[:, 2:] = np.rot90(film, -1)[:, :-2]
    assert moved(film, degrees=90.0, right=2) == expected.tolist()


@pytest.mark.parametrize("allowed", [EHRXDIFF_TARGET, PREDICTION])
def test_an_affine_is_anywhere_in_its_range(allowed):
    drawn = [draw_affine(allowed, 256, seed) for seed in range(2000)]
    largest = round(allowed.shift * 256)
    limits = {
        "degrees": (-allowed.degrees, allowed.degrees),
        "scale": allowed.scale,
        "right": (-largest, largest),
        "down": (-largest, largest),
    }
    for name, (low, high) in limits.items():
        values = np.array([getattr(affine, name) for affine in drawn])
        assert low <= values.min() <= low + (high - low) / 50
        assert high - (high - low) / 50 <= values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=(high - low) / 30)


def test_the_ranges_are_those_of_the_specifications():
    assert (EHRXDIFF_TARGET.degrees, EHRXDIFF_TARGET.scale) == (10, (0.9, 1.1))
    assert EHRXDIFF_TARGET.shift == 0
    assert (PREDICTION.degrees, PREDICTION.scale, PREDICTION.shift) == (45, (0.85, 1.15), 0.15)


def test_a_weak_affine_is_the_one_drawn():
    film = noise(32)
    drawn = draw_affine(EHRXDIFF_TARGET, 32, 9)
    assert weak_affine(film, 9).tolist() == apply_affine(film, drawn).tolist()


def test_half_of_the_films_are_flipped_and_the_others_are_not():
    film = noise(5)
    found = [random_flip(film, seed).tolist() for seed in SEEDS]
    flipped = found.count(film[:, ::-1].tolist())
    assert flipped + found.count(film.tolist()) == len(found)
    assert 160 < flipped < 240


@pytest.mark.parametrize("size", [1, 3, 4])
def test_a_random_crop_is_anywhere_it_fits(size):
    film = np.arange(16, dtype=np.uint8).reshape(4, 4)
    found = {random_crop(film, seed, size).tobytes() for seed in SEEDS}
    places = range(4 - size + 1)
    assert found == {film[y : y + size, x : x + size].tobytes() for y in places for x in places}


def test_a_centre_crop_is_the_middle():
    film = noise(256)
    assert centre_crop(film).tolist() == film[16:240, 16:240].tolist()
    assert centre_crop(film[:5, :5], 2).tolist() == film[1:3, 1:3].tolist()


@pytest.mark.parametrize("crop", [random_crop, prediction_view, lambda film, _: centre_crop(film)])
def test_a_crop_larger_than_the_film_is_refused(crop):
    with pytest.raises(ContractError, match="crop of 224 pixels: the film has 128"):
        crop(noise(128), 0)


def test_a_resized_crop_is_a_square_of_the_film_and_nothing_around_it():
    size = 40
    film = noise(size)
    squares = {}
    for side in range(34, size + 1):  # 34.6 pixels a side are 75% of the area
        for y in range(size - side + 1):
            for x in range(size - side + 1):
                square = Image.fromarray(film[y : y + side, x : x + side])
                resized = square.resize((size, size), Image.Resampling.BILINEAR)
                squares[np.asarray(resized).tobytes()] = side
    sides = [squares[random_resized_crop(film, seed).tobytes()] for seed in SEEDS]
    assert (min(sides), max(sides)) == (35, 40)


def test_a_prediction_view_is_the_middle_of_a_flipped_and_moved_film():
    film = noise(256)
    for seed in range(6):
        moved_film = apply_affine(random_flip(film, seed), draw_affine(PREDICTION, 256, seed))
        assert prediction_view(film, seed).tolist() == moved_film[16:240, 16:240].tolist()

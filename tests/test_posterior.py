"""Draws from stored posteriors."""

import numpy as np
import pytest

from cxrfuture_data.posterior import draw, mean, standard_normal

SHAPE = (4, 28, 28)


def posteriors(count, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.normal(0, 2, (2, count, *SHAPE)).astype(np.float16)
    return found[0], found[1]


def test_noise_is_standard_normal():
    found = standard_normal(range(400), 3136).astype(np.float64)
    assert found.mean() == pytest.approx(0, abs=0.004)  # four standard deviations of 1.25 million
    assert found.var() == pytest.approx(1, abs=0.006)
    assert (found**3).mean() == pytest.approx(0, abs=0.015)
    assert (found**4).mean() == pytest.approx(3, abs=0.04)
    for limit, share in ((1, 0.317311), (2, 0.045500), (3, 0.0026998)):
        assert (np.abs(found) > limit).mean() == pytest.approx(share, abs=0.002)


def test_noise_of_neighbours_and_of_samples_is_independent():
    found = standard_normal(range(400), 3136)
    for first, second in (
        (found[:, :-1], found[:, 1:]),
        (found[:, :1568], found[:, 1568:]),  # the two numbers that one pair of uniform ones gives
        (found[:-1], found[1:]),
    ):
        assert (first * second).mean() == pytest.approx(0, abs=0.006)
        assert (first**2 * second**2).mean() == pytest.approx(1, abs=0.015)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_noise_is_of_any_length(count):
    assert standard_normal([3, 4], count).shape == (2, count)


def test_noise_is_finite_whatever_the_bits():
    # 24 bits of 0 are the smallest uniform number: the longest radius, sqrt(48 ln 2).
    found = standard_normal(range(3000), 3136)
    assert np.isfinite(found).all()
    assert 4.5 < np.abs(found).max() <= (48 * np.log(2)) ** 0.5


@pytest.mark.parametrize("count", [1, 7, 8, 9, 21])
def test_a_samples_draw_depends_on_its_own_seed_alone(count):
    means, logvars = posteriors(count)
    seeds = np.arange(count, dtype=np.uint64) * np.uint64(2**40) + np.uint64(2**63)
    together = draw(means, logvars, seeds)
    assert (together.shape, together.dtype) == ((count, *SHAPE), np.float32)
    for number in range(count):
        part = slice(number, number + 1)
        alone = draw(means[part], logvars[part], [int(seeds[number])])
        assert np.array_equal(together[part], alone)
    assert len({row.tobytes() for row in together - means}) == count


def test_a_draw_is_the_mean_and_noise_by_the_standard_deviation():
    means, _ = posteriors(2)
    noise = standard_normal([1, 2], means[0].size).reshape(means.shape)
    logvar = np.full(means.shape, 2 * np.log(3.0), np.float32)
    assert draw(means, logvar, [1, 2]) == pytest.approx(means + 3 * noise, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("given", "used"), [(-1000, -30), (-30, -30), (20, 20), (1000, 20)])
def test_the_log_variance_is_clamped(given, used):
    means = np.zeros((1, *SHAPE), np.float16)
    noise = standard_normal([5], means.size).reshape(means.shape)
    found = draw(means, np.full(means.shape, given, np.float16), [5])
    assert found == pytest.approx(noise * np.exp(used / 2), rel=1e-5)


def test_a_draw_leaves_what_it_is_drawn_from():
    means, logvars = posteriors(3)
    before = means.tobytes(), logvars.tobytes()
    draw(means, logvars, [1, 2, 3])
    assert (means.tobytes(), logvars.tobytes()) == before


def test_the_mean_is_the_stored_one():
    means, _ = posteriors(2)
    assert mean(means).dtype == np.float32
    assert np.array_equal(mean(means), means)


def test_no_samples_give_no_draws():
    means, logvars = posteriors(0)
    assert draw(means, logvars, []).shape == (0, *SHAPE)

"""The Frechet distance against closed forms, and against a matrix square root."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from cxrfuture_data.schema import ContractError
from train.frechet import frechet_distance


def corners(deviations):
    """Samples whose mean is 0 and whose covariance is diagonal, of these deviations: 2 F points."""
    width = len(deviations)
    scale = np.sqrt((2 * width - 1) / 2)
    points = np.diag(np.asarray(deviations, float) * scale)
    return np.concatenate([points, -points])


def by_square_root(one, other):
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    apart = one.mean(0) - other.mean(0)
    root = sqrtm(first @ second).real
    return apart @ apart + np.trace(first + second - 2 * root)


def test_corners_have_the_covariance_they_say():
    found = np.cov(corners([1.0, 2.0, 3.0]), rowvar=False)
    np.testing.assert_allclose(found, np.diag([1.0, 4.0, 9.0]), atol=1e-12)


def test_two_diagonal_gaussians():
    """The sum of squared differences of deviations: (1 - 3)^2 + (2 - 2)^2 + (4 - 1)^2 = 13."""
    found = frechet_distance(corners([1.0, 2.0, 4.0]), corners([3.0, 2.0, 1.0]))
    assert found == pytest.approx(13.0, abs=1e-9)


def test_a_shift_costs_its_square():
    samples = np.random.default_rng(0).normal(size=(50, 4))
    shift = np.array([3.0, 0.0, -4.0, 0.0])
    assert frechet_distance(samples, samples + shift) == pytest.approx(25.0, abs=1e-9)


def test_no_distance_to_itself():
    samples = np.random.default_rng(0).normal(size=(5, 40))
    assert frechet_distance(samples, samples[::-1]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("count", "other_count", "width"), [(60, 80, 5), (300, 40, 12)])
def test_equal_to_the_square_root_of_a_matrix(count, other_count, width):
    random = np.random.default_rng(count)
    one = random.normal(size=(count, width)) @ random.normal(size=(width, width))
    other = random.normal(1.0, 2.0, size=(other_count, width))
    assert frechet_distance(one, other) == pytest.approx(by_square_root(one, other), rel=1e-9)


def test_fewer_samples_than_numbers():
    """In a basis whose first three axes hold all samples, the other numbers are zero and cost
    nothing; turned about, so that no number is zero, the distance is the same."""
    random = np.random.default_rng(1)
    few, other = random.normal(size=(4, 3)), random.normal(2.0, 1.0, size=(4, 3))
    turn = np.linalg.qr(random.normal(size=(200, 200)))[0][:3]
    wide = frechet_distance(few @ turn, other @ turn)
    assert wide == pytest.approx(frechet_distance(few, other), rel=1e-9)


def test_symmetric_and_far_from_a_constant():
    """To a constant at the mean the distance is the total variance."""
    samples = corners([1.0, 2.0])
    constant = np.zeros((4, 2))
    assert frechet_distance(samples, constant) == pytest.approx(5.0, abs=1e-12)
    assert frechet_distance(constant, samples) == pytest.approx(5.0, abs=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), "2 samples"),
        (np.zeros((4, 3)), np.zeros((4, 2)), "same network"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "not finite"),
    ],
)
def test_what_has_no_distance_is_refused(one, other, words):
    with pytest.raises(ContractError, match=words):
        frechet_distance(one, other)

"""The straight path and its sampler: identities that hold for any network."""

import pytest
import torch
from pydantic import ValidationError

from train.draw import generators
from train.flow import FlowSampler, FlowSettings, draw_time, guide, integrate, mix

METHODS = [("euler", 1), ("euler", 3), ("euler", 20), ("heun", 2), ("heun", 20)]


def noise_and_target():
    random = torch.Generator().manual_seed(0)
    return torch.randn(2, 5, 3, 4, 4, generator=random)


@pytest.mark.parametrize(("method", "evaluations"), METHODS)
def test_the_exact_velocity_leads_to_the_target(method, evaluations):
    noise, target = noise_and_target()
    sampler = FlowSampler(method=method, evaluations=evaluations)
    found = integrate(lambda noisy, time: target - noise, noise, sampler)
    torch.testing.assert_close(found, target, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("method", "evaluations"), METHODS)
def test_the_network_is_asked_so_often_and_within_the_path(method, evaluations):
    noise, _ = noise_and_target()
    asked = []

    def velocity(noisy, time):
        asked.append(time)
        return torch.zeros_like(noisy)

    found = integrate(velocity, noise, FlowSampler(method=method, evaluations=evaluations))
    assert len(asked) == evaluations
    assert asked[0].tolist() == [0.0] * 5
    assert all(0 <= time[0] <= 1 for time in asked)
    assert torch.equal(found, noise)


def test_heun_follows_a_bend_better_than_euler():
    """dx/dt = x from 1 leads to e."""
    start = torch.ones(1, 1, 1, 1)

    def error(method):
        sampler = FlowSampler(method=method, evaluations=20)
        return abs(integrate(lambda noisy, time: noisy, start, sampler).item() - torch.e)

    assert error("heun") < error("euler") / 10


def test_the_path_begins_with_noise_and_ends_with_the_target():
    noise, target = noise_and_target()
    time = torch.tensor([0.0, 1.0, 0.25, 0.5, 1.0])
    found = mix(noise, target, time)
    assert torch.equal(found[0], noise[0])
    assert torch.equal(found[1], target[1])
    torch.testing.assert_close(found[2], 0.75 * noise[2] + 0.25 * target[2])


@pytest.mark.parametrize(("time", "inside"), [("uniform", 0.5), ("logit_normal", 0.728)])
def test_times_are_drawn_as_asked(time, inside):
    """The share between 1/4 and 3/4; of a sigmoid, that of a normal number within log 3."""
    settings = FlowSettings(time=time, centre=0.0, spread=1.0)
    found = draw_time(generators([str(i) for i in range(4000)], 1), settings)
    assert 0 <= found.min() <= found.max() <= 1
    share = ((found > 0.25) & (found < 0.75)).float().mean().item()
    assert share == pytest.approx(inside, abs=0.03)


def test_guidance_of_1_is_the_prediction_and_0_takes_the_modality_away():
    full, without, other = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0))
    both = torch.stack([full, without, other])
    torch.testing.assert_close(guide(both, [1, 1]), full)
    torch.testing.assert_close(guide(both, [0, 1]), without)
    torch.testing.assert_close(guide(both, [3, 1]), full + 2 * (full - without))
    torch.testing.assert_close(guide(both, [3, 2]), 4 * full - 2 * without - other)


def test_heun_of_an_odd_number_is_refused():
    with pytest.raises(ValidationError, match="odd"):
        FlowSampler(method="heun", evaluations=5)

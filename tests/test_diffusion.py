"""Schedule, losses and sampler: facts one can check by hand."""

import math

import pytest
import torch

from train import diffusion
from train.settings import SamplerSettings

LATENT = torch.Size((4, 8, 8))


def test_the_schedule_is_linear_in_the_square_root_of_beta():
    beta = diffusion.schedule().betas
    assert len(beta) == 1000
    assert beta[0].item() == pytest.approx(0.0015)
    assert beta[-1].item() == pytest.approx(0.0195)
    middle = (math.sqrt(0.0015) + (math.sqrt(0.0195) - math.sqrt(0.0015)) * 500 / 999) ** 2
    assert beta[500].item() == pytest.approx(middle)


def test_two_hundred_kept_steps_run_from_996_to_1():
    scheduler = diffusion.schedule()
    scheduler.set_timesteps(200)
    assert scheduler.timesteps.tolist() == list(range(996, 0, -5))


def test_noise_is_added_by_the_cumulative_product():
    kept = (1 - 0.0015) ** 0.5  # alphabar of step 0 is 1 - beta of step 0
    target, noise = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0)
    noisy = diffusion.add_noise(target, noise, torch.tensor([0]))
    assert noisy.item() == pytest.approx(kept + 2 * 0.0015**0.5, rel=1e-6)


@pytest.mark.parametrize(
    ("error", "disturbed", "cost"),
    [
        ([0.5], [0.5], 0.2),  # the history changes nothing: the margin is paid
        ([0.5], [0.7], 0.0),  # disturbing it costs just the margin
        ([0.5], [9.0], 0.0),  # ... or more
        ([0.5], [0.1], 0.6),  # disturbing it helps
        ([0.5, 0.5], [9.0, 0.5], 0.1),  # one sample does not pay for another
    ],
)
def test_the_hinge_asks_a_disturbed_history_to_be_worse(error, disturbed, cost):
    paid = diffusion.contrast(torch.tensor(error), torch.tensor(disturbed), 0.2)
    assert paid.mean().item() == pytest.approx(cost, abs=1e-6)


def test_the_published_hinge_is_of_every_element_and_weighted_by_its_noise():
    """One element pays 0.2, the other nothing: the mean of both, times 1 - alphabar."""
    error = torch.tensor([0.5, 0.5]).view(1, 1, 1, 2)
    disturbed = torch.tensor([0.5, 9.0]).view(1, 1, 1, 2)
    for timestep, weight in ((0, 0.0015), (999, 1 - 4.04e-5)):
        paid = diffusion.contrast_of_elements(error, disturbed, torch.tensor([timestep]), 0.2)
        assert paid.item() == pytest.approx(0.1 * weight, rel=1e-3)


def test_the_weight_of_the_hinge_starts_at_zero_and_is_linear():
    weights = [diffusion.contrast_weight(step, 200, 1.0) for step in (0, 100, 199)]
    assert weights == [0.0, 0.5, 0.995]


def test_only_a_one_is_a_positive_finding():
    labels = torch.tensor([[1, 0, -1, 0]], dtype=torch.int8)  # the last is not mentioned
    sure = torch.tensor([[100.0, -100.0, -100.0, -100.0]])
    assert diffusion.findings_loss(sure, labels).item() == pytest.approx(0, abs=1e-6)
    even = diffusion.findings_loss(torch.zeros(1, 4), labels)
    assert even.item() == pytest.approx(math.log(2))


def test_a_posterior_of_no_width_gives_its_mean():
    mean = torch.full((1, 4, 2, 2), 3.0)
    posterior = torch.stack([mean, torch.full_like(mean, -60.0)], dim=1)
    drawn = diffusion.posterior_sample(posterior, torch.ones(1, 4, 2, 2))
    assert torch.allclose(drawn, mean)
    wide = torch.stack([mean, torch.full_like(mean, math.log(4.0))], dim=1)  # deviation 2
    assert torch.allclose(diffusion.posterior_sample(wide, torch.ones(1, 4, 2, 2)), mean + 2)


def test_without_noise_the_sampler_returns_its_input():
    """A denoiser that sees no noise: only the scale changes, by the last kept alphabar's root."""
    scheduler = diffusion.schedule()
    scheduler.set_timesteps(10)
    target = torch.randn(2, *LATENT, generator=torch.Generator().manual_seed(1))
    start = scheduler.alphas_cumprod[scheduler.timesteps[0]].sqrt() * target
    end = diffusion.denoise(lambda noisy, _: torch.zeros_like(noisy), start, scheduler, 0, None)
    assert torch.allclose(end, (1 - 0.0015) ** 0.5 * target, atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_perfect_denoiser_arrives_at_the_target(eta):
    target = torch.full((1, *LATENT), 0.7)
    alphas = diffusion.schedule().alphas_cumprod

    def predict(noisy, timestep):
        kept = alphas[timestep][:, None, None, None]
        return (noisy - kept.sqrt() * target) / (1 - kept).sqrt()

    end = diffusion.sample_ddim(
        predict, ["a"], LATENT, SamplerSettings(steps=20, eta=eta), 1, "cpu"
    )
    assert (end - target).abs().mean() < 0.06  # what alphabar of step 0 leaves: sqrt(0.0015) = 0.04


def test_samples_have_their_own_noise_and_keep_it_in_any_batch():
    def predict(noisy, _):
        return 0.1 * noisy

    def sample(keys):
        return diffusion.sample_ddim(
            predict, keys, LATENT, SamplerSettings(steps=5, eta=1.0), 3, "cpu"
        )

    both = sample(["a", "b"])
    assert not torch.equal(both[0], both[1])
    assert torch.equal(both[1:], sample(["b"]))

"""UNet, history and findings head together."""

import pytest
import torch
from tiny_train import ddl_cxr_settings

from cxrfuture_data.hourly import COLUMNS
from train.model.denoiser import Denoiser, build_unet
from train.tasks import read_task_settings

CONFIG = ddl_cxr_settings()


@pytest.fixture(scope="module")
def denoiser():
    """With random numbers where training starts from zeros, so that every input matters."""
    torch.manual_seed(0)
    model = Denoiser(CONFIG.unet, CONFIG.history, channels=4)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model.eval()


def inputs(samples, hours, seed=1):
    random = torch.Generator().manual_seed(seed)
    latents = [torch.randn(samples, 4, 8, 8, generator=random) for _ in range(2)]
    record = torch.randn(samples, hours, COLUMNS, generator=random)
    return *latents, torch.arange(samples) * 100, (record, torch.ones(samples, hours).bool())


@pytest.mark.parametrize(
    ("channels", "res_blocks", "parameters"),
    [
        ([224, 448, 672], 1, 133_290_084),  # the paper
        ([224, 448, 672], 2, 197_580_324),
        ([224, 448, 896], 2, 296_862_500),  # the released code
    ],
)
def test_the_unet_has_the_published_number_of_parameters(channels, res_blocks, parameters):
    published = read_task_settings("ddl_cxr")
    sizes = {"channels": channels, "res_blocks": res_blocks, "gradient_checkpointing": False}
    with torch.device("meta"):
        unet = build_unet(published.unet.model_copy(update=sizes), 4, published.history.width)
    assert sum(weight.numel() for weight in unet.parameters()) == parameters


@torch.no_grad()
def test_padded_hours_do_not_reach_the_prediction(denoiser):
    noisy, previous, timestep, (hours, is_hour) = inputs(1, 3)
    alone = denoiser(noisy, previous, timestep, (hours, is_hour))
    padding = torch.full((1, 4, COLUMNS), 9.0)
    longer = (torch.cat([hours, padding], 1), torch.cat([is_hour, torch.zeros(1, 4).bool()], 1))
    padded = denoiser(noisy, previous, timestep, longer)
    assert torch.allclose(alone.noise, padded.noise, atol=1e-4)
    assert torch.allclose(alone.findings, padded.findings, atol=1e-4)


@torch.no_grad()
def test_history_previous_and_time_all_matter(denoiser):
    noisy, previous, timestep, (hours, is_hour) = inputs(1, 3)
    usual = denoiser(noisy, previous, timestep, (hours, is_hour)).noise
    for changed in (
        denoiser(noisy, previous + 1, timestep, (hours, is_hour)),
        denoiser(noisy, previous, timestep + 500, (hours, is_hour)),
        denoiser(noisy, previous, timestep, (hours + 1, is_hour)),
    ):
        assert not torch.allclose(usual, changed.noise, atol=1e-3)


@torch.no_grad()
def test_an_undisturbed_second_branch_equals_the_first(denoiser):
    noisy, previous, timestep, record = inputs(2, 3)
    noise = torch.randn(2, 4, CONFIG.history.width, generator=torch.Generator().manual_seed(2))
    same = denoiser(noisy, previous, timestep, record, noise, strength=0.0)
    assert torch.allclose(same.noise, same.noise_disturbed, atol=1e-5)
    other = denoiser(noisy, previous, timestep, record, noise, strength=0.5)
    assert torch.allclose(same.noise, other.noise, atol=1e-5)
    assert not torch.allclose(other.noise, other.noise_disturbed, atol=1e-3)


def test_training_starts_from_no_noise_at_all():
    model = Denoiser(CONFIG.unet, CONFIG.history, channels=4)
    noisy, previous, timestep, record = inputs(2, 3)
    prediction = model(noisy, previous, timestep, record)
    assert prediction.noise.abs().max() == 0
    assert prediction.noise_disturbed is None
    assert prediction.findings.shape == (2, 14)

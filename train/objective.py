"""What a batch of pairs costs: DDL-CXR's three losses (specs ddl-cxr 8.4)."""

import torch
from torch import Tensor, nn

from train import diffusion
from train.plan import PairTensors, Plan

LOSSES = ("loss", "simple", "contrast", "findings")


def losses_of(
    model: nn.Module, batch: PairTensors, plan: Plan, step: int, device: torch.device
) -> dict[str, Tensor]:
    """The named scalars of LOSSES; "loss" is what is minimised, the others its parts."""
    objective = plan.config.objective
    size = batch.target.shape[2:]  # (C, h, w)
    tokens = torch.Size((1 + batch.hours.shape[1], plan.config.history.width))
    random = diffusion.draw(batch.keys, size, tokens, seed=plan.seed, step=step)

    previous = diffusion.posterior_sample(batch.previous, random.previous_spread)
    target = diffusion.posterior_sample(batch.target, random.target_spread)
    noisy = diffusion.add_noise(target, random.noise, random.timestep)
    weight = diffusion.contrast_weight(step, plan.steps, objective.contrast_weight)
    predicted = model(
        noisy.to(device),
        previous.to(device),
        random.timestep.to(device),
        (batch.hours.to(device), batch.is_hour.to(device)),
        random.context_noise.to(device) if weight > 0 else None,
        objective.context_noise,
    )

    noise = random.noise.to(device)
    error = diffusion.squared_error(noise, predicted.noise)
    findings = diffusion.findings_loss(predicted.findings, batch.labels.to(device))
    contrast = torch.zeros((), device=device)
    if predicted.noise_disturbed is not None:
        error_disturbed = diffusion.squared_error(noise, predicted.noise_disturbed)
        contrast = diffusion.contrast(error, error_disturbed, objective.contrast_margin)
    simple = error.mean()
    loss = simple + objective.findings_weight * findings + weight * contrast
    return dict(zip(LOSSES, (loss, simple, contrast, findings), strict=True))

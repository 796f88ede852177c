"""How well an autoencoder reconstructs the films of validation patients."""

import torch
from accelerate import Accelerator

from train.films import Films
from train.model.vae import Vae
from train.vae_loss import Distance
from train.vae_plan import VaePlan, draw_noise, read_centres


@torch.no_grad()
def valid_errors(
    vae: Vae, films: Films, plan: VaePlan, perceptual: Distance | None, accelerator: Accelerator
) -> tuple[float, float]:
    """Mean absolute error and LPIPS of the films' middles, from a sample of the posterior.

    Each rank reads its share. The noise is the same at every call, so that steps are compared on
    equal terms.
    """
    count = min(len(films), plan.config.valid_films or len(films))
    mine = list(range(count))[plan.rank :: plan.ranks]
    total = torch.zeros(2, dtype=torch.float64, device=accelerator.device)
    vae.eval()
    for first in range(0, len(mine), plan.part_size):
        indices = mine[first : first + plan.part_size]
        pixels = read_centres(films, plan.config, indices).to(accelerator.device)
        noise = draw_noise(plan.config, plan.seed, "valid", indices).to(accelerator.device)
        drawn = vae(pixels, noise).pixels.float()
        total[0] += (drawn - pixels).abs().mean((1, 2, 3)).sum()
        if perceptual is not None:
            total[1] += perceptual(pixels, drawn).sum()
    vae.train()
    l1, unlike = accelerator.reduce(total, reduction="sum").tolist()
    return l1 / count, unlike / count

"""The noise schedule, the objective and the sampler of DDL-CXR: tensors in, tensors out.

Shapes: B samples, C, h, w of a latent, L findings. Section numbers are those of the DDL-CXR
specification. ``target`` is the latent to be generated; only it is noised.
"""

from collections.abc import Callable, Sequence

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrfuture_data.posterior import HIGHEST_LOGVAR, LOWEST_LOGVAR
from train.draw import draw_normal, generators
from train.settings import SamplerSettings

TRAIN_STEPS = 1000
BETA_FIRST, BETA_LAST = 0.0015, 0.0195

Predict = Callable[[Tensor, Tensor], Tensor]  # noisy (B, C, h, w), timestep (B,) -> noise


def schedule(beta_last: float = BETA_LAST) -> DDIMScheduler:
    """Linear in the square root of beta (8.3); kept steps begin at 1, nothing is clipped (8.6).

    EHRXDiff's differs in the last beta alone (specs ehrxdiff 9.3, 9.5).
    """
    return DDIMScheduler(
        num_train_timesteps=TRAIN_STEPS,
        beta_start=BETA_FIRST,
        beta_end=beta_last,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )


def posterior_sample(posterior: Tensor, spread: Tensor) -> Tensor:
    """posterior: (B, 2, C, h, w), mean and log-variance -> (B, C, h, w)."""
    mean, logvar = posterior.float().unbind(1)
    return mean + torch.exp(logvar.clamp(LOWEST_LOGVAR, HIGHEST_LOGVAR) / 2) * spread


def add_noise(target: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    """The target at a timestep (B,) of the schedule."""
    return schedule().add_noise(target, noise, timestep)


def contrast(error: Tensor, error_disturbed: Tensor, margin: float) -> Tensor:
    """The hinge on the two branches' errors, (B,) each -> (B,) (paper, equation 3).

    The disturbed history must predict worse by the margin. Per-sample norms as in the paper, in the
    unit of the simple loss (a mean over the latent).
    """
    return torch.relu(error - error_disturbed + margin)


def contrast_of_elements(
    error: Tensor, error_disturbed: Tensor, timestep: Tensor, margin: float
) -> Tensor:
    """(B,): the hinge as released (8.4), of every element of squared errors (B, C, h, w), weighted
    by 1 - alphabar of the timestep (B,)."""
    hinge = torch.relu(error - error_disturbed + margin).flatten(1).mean(1)  # (B,)
    return hinge * (1 - schedule().alphas_cumprod.to(hinge)[timestep])


def disturb(tokens: Tensor, noise: Tensor, strength: float) -> Tensor:
    """E' = (1 - strength) E + strength xi (8.4)."""
    return (1 - strength) * tokens + strength * noise.to(tokens.dtype)


def findings_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) of raw labels (B, L): positive where 1; uncertain, absent, not mentioned are negative
    (4.1)."""
    target = (labels == 1).float()
    return binary_cross_entropy_with_logits(logits.float(), target, reduction="none").mean(1)


def contrast_weight(step: int, steps: int, last: float) -> float:
    """Linear from zero, at the first step, to ``last`` (paper 3.2)."""
    return last * step / steps


def sample_ddim(
    predict: Predict,
    keys: Sequence[str],
    latent: torch.Size,
    sampler: SamplerSettings,
    seed: int,
    device: str,
) -> Tensor:
    """DDIM from noise (8.6) -> (B, C, h, w). ``latent`` is (C, h, w).

    Each sample's noise comes from (seed, its key). The released code starts every sample of every
    split from one and the same tensor, so samples share what the noise decides.
    """
    scheduler = schedule()
    scheduler.set_timesteps(sampler.steps)
    randoms = generators(keys, "sample", seed)

    def noise() -> Tensor:
        return draw_normal(randoms, latent).to(device)

    return denoise(predict, noise(), scheduler, sampler.eta, noise)


def denoise(
    predict: Predict,
    start: Tensor,
    scheduler: DDIMScheduler,
    eta: float,
    noise: Callable[[], Tensor],
) -> Tensor:
    """Every kept step of the scheduler, from ``start`` (B, C, h, w) on."""
    current = start
    for timestep in scheduler.timesteps.tolist():
        predicted = predict(current, torch.full((len(start),), timestep, device=start.device))
        current = scheduler.step(
            predicted.float(),
            timestep,
            current,
            eta=eta,
            variance_noise=noise() if eta > 0 else None,
        ).prev_sample
    return current

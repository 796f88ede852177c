"""What training an autoencoder changes, its checkpoints, and the folder it is published as."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor

from cxrfuture_data.settings import Settings
from train.checkpoint import load_moments, moments, publish_checkpoint, read_record
from train.model.discriminator import Discriminator
from train.model.vae import Vae
from train.pretrained import publish_pretrained
from train.settings import AdamWSettings, VaeConfig

VAE_FILE, OPTIMISER_FILE = "vae.safetensors", "optimiser.safetensors"
CRITIC_FILE, CRITIC_OPTIMISER_FILE = "critic.safetensors", "critic_optimiser.safetensors"
METRICS_FILE = "metrics.json"
BEST_FILE = "best.safetensors"


class VaeState(Settings):
    """``best_*``: the validation films' lowest rec so far; ``validated_steps``: their last turn."""

    steps: int
    made_from: str
    best_steps: int
    best_rec: float | None
    validated_steps: int
    config: VaeConfig


@dataclass
class VaeTrained:
    """The networks and what goes with them. ``best`` are the autoencoder's weights at best_rec."""

    vae: Vae
    optimiser: torch.optim.Optimizer
    critic: Discriminator | None
    critic_optimiser: torch.optim.Optimizer | None
    best: dict[str, Tensor]
    best_steps: int = 0
    best_rec: float | None = None
    validated_steps: int = 0

    def take(self, rec: float, steps: int) -> None:
        """Keep the weights of now if their reconstruction is the best so far."""
        self.validated_steps = steps
        if self.best_rec is None or rec < self.best_rec:
            self.best_rec, self.best_steps = rec, steps
            weights = self.vae.autoencoder.state_dict()
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}


def new_trained(config: VaeConfig, seed: int, device: torch.device) -> VaeTrained:
    """Networks with weights drawn from the seed, and an optimiser each."""
    # Channels last: convolutions of few channels run half again as fast on a CPU.
    vae = Vae(config, seed).to(device, memory_format=torch.channels_last).train()
    critic, critic_optimiser = None, None
    rate = config.optimiser.rate(config.batch_size)
    if config.loss.adversarial_weight > 0:
        critic = Discriminator(config.image_channels, seed).to(device).train()
        critic_optimiser = _optimiser(critic, config.optimiser, rate)
    return VaeTrained(vae, _optimiser(vae, config.optimiser, rate), critic, critic_optimiser, {})


def _optimiser(model: torch.nn.Module, settings: AdamWSettings, rate: float) -> torch.optim.AdamW:
    # Without weight decay, as the configs of the papers say, AdamW is Adam.
    return torch.optim.AdamW(
        model.parameters(), lr=rate, betas=settings.betas, weight_decay=settings.weight_decay
    )


def save(out: Path, steps: int, made_from: str, config: VaeConfig, trained: VaeTrained) -> None:
    """Publish ``out/checkpoint-<steps>`` and drop all but the newest two."""
    files: dict[str, dict[str, Tensor]] = {
        VAE_FILE: dict(trained.vae.state_dict()),
        OPTIMISER_FILE: moments(trained.vae, trained.optimiser),
        BEST_FILE: trained.best,
    }
    if trained.critic is not None and trained.critic_optimiser is not None:
        files[CRITIC_FILE] = dict(trained.critic.state_dict())
        files[CRITIC_OPTIMISER_FILE] = moments(trained.critic, trained.critic_optimiser)
    state = VaeState(
        steps=steps,
        made_from=made_from,
        best_steps=trained.best_steps,
        best_rec=trained.best_rec,
        validated_steps=trained.validated_steps,
        config=config,
    )
    publish_checkpoint(out, steps, files, state)


def load(folder: Path, trained: VaeTrained) -> int:
    """Put a checkpoint into what is trained; the steps it has done."""
    state = read_record(VaeState, folder)
    trained.vae.load_state_dict(load_file(folder / VAE_FILE))
    load_moments(folder / OPTIMISER_FILE, trained.vae, trained.optimiser)
    if trained.critic is not None and trained.critic_optimiser is not None:
        trained.critic.load_state_dict(load_file(folder / CRITIC_FILE))
        load_moments(folder / CRITIC_OPTIMISER_FILE, trained.critic, trained.critic_optimiser)
    trained.best = load_file(folder / BEST_FILE)
    trained.best_steps, trained.best_rec = state.best_steps, state.best_rec
    trained.validated_steps = state.validated_steps
    return state.steps


def publish_autoencoder(
    autoencoder: AutoencoderKL, out: Path, metrics: dict[str, Any], *beside: Path
) -> None:
    """The folder that load_codec reads, with the run's metrics and copies of the files beside."""
    publish_pretrained(autoencoder, out, metrics, *beside, record=METRICS_FILE)

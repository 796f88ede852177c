"""The judge: a small network that tells the simulator's findings from a latent.

It learns from real films of training patients, never from generated ones, so that it says of a
generated latent what it would say of a real one. Shapes: B latents, L findings.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from train.experiment.truth import Flags

WIDTHS = (32, 64, 128)
STEPS, BATCH, RATE = 1500, 64, 2e-3
JITTER = 0.1  # of standardised latents: the judge is not to hang on the last digit


class Probe(nn.Module):
    def __init__(self, channels: int, findings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.GroupNorm(8, width), nn.GELU()]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.GELU()]
            layers.append(nn.MaxPool2d(2))
            channels = width
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(128), nn.GELU())
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(128, findings)

    def forward(self, latents: Tensor) -> Tensor:
        """Standardised latents (B, C, h, w) -> logits (B, L)."""
        return self.out(self.dropout(self.layers(latents)))


def fit_probe(latents: Tensor, is_present: Flags, seed: int, steps: int = STEPS) -> Probe:
    """Of standardised latents (N, C, h, w) and their findings (N, L)."""
    wanted = torch.from_numpy(is_present.astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(latents.shape[1], wanted.shape[1]).train()
        probe(latents[:2])  # makes the lazy layer
        optimiser = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=0.05)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
        for _ in range(steps):
            rows = torch.randint(len(latents), (BATCH,))
            seen = latents[rows] + JITTER * torch.randn(latents[rows].shape)
            loss = binary_cross_entropy_with_logits(probe(seen), wanted[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
    return probe.eval()


@torch.no_grad()
def judge(probe: Probe, latents: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Probabilities (N, L) of standardised latents."""
    parts = [probe(part).sigmoid() for part in latents.split(256)]
    return torch.cat(parts).numpy()

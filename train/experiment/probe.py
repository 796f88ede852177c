"""The judge: a small network that tells the simulator's findings from a latent.

    python -m train.experiment.probe DATASET TRUTH OUT

It learns from real target films of training patients, never from generated ones, so that it says of
a generated latent what it would say of a real one. Shapes: B latents, C, h, w of each, L findings.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrfuture_data import ContractError, Dataset, open_dataset
from cxrfuture_data.publish import publish
from cxrfuture_data.view import VIEWS
from train.experiment.pairs import read_all
from train.experiment.truth import FINDINGS, Flags, read_truth
from train.future import standardise

FILE = "judge.safetensors"
WIDTHS, HIDDEN = (32, 64, 128), 128
STEPS, BATCH, RATE = 600, 64, 2e-3
JITTER = 0.1  # of standardised latents: the judge is not to hang on the last digit


class Probe(nn.Module):
    """Convolutions that halve the latent three times, and one hidden layer."""

    def __init__(self, shape: tuple[int, int, int], findings: int) -> None:
        super().__init__()
        channels, rows, columns = shape
        layers: list[nn.Module] = []
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.GroupNorm(8, width), nn.GELU()]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.GELU()]
            layers.append(nn.MaxPool2d(2))
            channels = width
        flat = channels * (rows // 8) * (columns // 8)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, HIDDEN), nn.GELU())
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(HIDDEN, findings)

    def forward(self, latents: Tensor) -> Tensor:
        """Standardised latents (B, C, h, w) -> logits (B, L)."""
        return self.out(self.dropout(self.layers(latents)))


def fit_probe(latents: Tensor, is_present: Flags, seed: int, steps: int = STEPS) -> Probe:
    """Of standardised latents (N, C, h, w) and their findings (N, L)."""
    wanted = torch.from_numpy(is_present.astype(np.float32))
    _, channels, rows, columns = latents.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe((channels, rows, columns), wanted.shape[1]).train()
        optimiser = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=0.05)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
        for _ in range(steps):
            chosen = torch.randint(len(latents), (BATCH,))
            seen = latents[chosen] + JITTER * torch.randn(latents[chosen].shape)
            loss = binary_cross_entropy_with_logits(probe(seen), wanted[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
    return probe.eval()


@torch.no_grad()
def judge(probe: Probe, latents: Tensor) -> npt.NDArray[np.float32]:
    """Probabilities (N, L) of standardised latents."""
    parts = [probe(part).sigmoid() for part in latents.split(256)]
    return np.asarray(torch.cat(parts).numpy())


def fit_judge(data: Dataset, truth: Path) -> Probe:
    """Of each film once, though it may be the target of several pairs."""
    train = data.split("train", "pair")
    _, rows = np.unique(train.columns["target.dicom_id"], return_index=True)
    found = read_all(train, replace(VIEWS["future.pair"], hours=False, events="none"))
    targets = standardise(data, found.target[rows][:, 0].float())
    return fit_probe(targets, read_truth(truth, train).target[rows], seed=0)


def open_judge(folder: Path, data: Dataset) -> Probe:
    """The judge that was fitted on this dataset."""
    channels, rows, columns = data.manifest.latent.shape
    probe = Probe((channels, rows, columns), len(FINDINGS))
    probe.load_state_dict(load_file(folder / FILE))
    return probe.eval()


def main(
    dataset: Annotated[Path, typer.Argument(help="build/<recipe>/shard.")],
    truth: Annotated[Path, typer.Argument(help="truth/film.parquet of the hospital.")],
    out: Annotated[Path, typer.Argument(help="Where judge.safetensors goes.")],
) -> None:
    """Fit the judge."""
    try:
        probe = fit_judge(open_dataset(dataset), truth)
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    with publish(out / FILE) as part:
        save_file(probe.state_dict(), part)


if __name__ == "__main__":
    typer.run(main)

"""One generated target beside the films it lies between."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cxrfuture_data import ContractError, PairSample, open_dataset
from cxrfuture_data.batch import PairBatch, convert
from cxrfuture_data.codec import load_codec, weights_digest
from cxrfuture_data.collate import collate
from cxrfuture_data.publish import publish
from train import diffusion
from train.checkpoint import load_averaged, read_state
from train.model.denoiser import Denoiser

GAP = 8  # pixels between two films


@dataclass(frozen=True)
class Request:
    """Which pair to draw, with what autoencoder, from which noise."""

    dataset: Path
    codec: Path
    split: str
    index: int
    seed: int


def draw_film(checkpoint: Path, request: Request, png: Path) -> None:
    """Publish previous | generated | target, each decoded from its latent, as one PNG.

    All three pass through the autoencoder, so that what it loses is not taken for the denoiser's
    fault.
    """
    data = open_dataset(request.dataset)
    if weights_digest(request.codec) != data.manifest.weights.vae:
        raise ContractError(
            f"{request.codec}: not the autoencoder that made the latents of {request.dataset}; "
            "give the one that `latent` used"
        )
    found = data.split(request.split, "pair", films=False)[request.index]
    assert isinstance(found, PairSample)
    batch = convert(collate([found], data), torch.from_numpy)
    assert isinstance(batch, PairBatch)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generated = generate(checkpoint, batch, request.seed, device)
    latents = torch.cat([batch.previous[:, 0], generated.cpu(), batch.target[:, 0]])
    films = load_codec(request.codec, device).decode(latents).cpu().numpy()  # (3, H, W)
    gap = np.zeros((films.shape[1], GAP), np.uint8)
    with publish(png) as part:
        row = np.concatenate([films[0], gap, films[1], gap, films[2]], axis=1)
        Image.fromarray(row).save(part, format="PNG")


@torch.no_grad()
def generate(checkpoint: Path, batch: PairBatch[Tensor], seed: int, device: str) -> Tensor:
    """Target latents (B, C, h, w) by the averaged UNet and the checkpoint's sampler.

    The previous film's latent is its posterior's mean; the released code draws one (specs 12.2,
    B16), which makes a generated film depend on more than its own noise.
    """
    state = read_state(checkpoint)
    model = Denoiser(state.config.unet, state.config.history, state.channels, batch.hours.shape[2])
    load_averaged(checkpoint, model)
    model.eval().to(device)
    previous = batch.previous[:, 0].float().to(device)
    tokens, is_token = model.history(batch.hours.to(device), batch.is_hour.to(device))

    def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
        return model.predict(noisy, previous, timestep, tokens, is_token)

    return diffusion.sample_ddim(
        predict, batch.keys, previous.shape[1:], state.config.sampler, seed, device
    )

"""One generated target beside the films it lies between."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cxrfuture_data import ContractError, PairSample, open_dataset
from cxrfuture_data.batch import convert
from cxrfuture_data.codec import load_codec, weights_digest
from cxrfuture_data.collate import collate
from train.drawer import open_drawer
from train.picture import write_films

GAP = 8  # pixels between two films


@dataclass(frozen=True)
class Request:
    """Which pair to draw, with what autoencoder, from which noise."""

    dataset: Path
    codec: Path
    split: str
    index: int
    seed: int


def draw_film(run: Path, request: Request, png: Path) -> None:
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
    split = data.split(request.split, "pair")
    if not 0 <= request.index < len(split):
        raise ContractError(
            f"{request.split}/pair has {len(split)} samples; no number {request.index}"
        )
    drawer = open_drawer(run, data)
    found = split[request.index]
    assert isinstance(found, PairSample)
    batch = convert(collate([found], data, drawer.task.view), torch.from_numpy)
    generated = drawer.draw(batch, request.seed)
    previous, target = (
        torch.from_numpy(film.mean.astype(np.float32))[None]  # (1, C, h, w)
        for film in (found.previous, found.target)
    )
    latents = torch.cat([previous, generated, target])
    codec = load_codec(request.codec, "cuda" if torch.cuda.is_available() else "cpu")
    films = codec.decode(latents).cpu().numpy()  # (3, H, W)
    write_films(png, films[None], GAP)

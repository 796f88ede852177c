"""Films to look at: a row a pair, the previous film, what each run drew, and the target."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cxrfuture_data.sample import Array
from train.judge import Judge, RealRows
from train.picture import write_films

GAP = 8  # pixels between two films


def write_grid(
    png: Path, judge: Judge, real: RealRows, drawn: Mapping[str, Array], pairs: int
) -> None:
    """Publish the first pairs, every film of them decoded from its latent: what the autoencoder
    loses is not taken for a generator's fault. ``drawn``: latents (N, C, h, w) of each run."""
    columns = [real.previous_latents, *drawn.values(), real.target_latents]
    films = [judge.decode(latents[:pairs]).numpy() for latents in columns]  # (pairs, H, W) each
    write_films(png, np.stack(films, axis=1), GAP)

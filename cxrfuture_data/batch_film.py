"""Films -> their share of a batch: latents, pixels and labels.

Shapes: B films; C, h, w of a latent; s pixels a side.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from cxrfuture_data.sample import Array, Film
from cxrfuture_data.schema import FINDINGS

# One call a film, where a loop over names would cost more than reading the sample.
_FINDINGS, _NO_FINDINGS = itemgetter(*FINDINGS), (None,) * len(FINDINGS)


def latents_of(films: Sequence[Film | None], shape: tuple[int, ...]) -> Array:
    """(B, 2, C, h, w); ``shape`` is (C, h, w). 0 where there is no film."""
    found = np.zeros((len(films), 2, *shape), np.float16)
    for row, film in zip(found, films, strict=True):
        if film is not None:
            row[0], row[1] = film.mean, film.logvar
    return found


def pixels_of(films: Sequence[Film | None], size: int | None) -> Array:
    """(B, 1, s, s). 0 where there is no film."""
    found = np.zeros((len(films), 1, size or 0, size or 0), np.uint8)
    if size is not None:
        for row, film in zip(found, films, strict=True):
            if film is not None:
                row[0] = film.pixels(size)
    return found


def labels_of(films: Sequence[Film | None]) -> tuple[Array, Array]:
    raw = [_NO_FINDINGS if film is None else _FINDINGS(film.labels) for film in films]
    known = np.array([[value is not None for value in row] for row in raw])
    return np.array([[value or 0 for value in row] for row in raw], np.int8), known


def label_fields(films: Sequence[Film | None]) -> dict[str, Any]:
    found, known = labels_of(films)
    return {"labels": found, "label_known": known}

"""Films side by side, as one PNG."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxrfuture_data.publish import publish


def write_films(png: Path, films: npt.NDArray[np.uint8], gap: int) -> None:
    """Publish films (rows, columns, H, W), with so many black pixels between two of them."""
    framed = np.pad(films, [(0, 0), (0, 0), (0, gap), (0, gap)])
    rows, columns, height, width = framed.shape
    picture = framed.swapaxes(1, 2).reshape(rows * height, columns * width)
    with publish(png) as part:
        Image.fromarray(picture[:-gap, :-gap]).save(part, format="PNG")

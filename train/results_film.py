"""What the results page shows of example stays; reading them is train/results_example.py's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """``generated``: a folder of latents that `cxrfuture generate --kind stay` wrote."""

    dataset: Path
    codec: Path
    generated: Path


@dataclass(frozen=True)
class ShownFilm:
    """``png`` as a data URL."""

    title: str
    caption: str
    png: str


@dataclass(frozen=True)
class Example:
    title: str
    films: Sequence[ShownFilm]
    vitals: str | None  # an SVG

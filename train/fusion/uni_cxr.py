"""Uni-CXR: the film alone (specs fusion-baselines 6, 14); of a stay without one, what is usual.

With the outcome ``findings`` it is MedFuse's first stage (7.1), whose ``film`` others begin with.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from cxrfuture_data.settings import Settings
from train.fusion.film import FilmEncoder, FilmSettings
from train.fusion.seen import Answer, Seen, Shape, Target


class UniCxrSettings(Settings):
    name: Literal["uni_cxr"]
    film: FilmSettings


class UniCxr(nn.Module):
    """A ResNet and a linear head."""

    losses: ClassVar[Sequence[str]] = ()
    modalities: ClassVar[Sequence[str]] = ()

    def __init__(self, settings: UniCxrSettings, shape: Shape) -> None:
        super().__init__()
        self.film = FilmEncoder(settings.film)
        self.head = nn.Linear(settings.film.width, shape.labels)

    def forward(self, seen: Seen) -> Answer:
        return Answer(self.head(self.film(seen.film, seen.has_film)), {})

    def losses_of(self, answer: Answer, target: Target, seen: Seen) -> dict[str, Tensor]:
        """None of its own."""
        return {}

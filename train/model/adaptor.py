"""What is known before the target film -> the context of cross-attention (specs ehrxdiff 8).

One class for all seven rows of the paper's Table IV: the sources it reads are a setting.

Shapes: B samples; C, h, w of a latent; s pixels of a film; E events of D numbers, at most M; S
tokens of width W.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from torch.nn.functional import pad

from cxrfuture_data.settings import Settings
from train.model.event import EventEncoder, EventSettings, pad_events
from train.model.vision import FilmEncoder, FilmSettings
from train.settings import Fidelity, Positive

Source = Literal["events", "film", "latent"]
SOURCES: tuple[Source, ...] = ("events", "film", "latent")  # in the order of their slots


def _each_once(sources: list[Source]) -> list[Source]:
    if len(set(sources)) < len(sources):
        raise ValueError("a source is named twice; name each once")
    return sources


class ConditionSettings(Settings):
    """``attend``: the sources of cross-attention; ``concatenate``: the previous film's latent is
    laid beside the noisy target."""

    attend: Annotated[list[Source], AfterValidator(_each_once)]
    concatenate: bool
    tokens: Positive  # that several sources are fused into
    width: Positive  # W
    max_events: Positive  # M
    film: FilmSettings
    events: EventSettings


@dataclass(frozen=True)
class InputSizes:
    """Those of a dataset."""

    latent: tuple[int, int, int]  # C, h, w
    event: int  # D; 0 where events are not read


@dataclass(frozen=True)
class Condition:
    """The previous film, as latent and as pixels, and the events since."""

    latent: Tensor  # (B, C, h, w): the posterior's mean as the autoencoder gives it, not scaled
    film: Tensor  # (B, 1, s, s) uint8
    event: Tensor  # (B, E, D)
    is_event: Tensor  # (B, E) bool

    def without_events(self, is_dropped: Tensor) -> "Condition":
        """The same, where ``is_dropped`` (B,) without events."""
        kept = self.is_event & ~is_dropped[:, None]
        return Condition(self.latent, self.film, self.event, kept)


@dataclass(frozen=True)
class Context:
    """What cross-attention reads; no mask where all of it is real."""

    tokens: Tensor  # (B, S, W)
    is_token: Tensor | None  # (B, S) bool


class Adaptor(nn.Module):
    """Encodes each source; several are fused by one Linear over all their tokens' places.

    Corrected: the tokens of padded events are zero before they are fused, so that padding
    contributes nothing, and left out of attention where events are the only source. As published
    windows are padded to M events whose tokens, which are no zeros, count like any other.
    """

    def __init__(self, settings: ConditionSettings, sizes: InputSizes, fidelity: Fidelity) -> None:
        super().__init__()
        channels, height, width = sizes.latent
        self.max_events = settings.max_events
        self.is_published = fidelity == "published"
        self.events: EventEncoder | None = None
        self.film: FilmEncoder | None = None
        self.latent: nn.Linear | None = None
        slots = 0
        if "events" in settings.attend:
            self.events = EventEncoder(settings.events, sizes.event, settings.width)
            slots += settings.max_events
        if "film" in settings.attend:
            self.film = FilmEncoder(settings.film, settings.width)
            # Its last LayerNorm takes no part; a weight without gradient would stall DDP.
            self.film.transformer.post_layernorm.requires_grad_(False)
            slots += settings.film.tokens
        if "latent" in settings.attend:
            self.latent = nn.Linear(height * width, settings.width)
            slots += channels
        self.fuse = nn.Linear(slots, settings.tokens) if len(settings.attend) > 1 else None

    def forward(self, condition: Condition) -> Context:
        """The tokens of the only source, or those that several are fused into."""
        parts: list[Tensor] = []
        is_token = None
        if self.events is not None:
            tokens, is_token = self._events(condition.event, condition.is_event)
            parts.append(tokens)  # (B, E, W)
        if self.film is not None:
            parts.append(self.film(condition.film).tokens)  # (B, 1 + patches, W)
        if self.latent is not None:
            parts.append(self.latent(condition.latent.flatten(2)))  # (B, C, W)
        if self.fuse is None:
            return Context(parts[0], is_token)
        if self.events is not None:
            parts[0] = pad(parts[0], (0, 0, 0, self.max_events - parts[0].shape[1]))  # (B, M, W)
        joined = torch.cat(parts, dim=1)  # (B, slots, W)
        return Context(self.fuse(joined.transpose(1, 2)).transpose(1, 2), None)

    def _events(self, event: Tensor, is_event: Tensor) -> tuple[Tensor, Tensor | None]:
        assert self.events is not None
        if self.is_published:
            event, is_event = pad_events(event, is_event, self.max_events)
            return self.events(event, is_event)[0], None
        tokens, is_token = self.events(event, is_event)
        return torch.where(is_token[..., None], tokens, 0), is_token

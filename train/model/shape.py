"""The sizes of the latent transformer: those of its settings, and those of the data."""

from typing import NamedTuple, Self

from pydantic import model_validator

from cxrfuture_data.settings import Settings
from train.settings import Positive, Share


class ContextSettings(Settings):
    """Of the encoder of what is known, which has ``context_depth`` blocks."""

    patch: Positive  # positions of the latent a side
    width: Positive
    context_depth: Positive
    heads: Positive
    expansion: Positive  # of the feed-forward layers
    dropout: Share
    gradient_checkpointing: bool

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"width {self.width} is to be a multiple of heads and of 4")
        return self


class TransformerSettings(ContextSettings):
    """``depth`` more blocks see the noisy target."""

    depth: Positive


class DataShape(NamedTuple):
    """What a dataset's batches hold."""

    channels: int  # C, of the latents
    hour_columns: int  # F
    event_width: int  # D, of the embeddings

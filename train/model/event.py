"""Event embeddings -> tokens: EHRXDiff's table encoder (specs ehrxdiff 7.3).

Shapes: B samples, E events, D of an embedding, W of a token that leaves.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from cxrfuture_data.schema import ContractError
from cxrfuture_data.settings import Settings
from train.settings import Positive, Share


class EventSettings(Settings):
    """Of the Transformer; its width is that of the dataset's embeddings."""

    layers: Positive
    heads: Positive
    feedforward: Positive
    dropout: Share


class EventEncoder(nn.Module):
    """A post-norm Transformer without positions: the order of events does not matter to it."""

    def __init__(self, settings: EventSettings, dimensions: int, width: int | None) -> None:
        """``dimensions``: D; ``width``: W, or None for tokens as the Transformer gives them."""
        super().__init__()
        if dimensions % settings.heads:
            raise ContractError(
                f"events.heads: {settings.heads} does not divide the {dimensions} numbers of the "
                "dataset's event embeddings; choose a divisor of them"
            )
        layer = nn.TransformerEncoderLayer(
            d_model=dimensions,
            nhead=settings.heads,
            dim_feedforward=settings.feedforward,
            dropout=settings.dropout,
            activation="relu",
            batch_first=True,
            norm_first=False,
        )
        # Nested tensors would set padding to zero and cut it off, in eval mode only (8).
        self.encoder = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
        self.project = nn.Identity() if width is None else nn.Linear(dimensions, width)

    def forward(self, event: Tensor, is_event: Tensor) -> tuple[Tensor, Tensor]:
        """event (B, E, D), is_event (B, E) -> tokens (B, E, W) and is_token (B, E).

        Where E is 0, one place of padding is added. What stands at padding means nothing, but is a
        number: a window without events, in which softmax would have nothing to divide, attends to
        its padding.
        """
        event, is_event = pad_events(event, is_event, max(event.shape[1], 1))
        is_key = is_event | ~is_event.any(dim=1, keepdim=True)  # (B, E)
        tokens = self.encoder(
            event.float(), src_key_padding_mask=~is_key
        )  # torch: True is left out
        return self.project(tokens), is_event


def pad_events(event: Tensor, is_event: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Zeros, which are no events, up to ``length`` of them."""
    more = length - event.shape[1]
    return pad(event, (0, 0, 0, more)), pad(is_event, (0, more), value=False)


def pool_events(tokens: Tensor, is_event: Tensor, *, over_padding: bool) -> Tensor:
    """(B, W): the mean of the real events' tokens, zeros where there are none.

    Over padding, as published: the sum of all E tokens by the number of real ones (7.3).
    """
    kept = tokens if over_padding else torch.where(is_event[..., None], tokens, 0)
    return kept.sum(dim=1) / is_event.sum(dim=1, keepdim=True).clamp(min=1)

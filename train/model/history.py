"""The hourly record -> tokens for cross-attention: a time-series Transformer (specs ddl-cxr 8.2).

Shapes: B samples, T hours, F columns (79, or those of the dataset's set), D the width.

Differs from the released code where that is in error: a LayerNorm stands in place of the BatchNorm
over batch and time, which counted padding and made a sample's output depend on its batch; the
caller must use ``is_token`` in cross-attention, where padding used to be attended to; and positions
are computed, so a window may have any length.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from cxrfuture_data.hourly import COLUMNS
from train.settings import HistorySettings


class History(nn.Module):
    """Linear, a learned CLS token, sinusoidal positions, a post-norm Transformer."""

    def __init__(self, settings: HistorySettings, columns: int = COLUMNS) -> None:
        """``columns``: F, of the record."""
        super().__init__()
        width = settings.width
        self.width = width
        self.project = nn.Linear(columns, width)
        self.cls = nn.Parameter(torch.randn(width))
        layer = nn.TransformerEncoderLayer(
            d_model=width,
            nhead=settings.heads,
            dim_feedforward=settings.feedforward,
            dropout=settings.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=False,
        )
        # Nested tensors would cut the padding off, and with it the shape of the result.
        self.encoder = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, hours: Tensor, is_hour: Tensor) -> tuple[Tensor, Tensor]:
        """hours (B, T, F), is_hour (B, T) -> tokens (B, 1 + T, D) and is_token (B, 1 + T) bool.

        Token 0 is CLS. What stands at a place that is no token means nothing.
        """
        tokens, is_token = self._embed(hours, is_hour)
        tokens = self.encoder(tokens, src_key_padding_mask=~is_token)  # torch: True is left out
        return self.dropout(gelu(tokens)), is_token

    def attention(self, hours: Tensor, is_hour: Tensor) -> Tensor:
        """(B, 1 + T, 1 + T): how each token of the last layer weighs all, the mean of its heads."""
        tokens, is_token = self._embed(hours, is_hour)
        *earlier, last = self.encoder.layers
        for layer in earlier:
            tokens = layer(tokens, src_key_padding_mask=~is_token)
        _, weights = last.self_attn(tokens, tokens, tokens, key_padding_mask=~is_token)
        return weights

    def _embed(self, hours: Tensor, is_hour: Tensor) -> tuple[Tensor, Tensor]:
        samples = len(hours)
        projected = self.project(hours) * math.sqrt(self.width)  # (B, T, D)
        tokens = torch.cat([self.cls.expand(samples, 1, -1), projected], dim=1)  # (B, 1 + T, D)
        always = is_hour.new_ones(samples, 1)
        is_token = torch.cat([always, is_hour], dim=1)  # (B, 1 + T)
        tokens = tokens + positions(tokens.shape[1], self.width).to(tokens)
        return self.dropout(tokens), is_token


def positions(length: int, width: int) -> Tensor:
    """(length, width): sines on even columns, cosines on odd ones, periods up to 10,000."""
    place = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))  # (width / 2,)
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)
    return table

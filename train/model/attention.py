"""Attention with masks, and a Transformer block that a vector steers (adaLN-zero, Peebles 2023).

Shapes: B samples, N tokens, S tokens of a context, H heads, W the width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu


class Memory(NamedTuple):
    """What a layer of attention needs of the tokens looked at; made once, it may serve often."""

    key: Tensor  # (B, H, S, W / H)
    value: Tensor  # (B, H, S, W / H)
    is_token: Tensor | None  # (B, 1, 1, S): True is seen; None: all are


class Attention(nn.Module):
    """Multi-head attention; RMSNorm on queries and keys keeps its logits small in bf16."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.query_norm = nn.RMSNorm(width // heads)
        self.key_norm = nn.RMSNorm(width // heads)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, memory: Memory) -> Tensor:
        """tokens (B, N, W) look at a memory of S tokens -> (B, N, W)."""
        query = self._split(self.query(tokens))  # (B, H, N, W / H)
        query = self.query_norm(query).to(memory.value)
        seen = scaled_dot_product_attention(
            query, memory.key, memory.value, attn_mask=memory.is_token
        )
        return self.out(seen.transpose(1, 2).flatten(2))

    def remember(self, context: Tensor, is_token: Tensor | None = None) -> Memory:
        """Of context (B, S, W), where is_token (B, S); None: everywhere.

        A sample must have one real token at least: a softmax over nothing is NaN.
        """
        key, value = map(self._split, self.key_value(context).chunk(2, dim=-1))
        mask = None if is_token is None else is_token[:, None, None, :]
        return Memory(self.key_norm(key).to(value), value, mask)

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, N, W) -> (B, H, N, W / H)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Self-attention, cross-attention to a context if ``has_context``, and a feed-forward layer.

    Shift, scale and gate of each part come from a vector; gates start at 0, so that a new block
    changes nothing.
    """

    def __init__(
        self, width: int, heads: int, expansion: int, dropout: float, *, has_context: bool
    ) -> None:
        super().__init__()
        self.attend = Attention(width, heads)
        self.look = Attention(width, heads) if has_context else None
        self.feed = nn.Sequential(
            nn.Linear(width, expansion * width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(expansion * width, width),
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.steer = nn.Linear(width, (9 if has_context else 6) * width)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(
        self,
        tokens: Tensor,
        vector: Tensor,
        is_token: Tensor | None = None,
        memory: Memory | None = None,
    ) -> Tensor:
        """tokens (B, N, W), of which is_token (B, N) are real (None: all); vector (B, W); memory of
        the context, by this block's ``look``."""
        steering = iter(self.steer(silu(vector))[:, None].chunk(self._parts * 3, dim=-1))

        normed = self._modulate(tokens, next(steering), next(steering))
        seen = self.attend(normed, self.attend.remember(normed, is_token))
        tokens = tokens + next(steering) * self.dropout(seen)
        if self.look is not None and memory is not None:
            normed = self._modulate(tokens, next(steering), next(steering))
            tokens = tokens + next(steering) * self.dropout(self.look(normed, memory))
        normed = self._modulate(tokens, next(steering), next(steering))
        return tokens + next(steering) * self.dropout(self.feed(normed))

    @property
    def _parts(self) -> int:
        return 2 if self.look is None else 3

    def _modulate(self, tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return self.norm(tokens) * (1 + scale) + shift


def sines(values: Tensor, width: int, longest: float, shortest: float) -> Tensor:
    """values (...) -> (..., width): sines, then cosines, of periods spaced evenly in logarithm."""
    half = width // 2
    place = torch.linspace(0, 1, half, device=values.device)
    periods = shortest * (longest / shortest) ** place
    angles = values.float()[..., None] * (2 * torch.pi / periods)  # (..., width / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def grid_sines(rows: int, columns: int, width: int, device: torch.device) -> Tensor:
    """(rows * columns, width): half of the numbers tell the row and half the column, so that a
    grid of any size has positions."""
    half = width // 2
    down = sines(torch.arange(rows, device=device), half, 10_000.0, 2 * torch.pi)
    along = sines(torch.arange(columns, device=device), half, 10_000.0, 2 * torch.pi)
    grid = (rows, columns, half)
    both = [down[:, None].expand(grid), along[None].expand(grid)]
    return torch.cat(both, dim=-1).flatten(0, 1)

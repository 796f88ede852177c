"""Static values as tokens, weighted by one vector of the film: IECA (specs diff3m 10.7, 10.8).

Shapes: B films; S = 8 static values in the order of the contract; J = 5 tokens of a group; D the
width. Of a value that is not known no token is attended to; as published, where every film has
all values, it is a token all the same, of the value 0 (the mean, of a measurement).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cxrfuture_data.schema import STATIC

NAMES = tuple(STATIC)
MEASUREMENTS = ("bmi", "systolic", "diastolic", "height", "weight")
DEMOGRAPHICS = ("age", "is_female", "is_male", "is_pa", "is_ap")  # numbers first (10.7)


@dataclass(frozen=True)
class Moments:
    """Of each of MEASUREMENTS, over the films that are learned from."""

    mean: tuple[float, ...]
    std: tuple[float, ...]  # by n, as published; 1 of a constant


PLACEHOLDER = Moments((0.0,) * len(MEASUREMENTS), (1.0,) * len(MEASUREMENTS))


class Tokeniser(nn.Module):
    """LayerNorm(weight_j * value_j + bias_j), so a value of 0 still has a token."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(count, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, width).uniform_(-bound, bound))
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        """(B, J) -> (B, J, D)."""
        return self.norm(self.weight * values[..., None] + self.bias)


class StaticAttention(nn.Module):
    """Film and static values -> one vector, the sum of both groups' weighted tokens.

    The moments lie beside the weights, so that a checkpoint never meets those of other films (B2).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, width: int, moments: Moments, *, skips_unknown: bool) -> None:
        """``channels``: of what the reference encoder gives."""
        super().__init__()
        self.skips_unknown = skips_unknown
        self.register_buffer("mean", torch.tensor(moments.mean))
        self.register_buffer("std", torch.tensor(moments.std))
        self.demographics = Tokeniser(len(DEMOGRAPHICS), width)
        self.measurements = Tokeniser(len(MEASUREMENTS), width)
        self.query = nn.Sequential(nn.Linear(channels, width), nn.LayerNorm(width))

    def forward(self, features: Tensor, static: Tensor, is_known: Tensor) -> Tensor:
        """(B, C, h, w) of the clean film, (B, S), (B, S) bool -> (B, D)."""
        query = self.query(features.amax(dim=(2, 3)))  # (B, D)
        at = [NAMES.index(name) for name in MEASUREMENTS]
        measured = torch.where(is_known[:, at], (static[:, at] - self.mean) / self.std, 0)
        demographics, has_demographics = demographics_of(static, is_known)
        condition = torch.zeros_like(query)
        for tokeniser, values, is_token in (
            (self.demographics, demographics, has_demographics),
            (self.measurements, measured, is_known[:, at]),
        ):
            tokens = tokeniser(values)  # (B, J, D)
            attended = is_token if self.skips_unknown else torch.ones_like(is_token)
            weights = attention_weights(tokens, query, attended)  # (B, J)
            condition = condition + (weights[..., None] * tokens).sum(1)
        return condition


def demographics_of(static: Tensor, is_known: Tensor) -> tuple[Tensor, Tensor]:
    """(B, S) -> values and which are known, of DEMOGRAPHICS (B, J): age by (age - 1) / 99, and sex
    and view as one of two each; 0 where not known."""
    age, is_male, is_ap = (static[:, NAMES.index(name)] for name in ("age", "is_male", "is_ap"))
    known = [is_known[:, NAMES.index(name)] for name in ("age", "is_male", "is_ap")]
    has_value = torch.stack([known[0], known[1], known[1], known[2], known[2]], dim=1)
    values = torch.stack([(age - 1) / 99, 1 - is_male, is_male, 1 - is_ap, is_ap], dim=1)
    return torch.where(has_value, values, 0), has_value


def attention_weights(tokens: Tensor, query: Tensor, is_token: Tensor) -> Tensor:
    """(B, J, D), (B, D), (B, J) bool -> (B, J), which sum to 1; to 0 where there is no token."""
    scores = (tokens * query[:, None]).sum(-1) / tokens.shape[-1] ** 0.5
    scores = scores.masked_fill(~is_token, torch.finfo(scores.dtype).min)
    return scores.softmax(-1) * is_token

"""DrFuse's pooling of two modalities, and its own losses (specs fusion-baselines 12.5, 12.7).

Shapes: B stays; W numbers of a representation; K labels; the 3 tokens are record, shared and film.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, logsigmoid

from train.fusion.seen import Target
from train.mean import mean_of_real

RECORD, SHARED, FILM = range(3)
PAIRS = ((FILM, RECORD), (SHARED, RECORD), (SHARED, FILM))  # that are ranked


def pool_logits(one: Tensor, other: Tensor) -> Tensor:
    """The logit of the mean of two probabilities, from logits of any one shape and any size."""
    one, other = one.float(), other.float()
    both = one + other
    present = torch.stack([both, both, one, other]).logsumexp(0)
    zero = torch.zeros_like(one)
    return present - torch.stack([zero, zero, one, other]).logsumexp(0)


def divergence_loss(one: Tensor, other: Tensor, is_counted: Tensor, is_paired: Tensor) -> Tensor:
    """Jensen-Shannon divergence of sigmoids (B, W), summed over W and the stays counted (B,), per
    paired stay; without the terms of 1 - p, as published."""
    first, second = logsigmoid(one.float()), logsigmoid(other.float())
    mean = torch.logaddexp(first, second) - math.log(2)
    each = 0.5 * (first.exp() * (first - mean) + second.exp() * (second - mean))  # (B, W)
    return (each.sum(1) * is_counted).sum() / is_paired.sum().clamp(min=1)


def alignment_loss(shared: Tensor, distinct: Tensor, is_counted: Tensor) -> Tensor:
    """The absolute cosine of (B, W) each, over the stays counted (B,)."""
    cosine = cosine_similarity(shared.float(), distinct.float(), dim=1)  # (B,)
    return mean_of_real(cosine.abs(), ~is_counted)


def rank_loss(
    weights: Tensor, logits: Tensor, target: Target, is_counted: Tensor, margin: float
) -> Tensor:
    """Of two tokens, the one whose own prediction costs less is to weigh more by ``margin``; the
    second of two equal ones.

    ``weights`` (B, K, 3), ``logits`` (B, K, 3) of the tokens' own heads. Each pair's sum is divided
    by how many of its costs are above 0.
    """
    is_present = target.is_present[..., None].expand(logits.shape).float()
    # What a present label weighs would multiply both sides of each comparison.
    costs = binary_cross_entropy_with_logits(
        logits.detach().float(), is_present, reduction="none"
    )  # (B, K, 3)
    is_counted = is_counted[:, None] & target.is_known  # (B, K)
    terms = []
    for first, second in PAIRS:
        sign = torch.where(costs[..., first] < costs[..., second], 1.0, -1.0)
        ahead = sign * (weights[..., first] - weights[..., second]).float()
        each = (margin - ahead).clamp(min=0) * is_counted
        terms.append(each.sum() / (each > 0).sum().clamp(min=1))
    return torch.stack(terms).mean()

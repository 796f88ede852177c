"""Means of losses that do not depend on which samples share a batch, a part of it or a rank.

Shapes: B samples, L labels.
"""

from torch import Tensor


def mean_of_known(each: Tensor, is_known: Tensor) -> Tensor:
    """(B, L) each -> (B,): over what is known of a sample; 0 of nothing."""
    return (each * is_known).sum(1) / is_known.sum(1).clamp(min=1)


def mean_of_real(costs: Tensor, is_padding: Tensor) -> Tensor:
    """(B,) each -> a scalar, without repeated samples; 0 where a rank has padding alone."""
    is_real = ~is_padding.to(costs.device)
    return (costs * is_real).sum() / is_real.sum().clamp(min=1)

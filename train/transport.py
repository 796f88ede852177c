"""WD: how far one set of latents is from another by exact optimal transport.

Shapes: N samples, F numbers of each.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from cxrfuture_data.schema import ContractError


def transport_cost(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """The least mean squared distance over one-to-one matchings of (N, F) and (N, F), in float64.

        min over permutations p of  1/N  sum_i |first_i - second_p(i)|^2

    which is the squared 2-Wasserstein distance of the two empirical distributions: of equal counts
    and weights an optimal plan is a permutation. The paper's formula is not stated; this one is of
    its numbers' size (specs ddl-cxr 10).
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.ndim != 2 or one.shape != other.shape or len(one) == 0:
        raise ContractError(
            f"transport: vectors of shapes {one.shape} and {other.shape}; give as many of each"
        )
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ContractError("transport: a number is not finite; the model has diverged")
    # |a - b|^2 as a^2 + b^2 - 2 a b is short of digits where a is near b, so it only decides the
    # matching, whose cost is then computed from the differences.
    cost = np.square(one).sum(1)[:, None] + np.square(other).sum(1) - 2 * one @ other.T  # (N, N)
    _, matched = linear_sum_assignment(cost)
    return float(
        np.mean([np.square(a - other[j]).sum() for a, j in zip(one, matched, strict=True)])
    )

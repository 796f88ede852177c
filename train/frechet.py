"""The Frechet distance between two sets of vectors: FID on a network's features, FD on latents.

Shapes: N and M samples, F numbers of each.
"""

import numpy as np
import numpy.typing as npt

from cxrfuture_data.schema import ContractError

Floats = npt.NDArray[np.float64]


def frechet_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """That of the Gaussians fitted to (N, F) and (M, F), in float64 (specs ddl-cxr 10).

        |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

    with S the covariance over n - 1. Where S1 = A^T A and S2 = B^T B, the eigenvalues of S1 S2
    other than 0 are the squared singular values of A B^T, so the last trace is the sum of those
    singular values. No square root of a matrix is taken: covariances of fewer samples than numbers,
    which are singular, need no regularisation.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    _require(one, other)
    apart = one.mean(0) - other.mean(0)  # (F,)
    root, other_root = _covariance_root(one), _covariance_root(other)
    shared = np.linalg.svd(root @ other_root.T, compute_uv=False).sum()
    spread = np.square(root).sum() + np.square(other_root).sum()
    return max(float(apart @ apart + spread - 2 * shared), 0.0)  # below 0 by rounding only


def _covariance_root(samples: Floats) -> Floats:
    """(min(N, F), F): a matrix whose transpose times itself is the covariance."""
    root = (samples - samples.mean(0)) / np.sqrt(len(samples) - 1)
    return np.asarray(np.linalg.qr(root, mode="r")) if len(root) > root.shape[1] else root


def _require(one: Floats, other: Floats) -> None:
    for samples in (one, other):
        if samples.ndim != 2 or len(samples) < 2:
            raise ContractError(
                f"Frechet distance: vectors of shape {samples.shape}; give 2 samples or more"
            )
        if not np.isfinite(samples).all():
            raise ContractError("Frechet distance: a number is not finite; the model has diverged")
    if one.shape[1] != other.shape[1]:
        raise ContractError(
            f"Frechet distance: vectors of {one.shape[1]} and {other.shape[1]} numbers; "
            "take both from the same network"
        )

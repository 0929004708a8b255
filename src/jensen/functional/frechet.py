"""Frechet distance of two sets of features: the 2-Wasserstein distance, squared, of the Gaussians with their moments.

FD = |mu1 - mu2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2).

1. With C = F F^T for each side, the eigenvalues of C1 C2 are those of (F1^T F2)(F1^T F2)^T.
2. So tr (C1 C2)^(1/2) is the sum of the singular values of F1^T F2: nothing complex, no square root of a tiny number.
3. F = V w^(1/2) from C = V w V^T, or, where there are fewer rows than features, the centred rows themselves.

The square root of a matrix, or of eigenvalues of F1^T C2 F1, turns errors of 1e-16 into 1e-8 where C is singular.

Reference: Dowson and Landau 1982; Heusel et al. 2017 (of Inception features: FID).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.given import reals


def frechet(x: Tensor, y: Tensor) -> Tensor:
    """FD of rows x (n, d) and y (m, d), in float64 whatever they come in; a number of squared units of the features.

    Of a set with itself 0 up to 1e-12 of its traces. Biased: too large by about c / n + c' / m. Raises UsageError for
    other shapes, fewer than two rows, and for what is not finite.

    >>> import torch
    >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])
    >>> float(frechet(x, x + 3))
    18.0
    """
    x, y = check_features(x, y)
    mean_x, mean_y = x.mean(0), y.mean(0)
    return frechet_of_factors(mean_x, factor(x - mean_x), mean_y, factor(y - mean_y))


def frechet_of_factors(mean_x: Tensor, factor_x: Tensor, mean_y: Tensor, factor_y: Tensor) -> Tensor:
    """FD from means (d,) and factors F (d, r) of the covariances C = F F^T."""
    from torch.linalg import svdvals

    traces = factor_x.square().sum() + factor_y.square().sum()
    return (mean_x - mean_y).square().sum() + traces - 2 * svdvals(factor_x.T @ factor_y).sum()


def factor(centred: Tensor) -> Tensor:
    """F (d, r) with F F^T the unbiased covariance of centred rows (n, d); r is the smaller of n and d."""
    n, d = centred.shape
    return centred.T / math.sqrt(n - 1) if n <= d else root(centred.T @ centred / (n - 1))


def root(covariance: Tensor) -> Tensor:
    """F (d, d) with F F^T = C, for a symmetric C without negative eigenvalues but for rounding."""
    from torch.linalg import eigh

    values, vectors = eigh(covariance)
    # rounding leaves 1e-16 where a direction has no variance, and its root would be 1e-8
    noise = torch.finfo(values.dtype).eps * len(values) * values[-1]
    return vectors * values.where(values > noise, 0).sqrt()


def check_features(x: Tensor, y: Tensor, least: int = 2) -> tuple[Tensor, Tensor]:
    """Two sets of features (n, d) and (m, d) in float64. Raises UsageError for other shapes and for nan."""
    x, y = reals("x", x), reals("y", y)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < least:
        raise UsageError(
            f"expected features (n, d) and (m, d), of {least} rows or more each",
            f"got {tuple(x.shape)} and {tuple(y.shape)}",
            "flatten what is no vector, and take the same features of both",
        )
    x, y = x.detach().double(), y.detach().double()
    if not (x.isfinite().all() and y.isfinite().all()):
        raise UsageError("expected finite features", "got nan or infinity", "look at the rows they come from")
    return x, y

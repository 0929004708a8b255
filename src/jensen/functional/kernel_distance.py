"""Squared maximum mean discrepancy of two sets of features, by all pairs: unbiased, with a jackknife interval.

MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y), the cubic kernel k(x, y) = (x.y / d + 1)^3. Averages over subsets, as
peers take them, cost as much and say less: their spread is that of a smaller set, no standard error of the mean.

Reference: Gretton et al. 2012, lemma 6; Binkowski et al. 2018 (of Inception features: KID).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from jensen.functional.frechet import check_features

CHUNK = 1024
PAIRED = 1024
"""Rows of a side whose pairs say how skewed MMD^2 is."""


class Discrepancy(NamedTuple):
    """MMD^2, its standard error and its skewness (`intervals.skewed_ends`); `value` may be negative, for it is unbiased."""

    value: float
    error: float
    skew: float


def kernel_distance(x: Tensor, y: Tensor, chunk: int = CHUNK) -> Discrepancy:
    """Unbiased MMD^2 of rows x (n, d) and y (m, d), float64, in O(chunk (n + m)) memory, with its jackknife error.

    The error is that of two sets that differ; where they have one law MMD^2 is not normal and the error too large.
    Raises UsageError for other shapes, fewer than three rows, nan.

    >>> rng = torch.Generator().manual_seed(0)
    >>> x, y = (torch.randn(500, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    >>> same, apart = kernel_distance(x, y), kernel_distance(x, y + 1)
    >>> abs(same.value) < 3 * same.error, apart.value > 3 * apart.error
    (True, True)
    """
    x, y = check_features(x, y, least=3)
    xx, yy = _within(x, chunk), _within(y, chunk)
    xy, yx = torch.empty_like(xx), torch.zeros_like(yy)
    for at, kernel in _blocks(x, y, chunk):
        xy[at : at + len(kernel)] = kernel.sum(1)
        yx += kernel.sum(0)
    n, m = len(x), len(y)
    value = _mmd(xx.sum(), n, yy.sum(), m, xy.sum())
    # 1. without row i of x, its pairs with x go twice and its pairs with y once; and the same for y
    without_x = _mmd(xx.sum() - 2 * xx, n - 1, yy.sum(), m, xy.sum() - xy)
    without_y = _mmd(xx.sum(), n, yy.sum() - 2 * yy, m - 1, xy.sum() - yx)
    # 2. the sides are independent: their variances add
    squares = [(len(part) - 1) * float(part.var(correction=0)) for part in (without_x, without_y)]
    add_x, add_y = ((1 - len(part)) * (part - part.mean()) for part in (without_x, without_y))
    return Discrepancy(float(value), math.sqrt(sum(squares)), _skewness(x, y, add_x, add_y, sum(squares)))


def _skewness(x: Tensor, y: Tensor, add_x: Tensor, add_y: Tensor, variance: float) -> float:
    """The skewness of a linear statistic whose studentised law is about that of MMD^2.

    1. MMD^2 = theta + mean g(x) + mean g(y) + terms of pairs psi, g being what a row adds. Studentised, its law differs from
       the normal one by (2 z^2 + 1) E g^3 + 3 (z^2 + 1) E g g psi (Helmers 1991, On the Edgeworth expansion and the bootstrap
       approximation for a studentized U-statistic): psi counts for 5/3 at z = 2. It overshoots where the laws are close. With
       1 the interval of 95 % covers in 93.5 to 96.5 % (30 to 200 rows, 0.3 and 1 apart), with 5/3 in up to 99 %, with 0 in
       as few as 91 %.
    2. g has mean 0, so that psi need not be centred: it is 2 k within a side and -2 k across.
    """
    if variance == 0:
        return 0.0
    n, m = len(x), len(y)
    total = float(add_x.pow(3).mean()) / n**2 + float(add_y.pow(3).mean()) / m**2
    for (a, g), (b, h), sign in (
        ((x, add_x), (x, add_x), 2),
        ((y, add_y), (y, add_y), 2),
        ((x, add_x), (y, add_y), -4),
    ):
        same = a is b
        g_some, h_some = g[:PAIRED] - g[:PAIRED].mean(), h[:PAIRED] - h[:PAIRED].mean()
        pairs = sum(
            float(g_some[at : at + len(kernel)] @ kernel @ h_some)
            for at, kernel in _blocks(a[:PAIRED], b[:PAIRED], CHUNK)
        )
        count = len(g_some) * len(h_some)
        if same:
            pairs -= float((g_some.square() * (a[:PAIRED].square().sum(1) / a.shape[1] + 1) ** 3).sum())
            count -= len(g_some)
        total += sign * pairs / count / (len(a) * len(b))
    return total / variance**1.5


def _mmd(xx: Tensor, n: int, yy: Tensor, m: int, xy: Tensor) -> Tensor:
    """MMD^2 from sums over pairs of different rows."""
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)


def _within(x: Tensor, chunk: int) -> Tensor:
    """Sums (n,) of the kernel of each row with all others."""
    sums = torch.cat([kernel.sum(1) for _, kernel in _blocks(x, x, chunk)])
    return sums - (x.square().sum(1) / x.shape[1] + 1) ** 3


def _blocks(x: Tensor, y: Tensor, chunk: int) -> Iterator[tuple[int, Tensor]]:
    for at in range(0, len(x), chunk):
        yield at, (torch.mm(x[at : at + chunk], y.T) / x.shape[1]).add_(1).pow_(3)

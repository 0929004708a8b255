"""Importance weights, judged: effective sample size, and the tail index that says whether their mean can be trusted.

Both see only where samples fell. A region that the proposal never visits changes neither.

References: Zhang and Stephens 2009, A new and efficient estimation method for the generalized Pareto distribution;
Vehtari, Simpson, Gelman, Yao, Gabry 2024, Pareto smoothed importance sampling (tail size, prior and threshold).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.given import reals

SMALLEST_TAIL = 5
"""A generalised Pareto law is not fitted to fewer values."""

PRIOR_WEIGHT, PRIOR_SHAPE = 10, 0.5
"""Vehtari et al. 2024, appendix G: as if ten more values of the tail had said k = 0.5."""


class Tail(NamedTuple):
    """The upper tail of n values: P(X > x) falls like x^(-1/k). `k` is None where the tail has under 5 values.

    k < 0.5: finite variance; k < 1: finite mean. -inf: no tail, the largest values are equal; inf: so few values carry
    the sum that no law can be fitted. `threshold` is the largest k at which n values are enough.
    """

    k: float | None
    threshold: float
    values: int

    @property
    def reliable(self) -> bool:
        """Whether a mean of so many values with such a tail can be relied on."""
        return self.k is not None and self.k <= self.threshold


def log_mean_exp(log_w: Tensor) -> Tensor:
    """log of the mean of exp(log_w) over the last axis, (..., n) -> (...).

    The mean weight is an unbiased estimate of the normaliser; its logarithm is low by Jensen's inequality.

    >>> log_mean_exp(torch.tensor([1000.0, 1000.0])).item()
    1000.0
    """
    return log_w.logsumexp(-1) - math.log(log_w.shape[-1])


def effective_share(log_w: Tensor) -> float:
    """Normalised effective sample size (sum w)^2 / (n sum w^2) of weights w = exp(log_w), (n,): in [1/n, 1].

    1 / (1 + squared coefficient of variation): the share of n equal weights that would be as precise (Kong 1992).
    0 where every weight is 0.

    >>> effective_share(torch.zeros(10)), effective_share(torch.tensor([0.0, -torch.inf]))
    (1.0, 0.5)
    """
    log_w = check_weights(log_w)
    if bool((log_w == -math.inf).all()):
        return 0.0
    share = 2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0) - math.log(len(log_w))
    return min(1.0, math.exp(float(share)))


def pareto_k(log_w: Tensor) -> Tail:
    """Pareto k-hat of weights exp(log_w), (n,): the tail index of the largest min(n/5, 3 sqrt n) of them.

    >>> pareto_k(torch.zeros(1000)).reliable
    True
    >>> heavy = -2 * torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log()
    >>> pareto_k(heavy).reliable  # the weights have a tail index of 2: not even a mean
    False
    """
    log_w = check_weights(log_w)
    top = float(log_w.max())
    return tail_index((log_w - top).exp() if math.isfinite(top) else torch.zeros_like(log_w))


def tail_index(values: Tensor) -> Tail:
    """The tail index of non-negative values (n,), from a generalised Pareto fit to the largest ones' excesses."""
    n = len(values)
    ordered = values.detach().double().cpu().sort().values
    size = math.ceil(min(n / 5, 3 * math.sqrt(n)))
    # below ten values 1 - 1/log10(n) is not positive: nothing is enough then
    threshold = min(1 - 1 / math.log10(n), 0.7) if n > 1 else -math.inf
    if size < SMALLEST_TAIL:
        return Tail(None, threshold, n)
    excess = ordered[-size:] - ordered[-size - 1]
    if not math.isfinite(float(excess[-1])):
        return Tail(math.inf, threshold, n)
    if excess[-1] <= 1e-12 * ordered[-1]:  # equal up to rounding
        return Tail(-math.inf, threshold, n)
    excess = excess[excess > 0]
    if len(excess) < SMALLEST_TAIL:
        return Tail(math.inf, threshold, n)
    k, _ = pareto_fit(excess)
    return Tail((len(excess) * k + PRIOR_WEIGHT * PRIOR_SHAPE) / (len(excess) + PRIOR_WEIGHT), threshold, n)


def pareto_fit(excess: Tensor) -> tuple[float, float]:
    """Shape k and scale sigma of a generalised Pareto law, P(X > x) = (1 + k x / sigma)^(-1/k), from x (m,) > 0.

    1. With theta = -k / sigma, the likelihood is largest over k at k(theta) = mean log(1 - theta x): one parameter left.
    2. A grid of 30 + sqrt(m) values of theta, by quantiles of a weak prior scaled by the lower quartile of x.
    3. The mean of theta under likelihood times prior, and k there (Zhang and Stephens 2009, equations 4 to 8).

    >>> u = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> k, sigma = pareto_fit(2 * (u**-0.5 - 1) / 0.5)
    >>> round(k, 1), round(sigma, 1)
    (0.5, 2.0)
    """
    x = excess.detach().double().cpu().sort().values
    m = len(x)
    if m < SMALLEST_TAIL or not bool((x > 0).all()):
        raise UsageError(
            f"a Pareto fit needs at least {SMALLEST_TAIL} positive values",
            f"got {m}, the smallest {float(x.min()) if m else 'none'}",
            "subtract a threshold and keep what exceeds it",
        )
    grid = torch.arange(1, 31 + math.isqrt(m), dtype=torch.float64)
    quartile = x[int(m / 4 + 0.5) - 1]
    theta = 1 / x[-1] + (1 - ((len(grid)) / (grid - 0.5)).sqrt()) / (3 * quartile)
    shapes = torch.log1p(-theta[:, None] * x).mean(1)
    likelihood = m * ((-theta / shapes).log() - shapes - 1)
    best = float(likelihood.softmax(0) @ theta)
    k = float(torch.log1p(-best * x).mean())
    return k, -k / best


def check_weights(log_w: Tensor) -> Tensor:
    """Log weights (n,) as float64 on the CPU. Raises UsageError for other shapes, nan and +inf."""
    if reals("log_w", log_w).ndim != 1 or len(log_w) == 0:
        raise UsageError(
            "expected one log weight a sample, (n,)", f"got {tuple(log_w.shape)}", "flatten them"
        )
    log_w = log_w.detach().double().cpu()
    if bool((log_w.isnan() | (log_w == math.inf)).any()):
        raise UsageError(
            "a weight is a finite number, or zero",
            f"sample {int((log_w.isnan() | (log_w == math.inf)).nonzero()[0])} got nan or inf",
            "look at the log densities there: a sample of a law has a finite log density under it",
        )
    return log_w

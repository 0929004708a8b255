"""Confidence intervals for the numbers that jensen prints."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from jensen.errors import UsageError


def mean_interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Student-t interval of the mean of independent `values` (n,).

    Exact for normal values, asymptotic otherwise; (-inf, inf) for a single value, because one value says
    nothing of its own spread. A value of -inf gives (-inf, inf): no finite sample bounds that mean.

    >>> low, high = mean_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(low, 4), round(high, 4)
    (-0.4841, 4.4841)
    """
    if not 0 < level < 1:
        raise UsageError("a level lies between 0 and 1", f"got {level}", "0.95 is usual")
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return -math.inf, math.inf
    half = t_quantile(level, n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    centre = float(np.mean(values))
    return centre - half, centre + half


def half_sum_interval(
    first: NDArray[np.float64], second: NDArray[np.float64], level: float = 0.95
) -> tuple[float, float]:
    """Welch's interval of (E first + E second) / 2 from two independent sets of independent values (n,), (m,).

    Student t with the degrees of freedom of Welch and Satterthwaite; (-inf, inf) where a set has one value or one that
    is not finite.

    >>> low, high = half_sum_interval(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    >>> round(low, 4), round(high, 4)
    (0.8665, 3.1335)
    """
    if not 0 < level < 1:
        raise UsageError("a level lies between 0 and 1", f"got {level}", "0.95 is usual")
    both = (first, second)
    if min(map(len, both)) < 2 or not all(np.isfinite(values).all() for values in both):
        return -math.inf, math.inf
    centre = sum(float(values.mean()) for values in both) / 2
    squares = [float(values.var(ddof=1)) / len(values) for values in both]
    if not math.isfinite(sum(squares) ** 2):
        return -math.inf, math.inf
    if sum(squares) == 0:
        return centre, centre
    freedom = sum(squares) ** 2 / sum(s * s / (len(values) - 1) for s, values in zip(squares, both))
    half = t_quantile(level, freedom) * math.sqrt(sum(squares)) / 2
    return centre - half, centre + half


def share_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a probability from `hits` of `n` independent trials (Wilson 1927).

    >>> low, high = share_interval(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    from scipy.special import ndtri

    if not 0 <= hits <= n or n < 1:
        raise UsageError("expected 0 <= hits <= n and n >= 1", f"got {hits} of {n}", "count again")
    if not 0 < level < 1:
        raise UsageError("a level lies between 0 and 1", f"got {level}", "0.95 is usual")
    z = float(ndtri(0.5 + level / 2))
    share, spread = hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # the interval reaches 0 and 1 there exactly; rounding may leave the share outside by 1e-17
    return min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)


def certificate_margin(n: int, alpha: float) -> float:
    """log(1 / alpha) / n: what is taken off the mean of n lower bounds to have their truth with probability 1 - alpha.

    See `functional.bounds.certified`. Raises UsageError unless 0 < alpha < 1 and n >= 1.

    >>> round(certificate_margin(200, 0.05), 4)
    0.015
    """
    if not 0 < alpha < 1 or n < 1:
        raise UsageError(
            "a certificate needs rows and a probability between 0 and 1",
            f"got {n} rows, alpha={alpha!r}",
            "0.05 is usual",
        )
    return -math.log(alpha) / n


def normal_quantile(level: float) -> float:
    """Two-sided quantile of the normal law: P(|Z| <= q) = level.

    >>> round(normal_quantile(0.95), 3)
    1.96
    """
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def t_quantile(level: float, freedom: float) -> float:
    """Two-sided quantile of Student's t: P(|T| <= q) = level.

    >>> round(t_quantile(0.95, 9), 4)
    2.2622
    """
    from scipy.special import stdtrit  # scipy.stats has the same, and takes a second to import

    return float(stdtrit(freedom, 0.5 + level / 2))

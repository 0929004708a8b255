"""Confidence limits for the mean of bounded values that hold at every sample size, by betting against the mean.

1. If the mean were m, a gambler who stakes lam_i on x_i - m, lam_i chosen before x_i is seen, has a wealth
   prod (1 + lam_i (x_i - m)) of expectation 1 that stays positive while lam_i < 1 / m.
2. By Ville's inequality that wealth ever reaches 1 / alpha with a probability of at most alpha.
3. So every m against which it did is excluded. The wealth falls as m grows: the excluded ones are those below a limit.

The normal approximation fails for skewed values, such as the log-loss of a critic that is nearly always right.

Reference: Waudby-Smith and Ramdas 2024, Estimating means of bounded random variables by betting (predictable plug-in).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from jensen.errors import UsageError

MOST_STAKED = 0.9
"""The share of its wealth that the gambler can lose at once, at most."""

STEPS = 40
"""Halvings of [0, 1] by bisection."""


def lower_limit(values: NDArray[np.float64], alpha: float = 0.05) -> float:
    """At most this with probability `alpha` is above E x, for independent `values` (n,) in [0, 1] of one mean.

    Exact in finite samples, whatever the law. The order of the values matters a little, and must not depend on them.

    >>> coin = np.random.default_rng(0).integers(0, 2, 1000).astype(float)
    >>> round(lower_limit(coin), 3), round(1 - lower_limit(1 - coin), 3)
    (0.499, 0.572)
    """
    if not 0 < alpha < 1:
        raise UsageError("a share of misses lies between 0 and 1", f"got {alpha}", "0.05 is usual")
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) == 0 or not ((values >= 0) & (values <= 1)).all():
        raise UsageError(
            "expected one value or more in [0, 1], (n,)",
            f"got shape {values.shape}"
            if values.ndim != 1 or len(values) == 0
            else "got one outside, or nan",
            "scale the values by their known range first",
        )
    stakes = _stakes(values, alpha)
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        # the stake is capped so that no bet can ruin
        wealth = np.log1p(np.minimum(stakes, MOST_STAKED / middle) * (values - middle)).cumsum()
        excluded = wealth.max() >= math.log(1 / alpha)
        low, high = (middle, high) if excluded else (low, middle)
    return low


def _stakes(values: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """sqrt(2 log(1 / alpha) / (n v)), v the variance of the values before each, begun with that of a coin."""
    count = np.arange(1, len(values) + 1)
    means = (0.5 + values.cumsum()) / (count + 1)
    spread = (0.25 + ((values - means) ** 2).cumsum()) / (count + 1)
    before = np.concatenate([[0.25], spread[:-1]])
    return np.sqrt(2 * math.log(1 / alpha) / (len(values) * before))

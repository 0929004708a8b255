"""Bootstrap of a sum of means of independent sets of values (Efron and Tibshirani 1993, chapter 12)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jensen.errors import UsageError
from jensen.functional.intervals import skewed_ends, skewness_of_sum, t_quantile, welch_freedom

Values = NDArray[np.float64]

TIMES = 4000
"""Redraws, at least; more where the level asks for thin tails."""

TAIL = 20
"""Redraws that lie beyond each end of the interval, at least."""

_AT_ONCE = 2_000_000


def sum_of_means_interval(sets: Sequence[Values], level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Interval of the sum of the means of independent sets (n_i,) of independent values, by the studentised bootstrap.

    Every redraw takes n_i values of each set with replacement and is measured in standard errors of its own, so that skew is allowed
    for: the error of the coverage is of order 1 / n, against 1 / sqrt n of the plain percentiles. Nor is it shorter than Welch's interval,
    widened for skew (`intervals`): of few values the far quantiles of the redraws are too near. A set of one value, or one that is not
    finite, gives (-inf, inf). Without any spread both ends are the sum itself. `seed`: of the redraws; the same one repeats the interval.

    >>> low, high = sum_of_means_interval([np.arange(100.0), np.zeros(5)], seed=1)
    >>> round(low, 1), round(high, 1)
    (43.7, 55.3)
    """
    if not 0 < level < 1:
        raise UsageError("a level lies between 0 and 1", f"got {level}", "0.95 is usual")
    if min(map(len, sets)) < 2 or not all(np.isfinite(one).all() for one in sets):
        return -math.inf, math.inf
    centre, error = _centre_and_error([one[None] for one in sets])
    if error[0] == 0:
        return float(centre[0]), float(centre[0])
    times = max(TIMES, math.ceil(2 * TAIL / (1 - level)))
    rng = np.random.default_rng(seed)
    parts = max(1, _AT_ONCE // max(map(len, sets)))
    ratios = []
    for start in range(0, times, parts):
        size = min(parts, times - start)
        redrawn = [one[rng.integers(len(one), size=(size, len(one)))] for one in sets]
        moved, errors = _centre_and_error(redrawn)
        # without spread it is one value drawn again and again: as far out as can be
        gap = moved - centre
        ratios.append(np.where(errors > 0, gap / np.where(errors > 0, errors, 1.0), np.sign(gap) * 1e300))
    found = np.concatenate(ratios)
    ends = np.quantile(found, [(1 + level) / 2, (1 - level) / 2])
    squares = [float(one.var(ddof=1)) / len(one) for one in sets]
    freedom = welch_freedom(squares, [len(one) for one in sets])
    welch = skewed_ends(
        float(centre[0]), float(error[0]), t_quantile(level, freedom), skewness_of_sum(sets, squares)
    )
    low, high = (float(centre[0] - one * error[0]) for one in ends)
    return min(low, welch[0]), max(high, welch[1])


def _centre_and_error(sets: Sequence[Values]) -> tuple[Values, Values]:
    """The sum of the means (m,) of sets (m, n_i), and its standard error."""
    centre = sum(one.mean(1) for one in sets)
    variance = sum(one.var(1, ddof=1) / one.shape[1] for one in sets)
    return np.asarray(centre), np.sqrt(np.asarray(variance))

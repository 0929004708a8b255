"""The quantiles and tests that intervals are made of, against scipy.stats and counting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from problem import Exact
from scipy import stats

from jensen.critics.judgement import _p_value
from jensen.functional.betting import lower_limit
from jensen.functional.binomial import clopper_pearson, upper_limit
from jensen.functional.intervals import (
    half_sum_interval,
    mean_interval,
    normal_quantile,
    skewness,
    t_quantile,
)

Pairs = Iterator[tuple[Any, Any]]


def quantiles() -> Pairs:
    for level in (0.5, 0.95, 0.9999):
        yield stats.norm.ppf(0.5 + level / 2), normal_quantile(level)
        for freedom in (1, 2.5, 30):
            yield stats.t.ppf(0.5 + level / 2, freedom), t_quantile(level, freedom)


def shares() -> Pairs:
    """Clopper and Pearson's interval by scipy."""
    for events, n in itertools.product((0, 3, 19, 20), (20, 400)):
        truth = stats.binomtest(events, n).proportion_ci(0.95, method="exact")
        yield [truth.low, truth.high], list(clopper_pearson(events, n))
    yield stats.beta.ppf(0.95, 4, 17), upper_limit(3, 20)


def symmetric() -> Pairs:
    """Of values without skew the interval is that of the t-test; of two sets, Welch's."""
    x = np.random.default_rng(0).normal(size=15)
    both = np.concatenate([x, -x]) + 3
    truth = stats.ttest_1samp(both, 0).confidence_interval()
    yield [truth.low, truth.high], list(mean_interval(both))
    other = np.concatenate([2 * x[:6], -2 * x[:6]])
    truth = stats.ttest_ind(both, -other, equal_var=False).confidence_interval()
    yield [truth.low / 2, truth.high / 2], list(half_sum_interval(both, other))


def skewed() -> Pairs:
    """Hall's interval by solving g(T) = t for T, where the product uses the closed form of its inverse."""
    from scipy.optimize import brentq

    x = np.random.default_rng(1).exponential(size=25)
    d = stats.skew(x, bias=False) / 5
    yield stats.skew(x, bias=False), skewness(x)
    t = stats.t.ppf(0.975, 24)
    g = lambda T, z: T + d * (T * T / 3 + 1 / 6) + d * d * T**3 / 27 - z  # noqa: E731
    low, high = (brentq(g, -50, 50, args=(z,), xtol=1e-14) for z in (t, -t))
    error = x.std(ddof=1) / 5
    yield [x.mean() - max(low, t) * error, x.mean() - min(high, -t) * error], list(mean_interval(x))


def relabelled() -> Pairs:
    """The p-value of logits counts relabellings: of 3 and 3 rows that are told apart it tends to 1 in 20."""
    real, fake = np.array([3.0, 2.0, 1.0]), np.array([-1.0, -2.0, -3.0])
    pooled = np.concatenate([fake, real])
    sums = [sum(pooled[list(chosen)]) for chosen in itertools.combinations(range(6), 3)]
    share = np.mean([one >= real.sum() - 1e-9 for one in sums])
    found, times = _p_value(fake, real, 0, 200_000)
    # its own noise is a standard error of 5e-4; what is exact is that it lies within five of them
    yield 0.0, max(0.0, abs(found - share) - 5 * math.sqrt(share * (1 - share) / times))


def bets() -> Pairs:
    """The betting limit of three values by hand: the mean at which the wealth just reaches 1 / alpha."""
    from scipy.optimize import brentq

    values, alpha = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 0.3
    n = len(values)
    means = [(0.5 + sum(values[:i])) / (i + 1) for i in range(n + 1)]
    spreads = [(0.25 + sum((values[j] - means[j + 1]) ** 2 for j in range(i))) / (i + 1) for i in range(n)]
    stakes = [math.sqrt(2 * math.log(1 / alpha) / (n * v)) for v in spreads]

    def wealth(m: float) -> float:
        return max(
            itertools.accumulate(math.log1p(min(s, 0.9 / m) * (v - m)) for s, v in zip(stakes, values))
        ) - math.log(1 / alpha)

    yield brentq(wealth, 1e-6, 1 - 1e-9, xtol=1e-14), lower_limit(values, alpha)


PROBLEMS = (
    Exact("quantiles of the normal and Student laws", "every family", quantiles),
    Exact("exact intervals of shares", "every family", shares),
    Exact("intervals of symmetric values are t's and Welch's", "every family", symmetric),
    Exact("an interval of skewed values is Hall's", "every family", skewed),
    Exact("p-value by relabelling, against all relabellings", "adversarial", relabelled),
    Exact("the betting limit of eight ones", "adversarial", bets),
)

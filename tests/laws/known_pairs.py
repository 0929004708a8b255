"""Pairs of laws whose Jensen-Shannon divergence is known: draws, and the log ratio log f1 / f0."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class KnownPair(NamedTuple):
    """Draw (x0, x1) of n rows each; log f1 - log f0; and the divergence in nats."""

    draw: Callable[[int, int], tuple[Array, Array]]
    log_ratio: Callable[[Array], Array]
    jsd: float


def gaussians(
    mean0: Array, sd0: Array
) -> tuple[Callable[[int, int], tuple[Array, Array]], Callable[[Array], Array]]:
    """f1 = N(0, I) against f0 = N(mean0, diag sd0^2)."""

    def draw(n: int, seed: int) -> tuple[Array, Array]:
        rng = np.random.default_rng([seed, 101])
        return mean0 + sd0 * rng.normal(size=(n, len(mean0))), rng.normal(size=(n, len(mean0)))

    def log_ratio(x: Array) -> Array:
        return (((x - mean0) / sd0) ** 2 - x**2).sum(1) / 2 + np.log(sd0).sum()

    return draw, log_ratio


def exact_jsd(log_ratio: Callable[[Array], Array], mean0: float, sd0: float) -> float:
    """The JSD of the 1-D pair by quadrature: an oracle of its own, no samples."""
    from scipy.integrate import quad

    def density(x: float, mean: float, sd: float) -> float:
        return float(np.exp(-(((x - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi)))

    def term(x: float) -> float:
        t = float(log_ratio(np.array([[x]]))[0])
        return -(density(x, 0, 1) * np.logaddexp(0, -t) + density(x, mean0, sd0) * np.logaddexp(0, t)) / 2

    return float(np.log(2) + quad(term, -12, 12, limit=200, epsabs=1e-10)[0])


FIVE = np.repeat([1.0, 0.0], 5)
ONE_D = KnownPair(*gaussians(np.array([1.0]), np.array([0.7])), 0.16082)
TEN_D = KnownPair(*gaussians(0.5 * FIVE, 1 - 0.3 * FIVE[::-1]), 0.2378)
SATURATED = KnownPair(*gaussians(np.full(10, np.sqrt(2.5)), np.ones(10)), 0.67594)
"""12.5 nats of KL."""
FAR = KnownPair(*gaussians(np.full(10, np.sqrt(6.4)), np.ones(10)), 0.69305)
"""32 nats of KL."""
NULL = KnownPair(*gaussians(np.zeros(10), np.ones(10)), 0.0)

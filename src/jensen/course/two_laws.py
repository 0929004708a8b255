"""What the claims on discriminators stand on: two Gaussians whose log ratio is known, and their divergence by quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jensen.functional.critic_limits import LOG_2, log_sigmoid

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shifted:
    """f1 = N(0, I) and f0 = N(shift, scale^2) along the first of `dims` coordinates, N(0, 1) along the others.

    What differs is one coordinate, so that the divergence is that of two laws on the line, in any number of dimensions.
    """

    shift: float
    scale: float = 1.0
    dims: int = 1

    def draw(self, n: int, seed: int) -> tuple[Array, Array]:
        """Rows of f0 and of f1, (n, dims) each."""
        rng = np.random.default_rng([seed, 29])
        x0, x1 = rng.normal(size=(2, n, self.dims))
        x0[:, 0] = self.shift + self.scale * x0[:, 0]
        return x0, x1

    def log_ratio(self, x: Array) -> Array:
        """log f1 - log f0 (n,)."""
        return ((x[:, 0] - self.shift) / self.scale) ** 2 / 2 - x[:, 0] ** 2 / 2 + math.log(self.scale)

    def value(self, temper: float = 1.0, move: float = 0.0) -> float:
        """G[D] / 2 + log 2 of the critic temper * log ratio + move, by quadrature on the line; the JSD for 1 and 0."""
        x = np.linspace(-12 - abs(self.shift), 12 + abs(self.shift), 20_001)
        logit = temper * self.log_ratio(x[:, None]) + move
        f1 = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
        f0 = np.exp(-(((x - self.shift) / self.scale) ** 2) / 2) / (self.scale * math.sqrt(2 * math.pi))
        terms = f1 * log_sigmoid(logit) + f0 * log_sigmoid(-logit)
        return float(LOG_2 + terms.sum() * (x[1] - x[0]) / 2)

    @property
    def jsd(self) -> float:
        """The Jensen-Shannon divergence from its own definition, by quadrature."""
        x = np.linspace(-12 - abs(self.shift), 12 + abs(self.shift), 20_001)
        log_f1 = -(x**2) / 2 - math.log(2 * math.pi) / 2
        log_f0 = (
            -(((x - self.shift) / self.scale) ** 2) / 2 - math.log(self.scale) - math.log(2 * math.pi) / 2
        )
        log_m = np.logaddexp(log_f0, log_f1) - LOG_2
        terms = np.exp(log_f1) * (log_f1 - log_m) + np.exp(log_f0) * (log_f0 - log_m)
        return float(terms.sum() * (x[1] - x[0]) / 2)


def bound_terms(logit1: Array, logit0: Array) -> tuple[Array, Array]:
    """Terms (n,), (m,) whose half sum of means, plus log 2, is G[D] / 2 + log 2."""
    return log_sigmoid(logit1), log_sigmoid(-logit0)

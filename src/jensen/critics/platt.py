"""Calibration of a critic by Platt's method: a slope that only shrinks, and a bias.

Separable rows would drive the slope to infinity: targets are smoothed, and the slope stays in [0, 1]. The change is made
only where it helps by more than its noise. Isotonic regression loses to this on every critic tried: its steps put
infinite ratios where a bin is pure.

Reference: Platt 1999, Probabilistic outputs for support vector machines, section 2.2 (targets).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jensen.functional.critic_limits import log_sigmoid

Array = NDArray[np.float64]


class Platt(NamedTuple):
    """l -> slope l + bias."""

    slope: float = 1.0
    bias: float = 0.0

    def __call__(self, logit: Array) -> Array:
        """Calibrated log-odds of the same shape."""
        return self.slope * logit + self.bias


def fit_platt(l0: Array, l1: Array) -> Platt:
    """The calibration of logits of held-out rows of either side, (n0,) and (n1,), each side of equal weight.

    >>> rng = np.random.default_rng(0)
    >>> fit_platt(4 * rng.normal(-1, 1, 500), 4 * rng.normal(1, 1, 500)).slope < 0.7  # twice too sure
    True
    """
    from scipy.optimize import minimize

    sure0, sure1 = 1 / (len(l0) + 2), (len(l1) + 1) / (len(l1) + 2)

    def loss(theta: Array) -> tuple[float, Array]:
        value, gradient = 0.0, np.zeros(2)
        for logit, target in ((l0, sure0), (l1, sure1)):
            t = theta[0] * logit + theta[1]
            value += float(np.logaddexp(0, t).mean() - target * t.mean())
            wrong = 1 / (1 + np.exp(-np.clip(t, -500, 500))) - target
            gradient += [float((wrong * logit).mean()), float(wrong.mean())]
        return value, gradient

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, 1), (None, None)])
    platt = Platt(float(found.x[0]), float(found.x[1]))
    return platt if _helps(platt, l0, l1) else Platt()


def log_losses(l0: Array, l1: Array) -> tuple[Array, Array]:
    """-log D of the right side, row by row."""
    return -log_sigmoid(-l0), -log_sigmoid(l1)


def _helps(platt: Platt, l0: Array, l1: Array) -> bool:
    """Whether the log-loss falls by more than one standard error of its fall."""
    falls = [was - now for was, now in zip(log_losses(l0, l1), log_losses(platt(l0), platt(l1)))]
    fall = sum(float(side.mean()) for side in falls)
    return fall > float(np.sqrt(sum(side.var() / len(side) for side in falls)))

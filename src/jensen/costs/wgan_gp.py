"""Wasserstein-1 by a critic whose slope between data and samples is held at 1 (Gulrajani et al. 2017, equation 3).

The losses are differences of scores: they may be negative, and say nothing of quality by themselves.
"""

from __future__ import annotations

from torch import Tensor

PAIRED, PENALTY, OPTIMUM = False, 10.0, "no ratio"


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """mean D(G(z)) - mean D(x); the gradient penalty is added by the turn."""
    return fake.mean() - real.mean()


def generator(real: Tensor, fake: Tensor) -> Tensor:
    """-mean D(G(z))."""
    return -fake.mean()

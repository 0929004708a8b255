"""Least squares with targets 1 for data and 0 for samples (Mao et al. 2017, equation 9).

The output itself is the probability: D* = f1 / (f0 + f1), as of the logistic costs.
"""

from __future__ import annotations

from torch import Tensor

PAIRED, PENALTY, OPTIMUM = False, 0.0, "f1 / (f0 + f1), no logit"


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """mean (D(x) - 1)^2 / 2 + mean D(G(z))^2 / 2."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def generator(real: Tensor, fake: Tensor) -> Tensor:
    """mean (D(G(z)) - 1)^2 / 2."""
    return (fake - 1).square().mean() / 2

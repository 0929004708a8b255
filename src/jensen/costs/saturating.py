"""Minimax: D maximises E log D(x) + E log(1 - D(G(z))), G minimises the same (Goodfellow et al. 2014, equation 1).

Where D rejects the samples its slope vanishes: d/dlogit log(1 - D) = -D.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

PAIRED, PENALTY, OPTIMUM = False, 0.0, "log ratio"


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-mean log D(x) - mean log(1 - D(G(z))), nats; 2 log 2 where D says 1/2 everywhere."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator(real: Tensor, fake: Tensor) -> Tensor:
    """mean log(1 - D(G(z))), nats, to be minimised."""
    return -softplus(fake).mean()

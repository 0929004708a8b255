"""D as in the minimax game; G minimises -E log D(G(z)) (Goodfellow et al. 2014, section 3).

The same fixed point, and a slope that lasts where D rejects the samples: d/dlogit -log D = -(1 - D).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

PAIRED, PENALTY, OPTIMUM = False, 0.0, "log ratio"


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-mean log D(x) - mean log(1 - D(G(z))), nats; 2 log 2 where D says 1/2 everywhere."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator(real: Tensor, fake: Tensor) -> Tensor:
    """-mean log D(G(z)), nats, to be minimised."""
    return softplus(-fake).mean()

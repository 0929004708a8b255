"""Is this row more real than that sample? D and G play for the difference of paired logits (Jolicoeur-Martineau 2018).

With R1 and R2 the cost has no local minima in which modes are dropped (Sun et al. 2020; Huang et al. 2024, R3GAN).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

PAIRED, PENALTY, OPTIMUM = True, 0.0, "log ratio + constant"


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-mean log sigma(real - fake), nats, over the pairs of a batch; log 2 where no row is told from a sample."""
    return softplus(fake - real).mean()


def generator(real: Tensor, fake: Tensor) -> Tensor:
    """-mean log sigma(fake - real), nats."""
    return softplus(real - fake).mean()

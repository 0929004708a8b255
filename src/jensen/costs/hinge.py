"""A margin: D gains nothing by rows it is sure of (Lim & Ye 2017; Miyato et al. 2018, equations 16 and 17)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

PAIRED, PENALTY, OPTIMUM = False, 0.0, "no ratio"


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """mean max(0, 1 - D(x)) + mean max(0, 1 + D(G(z)))."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def generator(real: Tensor, fake: Tensor) -> Tensor:
    """-mean D(G(z))."""
    return -fake.mean()

"""A linear map that the sites share, or one of its own for each."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BySite(nn.Module):
    """(n, m, inside) -> (n, m, out) for m flat sites: one map for all (`own` = 1), or one for each of `own` sites."""

    def __init__(self, own: int, inside: int, out: int, gain: float = 1.0) -> None:
        super().__init__()
        bound = gain * inside**-0.5
        self.weight = nn.Parameter(torch.empty(own, inside, out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(own, out))

    def forward(self, x: Tensor, sites: Tensor) -> Tensor:
        """x (n, m, inside) at the flat sites (m,)."""
        if len(self.weight) == 1:
            return x @ self.weight[0] + self.bias[0]
        out = torch.einsum("nmi,mio->nmo", x, self.weight[sites])
        return out + self.bias[sites]

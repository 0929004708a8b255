"""Who draws the sites while a sampler computes their distributions."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Draw(Protocol):
    """How a head draws sites: parameters (n, m, size), uniform numbers (n, m), flat sites (m,) -> values (n, m)."""

    def __call__(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float = 1.0) -> Tensor: ...


class Walk:
    """n rows, drawn site after site: `u` (n, d) holds one uniform number a site, `x` (n, d) what has been drawn.

    A sampler calls `draw` for every site once, in an order in which each site's parameters are known, and `go_on` after
    each call. `survivors`: positions (n,) of the rows to go on with, or None for all as they are.
    """

    survivors: Tensor | None = None

    def __init__(self, draw: Draw, u: Tensor, dtype: torch.dtype, temperature: float = 1.0) -> None:
        self.u, self.temperature, self._draw = u.flatten(1), temperature, draw
        self.x = torch.zeros(self.u.shape, dtype=dtype, device=u.device)

    def draw(self, parameters: Tensor, sites: Tensor) -> Tensor:
        """Values (n, m) of flat sites (m,) from their parameters (n, m, size)."""
        u = self.u.index_select(1, sites)
        if self.temperature == 1:
            values = self._draw(parameters, u, sites)
        else:
            values = self._draw(parameters, u, sites, self.temperature)
        self.x.index_copy_(1, sites, values.to(self.x.dtype))
        return values

    def go_on(self) -> Tensor | None:
        """Keep the survivors' rows of `x`; their positions (n,) for the sampler's own caches, or None for all."""
        if self.survivors is not None:
            self.x = self.x[self.survivors]
        return self.survivors

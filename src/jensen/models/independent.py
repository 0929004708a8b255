"""The baseline without dependence: every site on its own."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.ancestral import uniforms
from jensen.functional.inversion import invert
from jensen.model import Model
from jensen.space import Space


class Independent(Model):
    """Independent sites, estimated by counting (discrete rows) or as normals (real rows).

    `smoothing` is added to every count (1: Laplace's rule), so that no value has mass zero. What another model gains
    over this one is what it learned of the dependence between sites.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "levels", "categorical", "real"})
    first: Tensor
    second: Tensor

    def __init__(self, space: Space, smoothing: float = 1.0) -> None:
        super().__init__(space)
        if not isinstance(smoothing, (int, float)) or not 0 <= smoothing < math.inf:
            raise UsageError(
                "smoothing is a number of pretended rows, 0 or more", f"got {smoothing!r}", "1 is usual"
            )
        self.smoothing = smoothing
        if space.kind == "real":
            mean, log_scale = (torch.zeros(space.shape, dtype=torch.float64) for _ in range(2))
            self.register_buffer("first", mean)
            self.register_buffer("second", log_scale)
        else:
            levels = torch.tensor(space.levels_by_site()).reshape(*space.shape, 1)
            live = torch.arange(space.max_levels or 0) < levels
            self.register_buffer("first", torch.where(live, -levels.double().log(), -math.inf))
            self.register_buffer("second", live, persistent=False)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(x) (n,), nats, exact: a mass on discrete rows, a density on real ones."""
        self.refuse_context(c)
        if self.space.kind == "real":
            z = (x - self.first) * (-self.second).exp()
            sites = -0.5 * z.square() - self.second - 0.5 * math.log(2 * math.pi)
        else:
            sites = self.first.expand(len(x), *self.first.shape).gather(-1, x.unsqueeze(-1)).squeeze(-1)
        return sites.flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape)."""
        self.refuse_context(c)
        u = uniforms(n, self.space.shape, generator, self.first.device)
        if self.space.kind == "real":
            tiny = torch.finfo(torch.float64).tiny
            return (self.first + self.second.exp() * torch.special.ndtri(u.clamp(min=tiny))).to(
                self.first.dtype
            )
        masses = self.first.double().exp().expand(n, *self.first.shape)
        return invert(masses, u)

    @torch.no_grad()
    def solve(self, x: Tensor, c: Tensor | None = None, seed: int = 0) -> None:
        """Maximum likelihood with the smoothing of the constructor; rows x (n, *shape)."""
        self.refuse_context(c)
        if self.space.kind == "real":
            self.first.copy_(x.mean(0))
            self.second.copy_(x.std(0, correction=0).clamp(min=1e-6).log())
            return
        counts = torch.zeros_like(self.first, dtype=torch.float64)
        # a level at a time: a one-hot copy of the rows would not fit beside large data
        for level in range(counts.size(-1)):
            counts[..., level] = (x == level).sum(0)
        counts = (counts + self.smoothing) * self.second
        self.first.copy_((counts / counts.sum(-1, keepdim=True)).log())

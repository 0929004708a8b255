"""The baseline without dependence: every site on its own."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.ancestral import uniforms
from jensen.functional.inversion import cut
from jensen.model import Model
from jensen.space import Space


class Independent(Model):
    """Independent sites: discrete ones estimated by counting, real ones as normals, the share of gaps beside.

    `smoothing` is added to every count (1: Laplace's rule), so that no value has mass zero, nor a gap that may occur. What
    another model gains over this one is what it learned of the dependence between sites.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "levels", "categorical", "real", "mixed"})
    takes_unseen: ClassVar[bool] = True
    mean: Tensor
    log_scale: Tensor
    log_gap: Tensor
    log_mass: Tensor
    live: Tensor
    real: Tensor
    valued: Tensor

    def __init__(self, space: Space, smoothing: float = 1.0) -> None:
        super().__init__(space)
        if not isinstance(smoothing, (int, float)) or not 0 <= smoothing < math.inf:
            raise UsageError(
                "smoothing is a number of pretended rows, 0 or more", f"got {smoothing!r}", "1 is usual"
            )
        self.smoothing = smoothing
        columns = [space.column(site) for site in range(space.dims)]
        levels = torch.tensor(space.levels_by_site()).reshape(space.shape)
        self.some_real, self.some_discrete = bool((levels == 0).any()), bool((levels > 0).any())
        valued = [column.gaps == "value" for column in columns]
        self.register_buffer("real", levels == 0, persistent=False)
        self.register_buffer("valued", torch.tensor(valued).reshape(space.shape), persistent=False)
        for name, kept in (("mean", self.some_real), ("log_scale", self.some_real), ("log_gap", any(valued))):
            self.register_buffer(name, torch.zeros(space.shape, dtype=torch.float64), persistent=kept)
        self.log_gap.fill_(-math.log(2))
        live = torch.arange(space.max_levels or 0) < levels.unsqueeze(-1)
        start = torch.where(live, -levels.unsqueeze(-1).double().log(), -math.inf)
        self.register_buffer("log_mass", start)
        self.register_buffer("live", live, persistent=False)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(x) (n,), nats, exact: of the sites that are there where a gap is unseen."""
        self.refuse_context(c)
        gap = x.isnan() if self.space.gaps else None
        there = x if gap is None else x.masked_fill(gap, 0)
        sites = x.new_zeros(x.shape, dtype=self.mean.dtype)
        if self.some_real:
            z = (there - self.mean) * (-self.log_scale).exp()
            density = -0.5 * z.square() - self.log_scale - 0.5 * math.log(2 * math.pi)
            sites = torch.where(self.real, density, sites)
        if self.some_discrete:
            index = there.long().unsqueeze(-1).clamp(0, self.log_mass.size(-1) - 1)
            mass = self.log_mass.expand(len(x), *self.log_mass.shape).gather(-1, index).squeeze(-1)
            sites = torch.where(self.real, sites, mass)
        if gap is not None:
            sites = sites + self.valued * torch.log1p(-self.log_gap.exp())
            sites = torch.where(gap, torch.where(self.valued, self.log_gap, 0.0), sites)
        return sites.flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape)."""
        self.refuse_context(c)
        u = uniforms(n, self.space.shape, generator, self.mean.device)
        masses = self.log_mass.double().exp()
        if not (self.some_real or self.space.gaps):
            return cut(masses.flatten(0, -2), u.flatten(1).T).T.reshape(u.shape)
        share = self.log_gap.double().exp() * self.valued
        rest = ((u - share) / (1 - share)).clamp(min=torch.finfo(torch.float64).tiny)
        x = self.mean + self.log_scale.exp() * torch.special.ndtri(rest)
        if self.some_discrete:
            where = ~self.real.flatten()
            index = cut(masses.flatten(0, -2)[where], rest.flatten(1)[:, where].T).T
            x.view(n, -1)[:, where] = index.to(x.dtype)
        return x.masked_fill(u < share, math.nan).to(self.mean.dtype)

    @torch.no_grad()
    def solve(self, x: Tensor, c: Tensor | None = None, seed: int = 0) -> None:
        """Maximum likelihood with the smoothing of the constructor; rows x (n, *shape)."""
        self.refuse_context(c)
        there = ~x.isnan()
        gaps = (~there).sum(0).double() + self.smoothing
        self.log_gap.copy_((gaps / (len(x) + 2 * self.smoothing)).log())
        if self.some_real:
            n = there.sum(0)
            filled = x.masked_fill(~there, 0).double()
            mean = filled.sum(0) / n.clamp(min=1)
            variance = (filled - mean).masked_fill(~there, 0).square().sum(0) / n.clamp(min=1)
            self.mean.copy_(torch.where(self.real, mean, 0.0))
            self.log_scale.copy_(torch.where(self.real, variance.sqrt().clamp(min=1e-6).log(), 0.0))
        if self.some_discrete:
            counts = torch.zeros_like(self.log_mass, dtype=torch.float64).flatten(0, -2)
            flat, known = x.flatten(1), there.flatten(1)
            # a site at a time: a one-hot copy of the rows would not fit beside large data
            for site in (~self.real.flatten()).nonzero().flatten().tolist():
                seen = flat[known[:, site], site].long()
                counts[site] = torch.bincount(seen, minlength=counts.size(-1)).double()
            counts = (counts.view(self.log_mass.shape) + self.smoothing) * self.live
            self.log_mass.copy_((counts / counts.sum(-1, keepdim=True).clamp(min=1e-300)).log())

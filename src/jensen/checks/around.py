"""A law around the rows of a table, real and discrete columns and gaps together, that can be drawn and scored."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.space import Space

CENTRES = 512
"""Rows that the near half of the law sits on."""
CHANGED = 0.2
"""The share of a row's columns that the near half draws anew, whatever the row held."""


class AroundColumns:
    """Half of it near a random row: each column keeps its value, moved a little where it is real, or is drawn anew; half of
    it all columns anew and independent. Anew: a gap by their share, else a discrete column by its frequencies and
    uniformly, in equal parts, and a real one by a normal law widened by half and a Student law of 3 degrees of freedom, in equal parts.

    `rows` (n, d): as a model of `space` sees them, nan at gaps that are values. Every row of the space has a density.
    """

    def __init__(self, rows: Tensor, space: Space) -> None:
        self.rows = rows.detach().double().cpu().flatten(1)
        self.levels = torch.tensor(space.levels_by_site())
        self.gappy = torch.tensor([space.column(site).gaps == "value" for site in range(space.dims)])
        n, d = self.rows.shape
        there = ~self.rows.isnan()
        count = there.sum(0).clamp(min=1)
        self.mean = self.rows.nan_to_num(0.0).sum(0) / count
        away = (self.rows - self.mean).masked_fill(~there, 0.0)
        self.spread = (away.square().sum(0) / count).sqrt().clamp(min=1e-6)
        self.gap = torch.where(self.gappy, ((~there).sum(0) + 1.0) / (n + 2.0), 0.0)
        self.centres = self.rows[:CENTRES]
        self.width = (4 / (d + 2) / len(self.centres)) ** (1 / (d + 4)) * self.spread
        most = int(self.levels.max())
        live = torch.arange(max(most, 1)) < self.levels[:, None]
        index = (
            self.rows.nan_to_num(-1.0).long().T + 1
        )  # gaps, and real columns, fall into a bin that is dropped
        index = torch.where(self.levels[:, None] > 0, index, 0)
        found = torch.zeros(d, max(most, 1) + 1, dtype=torch.float64)
        found = (
            found.scatter_add(1, index, torch.ones_like(index, dtype=torch.float64))[:, 1:] / count[:, None]
        )
        uniform = live / self.levels.clamp(min=1)[:, None]
        self.masses = 0.5 * found + 0.5 * uniform

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n rows (n, d), float64."""
        d = self.rows.shape[1]
        uniform = lambda *size: torch.rand(*size, generator=generator, dtype=torch.float64)  # noqa: E731
        normal = lambda *size: torch.randn(*size, generator=generator, dtype=torch.float64)  # noqa: E731
        centre = self.centres[torch.randint(len(self.centres), (n,), generator=generator)]
        near = torch.where(self.levels > 0, centre, centre + self.width * normal(n, d))
        chi = normal(n, d, 3).square().mean(-1).sqrt()
        wide = torch.where(uniform(n, d) < 0.5, 1.5, 1 / chi)
        fresh = self.mean + self.spread * wide * normal(n, d)
        # (d, n): one table of masses a column
        index = torch.searchsorted(self.masses.cumsum(-1), uniform(d, n)).T
        fresh = torch.where(self.levels > 0, index.minimum(self.levels - 1).double(), fresh)
        fresh = fresh.masked_fill(uniform(n, d) < self.gap, math.nan)
        anew = (uniform(n, d) < CHANGED) | (uniform(n, 1) < 0.5)
        return torch.where(anew, fresh, near)

    def log_prob(self, x: Tensor) -> Tensor:
        """log density (n,), nats, with respect to counts of levels and gaps and lengths of real values."""
        return torch.cat([self._log_prob(part) for part in x.detach().double().cpu().flatten(1).split(1024)])

    def _log_prob(self, x: Tensor) -> Tensor:
        fresh = self._fresh(x)
        gap, real = x.isnan(), self.levels == 0
        near = torch.full((len(x), len(self.centres)), 0.0, dtype=torch.float64)
        for site in range(x.shape[1]):
            value, centre = x[:, site : site + 1], self.centres[:, site]
            if bool(real[site]):
                z = (value - centre) / self.width[site]
                kept = (-0.5 * z.square() - math.log(2 * math.pi) / 2 - self.width[site].log()).exp()
                kept = torch.where(gap[:, site : site + 1] == centre.isnan(), kept.nan_to_num(1.0), 0.0)
            else:
                kept = ((value == centre) | (gap[:, site : site + 1] & centre.isnan())).double()
            near += ((1 - CHANGED) * kept + CHANGED * fresh[:, site : site + 1].exp()).log()
        near_half = near.logsumexp(1) - math.log(len(self.centres))
        return torch.stack([near_half, fresh.sum(1)]).logsumexp(0) - math.log(2)

    def _fresh(self, x: Tensor) -> Tensor:
        """log density (n, d) of every column drawn anew."""
        gap = x.isnan()
        z = (x.nan_to_num(0.0) - self.mean) / self.spread
        normal = -0.5 * (z / 1.5).square() - math.log(1.5) - math.log(2 * math.pi) / 2
        student = math.log(2 / (math.pi * math.sqrt(3))) - 2 * torch.log1p(z.square() / 3)
        real = torch.stack([normal, student]).logsumexp(0) - math.log(2) - self.spread.log()
        index = x.nan_to_num(0.0).long().clamp(0, self.masses.shape[1] - 1)
        discrete = (
            self.masses.expand(len(x), *self.masses.shape).gather(-1, index.unsqueeze(-1))[..., 0].log()
        )
        value = torch.where(self.levels > 0, discrete, real)
        return torch.where(gap, self.gap.log(), torch.log1p(-self.gap) + value)

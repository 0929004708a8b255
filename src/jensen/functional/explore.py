"""A search for the mass of a density by annealed Langevin chains from scattered starts: it finds modes, proves nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]

ACCEPTED = 0.57
"""The share of Langevin moves that is best in high dimension (Roberts and Rosenthal 1998)."""


def annealed_chains(
    log_density: LogDensity,
    starts: Tensor,
    generator: torch.Generator,
    *,
    steps: int = 300,
    broad: float = 2.0,
) -> Tensor:
    """Where chains from `starts` (n, d) end, (n, d): Metropolis-adjusted Langevin moves on p^t r^(1-t), t from 0 to 1.

    r = N(0, broad^2). Every chain adapts its own step until the last quarter of the moves. A start without density
    stays until r carries it into the density. `steps` evaluations of the density and its gradient.
    """
    x = starts.detach().double()
    log_step = torch.full((len(x),), math.log(0.1), dtype=x.dtype, device=x.device)
    for i in range(steps):
        t = min(1.0, ((i + 1) / (0.75 * steps)) ** 2)
        here, slope = _tempered(log_density, x, t, broad)
        size = log_step.exp()
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        moved = x + 0.5 * size[:, None] ** 2 * slope + size[:, None] * noise
        there, back = _tempered(log_density, moved, t, broad)
        ratio = there - here + _log_move(x, moved, back, size) - _log_move(moved, x, slope, size)
        ratio = torch.where(here == -math.inf, torch.where(there == -math.inf, -math.inf, 0.0), ratio)
        taken = torch.rand(len(x), generator=generator, dtype=x.dtype).to(x.device).log() < ratio.nan_to_num(
            -math.inf
        )
        x = torch.where(taken[:, None], moved, x)
        if i < 0.75 * steps:
            log_step += 0.1 * (taken.to(x.dtype) - ACCEPTED)
    return x


def local_t(log_density: LogDensity, places: Tensor) -> tuple[Tensor, Tensor]:
    """Scale factors L (j, d, d) of Student laws at `places` (j, d), so that L L' is the inverse curvature of -log density.

    Directions that are flat or bend upwards get the width of the narrowest flat one that curvature 1 would give. Also
    the log determinants of the L, (j,). d passes backwards.
    """
    x = places.detach().double().requires_grad_()
    (slope,) = torch.autograd.grad(log_density(x).sum(), x, create_graph=True)
    columns = [
        torch.autograd.grad(slope[:, i].sum(), x, retain_graph=True, allow_unused=True)[0]
        for i in range(x.shape[1])
    ]
    zero = torch.zeros_like(places, dtype=torch.float64)
    curvature = -torch.stack([zero if column is None else column for column in columns], 1).detach()
    curvature = (0.5 * (curvature + curvature.mT)).nan_to_num(0.0, 0.0, 0.0)
    values, vectors = torch.linalg.eigh(curvature)
    widths = values.clamp(min=1.0).rsqrt()
    return vectors * widths[:, None, :], widths.log().sum(1)


def _tempered(log_density: LogDensity, x: Tensor, t: float, broad: float) -> tuple[Tensor, Tensor]:
    """(value (n,), slope (n, d)) of t log p + (1 - t) log r; a slope of 0 where there is no density."""
    x = x.detach().requires_grad_()
    values = log_density(x)
    felt = values > -math.inf
    (slope,) = torch.autograd.grad(values[felt].sum(), x)
    values = t * values.detach() - 0.5 * (1 - t) * (x.detach() / broad).square().sum(1)
    return values, t * slope.nan_to_num(0.0, 0.0, 0.0) - (1 - t) * x.detach() / broad**2


def _log_move(to: Tensor, start: Tensor, slope: Tensor, size: Tensor) -> Tensor:
    """log density of the Langevin move from `start` to `to`, less a constant."""
    drift = start + 0.5 * size[:, None] ** 2 * slope
    return -0.5 * ((to - drift) / size[:, None]).square().sum(1)

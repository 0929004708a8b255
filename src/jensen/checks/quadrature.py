"""Integrals of a density over the line and the plane, with an error that is measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.checks.subject import in_chunks

LogProb = Callable[[Tensor], Tensor]
REACH = 10.0
"""sinh(10) = 11,013: the grid ends that many scales from its centre. A Cauchy law has 6e-5 of its mass beyond."""


class Integral(NamedTuple):
    """`value`, the difference `error` to half as many points, and the largest log-density met on the way."""

    value: float
    error: float
    peak: float


def centre_and_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Median (d,) and spread (d,) of rows x (n, d): half the width of their middle 68 percent."""
    low, middle, high = x.double().quantile(torch.tensor([0.16, 0.5, 0.84], dtype=torch.float64), dim=0)
    return middle, ((high - low) / 2).clamp(min=1e-6)


def total_mass(log_prob: LogProb, centre: Tensor, scale: Tensor, points: int) -> Integral:
    """The integral over R^d, d = 1 or 2, of exp(log_prob); `log_prob` takes float64 points (n, d).

    Trapezoid rule in t with x = centre + scale sinh(t): for a smooth density the error falls faster than any power
    of the spacing, near the centre scale * 20 / points.
    """
    t = torch.linspace(-REACH, REACH, points, dtype=torch.float64)
    log_weight = math.log(2 * REACH / (points - 1)) + t.cosh().log()
    axes = [c + s * t.sinh() for c, s in zip(centre, scale)]
    log_p = in_chunks(log_prob, torch.cartesian_prod(*axes).reshape(-1, len(axes)), 65536)
    peak = float(log_p.max())
    log_p = log_p.reshape([points] * len(axes))
    for axis, s in enumerate(scale):
        shape = [-1 if i == axis else 1 for i in range(len(axes))]
        log_p = log_p + (log_weight + s.log()).reshape(shape)
    fine = float(log_p.exp().sum())
    coarse = float(log_p[tuple(slice(None, None, 2) for _ in axes)].exp().sum()) * 2 ** len(axes)
    return Integral(fine, abs(fine - coarse), peak)


def cell_masses(log_prob: LogProb, edges: list[Tensor], nodes: int) -> NDArray[np.float64]:
    """The integral of exp(log_prob) over every cell of the grid with these `edges`, Gauss-Legendre; flattened."""
    at, weight = np.polynomial.legendre.leggauss(nodes)
    points, weights = [], []
    for edge in edges:
        half, middle = (edge[1:] - edge[:-1]) / 2, (edge[1:] + edge[:-1]) / 2
        points.append((middle[:, None] + half[:, None] * torch.from_numpy(at)).flatten())
        weights.append((half[:, None] * torch.from_numpy(weight)).flatten())
    log_p = in_chunks(log_prob, torch.cartesian_prod(*points).reshape(-1, len(edges)), 65536)
    if len(edges) == 1:
        return (log_p.exp() * weights[0]).reshape(-1, nodes).sum(1).numpy()
    mass = log_p.exp().reshape(len(points[0]), -1) * weights[0][:, None] * weights[1]
    cells = mass.reshape(len(edges[0]) - 1, nodes, len(edges[1]) - 1, nodes).sum((1, 3))
    return np.asarray(cells.flatten().numpy())

"""Frechet distance of features: how far apart two sets are if only their means and covariances are looked at."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jensen.functional.frechet import frechet, frechet_of_factors, root
from jensen.functional.intervals import t_quantile
from jensen.metrics.features import Sets, estimate, features
from jensen.quantity import Quantity

GROUPS = 10
"""Parts left out one by one by the jackknife."""

FEW_FOLD = 10
"""Fewer rows than this many times the features, and the bias is of the size of the distance between good models."""


def measure(sets: Sets) -> dict[str, Quantity]:
    """The Frechet distance of samples and held-out rows."""
    return {"Frechet distance": frechet_distance(sets.real, sets.fake, **sets.how())}


def frechet_distance(real: Any, fake: Any, *, groups: int = GROUPS, **how: Any) -> Quantity:
    """FD of features (n, d) and (m, d), an estimate in squared units of the features; 0 of a set with itself.

    The interval is that of a jackknife over `groups` parts (0: none), about the expectation at these numbers of rows. That expectation
    itself is too large: `how["bias"]` says by about how much, from half as many rows (the bias falls like 1 / n).
    Compare only distances of the same features, of the same numbers of rows.

    >>> x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    >>> frechet_distance(x, x).value < 1e-12, round(frechet_distance(x, x + 1).value, 6)
    (True, 3.0)
    """
    x, y = features(real), features(fake)
    value = max(0.0, float(frechet(x, y)))
    bias = max(0.0, (float(frechet(x[::2], y[::2])) + float(frechet(x[1::2], y[1::2]))) / 2 - value)
    notes = []
    least = min(len(x), len(y))
    if least < FEW_FOLD * x.shape[1]:
        notes.append(
            f"{least} rows for {x.shape[1]} features: much of this number is bias, and it does not rank models"
        )
    told = {"of": "|mu1 - mu2|^2 + tr C1 + tr C2 - 2 tr sqrt(C1 C2)", "bias": bias, "notes": notes, **how}
    if groups < 2 or least < 2 * groups:
        return estimate(value, None, interval="none", **told)
    return estimate(value, _jackknife(x, y, value, groups), interval=f"jackknife over {groups} parts", **told)


def _jackknife(x: Tensor, y: Tensor, value: float, groups: int) -> tuple[float, float]:
    """Each part of both sides left out in turn, by subtracting its moments: no second pass over the rows."""
    sides = [_Moments(side, groups) for side in (x, y)]
    without = torch.stack(
        [frechet_of_factors(*sides[0].without(g), *sides[1].without(g)) for g in range(groups)]
    )
    error = float(((groups - 1) / groups * (without - without.mean()).square().sum()).sqrt())
    half = t_quantile(0.95, groups - 1) * error
    return max(0.0, value - half), value + half


class _Moments:
    """Sums and products of rows (n, d) about their mean, in all and part by part."""

    def __init__(self, x: Tensor, groups: int) -> None:
        self.n, self.mean = len(x), x.mean(0)
        centred = x - self.mean
        self.parts = [centred[g::groups] for g in range(groups)]
        self.products = centred.T @ centred

    def without(self, group: int) -> tuple[Tensor, Tensor]:
        """Mean (d,) and a factor (d, d) of the covariance of the rows that are not in the part."""
        part = self.parts[group]
        n = self.n - len(part)
        shift = -part.sum(0) / n
        covariance = (self.products - part.T @ part - n * torch.outer(shift, shift)) / (n - 1)
        return self.mean + shift, root(covariance)

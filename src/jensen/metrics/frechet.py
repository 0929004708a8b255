"""Frechet distance of features: how far apart two sets are if only their means and covariances are looked at."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jensen.errors import Cannot, UsageError
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


def frechet_multiple(real: Any, fake: Any, train: Any, *, groups: int = GROUPS, **how: Any) -> Quantity:
    """FD of `real` (n, d) and `fake` (m, d) over that of `real` and as many other real rows `train` (m, d): 1 is as good.

    Most of the bias of an FD from few rows is in both. The interval is a jackknife's of the logarithm over `groups` parts
    of all three sets together, about the ratio of the expectations at these numbers of rows. Raises UsageError for a
    `train` of another size, Cannot where it has the moments of `real`.

    >>> x, t, y = torch.randn(3, 400, 3, generator=torch.Generator().manual_seed(0))
    >>> frechet_multiple(x, t, t).value, frechet_multiple(x, y + 1, t).value > 50
    (1.0, True)
    """
    x, y, t = features(real), features(fake), features(train)
    if len(t) != len(y):
        raise UsageError(
            "a multiple of real against real needs as many real rows as samples",
            f"got {len(t)} and {len(y)}",
            "draw as many samples",
        )
    beside = float(frechet(x, t))
    if beside <= 1e-12 * float(x.var(0).sum()):
        raise Cannot(
            "there is no distance of real rows to compare with",
            "two sets of them have the same moments",
            "pass other rows",
        )
    value = max(0.0, float(frechet(x, y))) / beside
    told = {"of": "FD(held out, samples) / FD(held out, training rows)", "real_to_real": beside, **how}
    if groups < 2 or value <= 0 or min(len(x), len(y)) < 2 * groups:
        return estimate(value, None, interval="none", **told)
    sides = [_Moments(side, groups) for side in (x, y, t)]
    logs = torch.stack([_log_ratio(*(side.without(g) for side in sides)) for g in range(groups)])
    half = t_quantile(0.95, groups - 1) * _error(logs)
    ends = (value * math.exp(-half), value * math.exp(half))
    return estimate(value, ends, interval=f"jackknife of the logarithm over {groups} parts", **told)


def _log_ratio(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor], t: tuple[Tensor, Tensor]) -> Tensor:
    """log FD(x, y) / FD(x, t), from means and factors."""
    return (frechet_of_factors(*x, *y).clamp(min=1e-300) / frechet_of_factors(*x, *t).clamp(min=1e-300)).log()


def _error(without: Tensor) -> float:
    """The jackknife's standard error, from the value without each part."""
    groups = len(without)
    return float(((groups - 1) / groups * (without - without.mean()).square().sum()).sqrt())


def _jackknife(x: Tensor, y: Tensor, value: float, groups: int) -> tuple[float, float]:
    """Each part of both sides left out in turn, by subtracting its moments: no second pass over the rows."""
    sides = [_Moments(side, groups) for side in (x, y)]
    without = torch.stack(
        [frechet_of_factors(*sides[0].without(g), *sides[1].without(g)) for g in range(groups)]
    )
    half = t_quantile(0.95, groups - 1) * _error(without)
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

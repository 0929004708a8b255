"""Pairwise fidelity: does every pair of columns hang together in samples as in held-out rows?

Columns of any kind are cut into a few cells, gaps being one, and every pair is a table of shares p with margins a and b. Its
residuals r = (p - a b) / sqrt(a b) are all of its dependence: |r|^2 is Pearson's phi^2, and V = sqrt(|r|^2 / (cells - 1)) is
Cramer's V, 0 for independent columns and 1 where one cell tells the other. The difference of two laws is that of their residuals,
D = sqrt(|r - s|^2 / (cells - 1)): V itself where samples are independent and up to 2 V where they hang together the other way
round, which a difference of two V does not see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.errors import Cannot
from jensen.functional.intervals import t_quantile
from jensen.metrics.features import estimate
from jensen.metrics.table import Tables, cells
from jensen.quantity import Quantity

CELLS = 6
"""Cells of a column, at most, and one for gaps."""

COLUMNS = 40
"""The first columns, whose pairs are looked at."""

GROUPS, TIMES = 10, 12
"""Parts of the jackknife; relabellings of real rows behind what real against real gives."""

Values = NDArray[np.float64]
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """All pairs of the columns `names`. real, fake, difference (d, d): V of held-out rows and of samples, and D.

    `mean`: of D over pairs. `largest`: the pairs in which samples are farthest off, by their sites, each with its D.
    """

    names: list[str]
    real: Values
    fake: Values
    difference: Values
    mean: Quantity
    largest: list[tuple[tuple[int, int], Quantity]]


def measure(tables: Tables) -> dict[str, Quantity]:
    """The mean difference of association over pairs, and that of the pair that is worst."""
    found = pair_differences(tables)
    (a, b), worst = found.largest[0]
    return {
        "difference of association": found.mean,
        f"{found.names[a]} and {found.names[b]}": worst,
    }


def pair_differences(tables: Tables, worst: int = 5, *, usual: tuple[float, float] | None = None) -> Pairs:
    """V of either side and D of every pair of columns, estimates, less the bias that independent columns would have.

    That bias is (cells - 1)(cells' - 1) (1/n + 1/m) in |r - s|^2, and 1/n of it in |r|^2 (Bergsma 2013). Intervals are a
    jackknife's over GROUPS parts of both sides. `how["real_to_real"]` is the same mean, or maximum over pairs, between real
    rows, `usual` where it is known (`pairs_real_to_real`). Raises Cannot for a single column.
    """
    d = min(tables.space.dims, COLUMNS)
    if d < 2:
        raise Cannot("a single column has no pairs", "got 1 column", "pass a table of more")
    hot_real, hot_fake = _hot(tables, tables.real, tables.fake)
    sides = [_Sides(hot) for hot in (hot_real, hot_fake)]
    square = _square(*(side.counts for side in sides))
    above = np.triu_indices(d, 1)
    without = np.stack([_square(*(side.without(g) for side in sides)) for g in range(GROUPS)])
    spread = (GROUPS - 1) / GROUPS * ((without - without.mean(0)) ** 2).sum(0)
    half = t_quantile(0.95, GROUPS - 1) * np.sqrt(spread)
    mean_usual, highest = usual or pairs_real_to_real(tables)
    told: dict[str, Any] = {"interval": f"jackknife over {GROUPS} parts", "cells": CELLS, **tables.how()}
    if d < tables.space.dims:
        told["columns"] = f"the first {d} of {tables.space.dims}"
    real, fake = (_association(side.counts) for side in sides)
    order = sorted(zip(*(axis.tolist() for axis in above)), key=lambda pair: (-square[pair], pair))[:worst]
    largest = [
        (pair, _pair(pair, square, half, (real, fake), {**told, "real_to_real": highest})) for pair in order
    ]
    difference = _root(square)
    # roots with their signs: clipped ones do not move where nothing differs
    means = (np.sign(without) * np.sqrt(np.abs(without)))[:, *above].mean(1)
    value = float(difference[above].mean())
    error = math.sqrt((GROUPS - 1) / GROUPS * float(((means - means.mean()) ** 2).sum()))
    reach = t_quantile(0.95, GROUPS - 1) * error
    mean = estimate(
        value,
        (max(0.0, value - reach), value + reach),
        of="mean over pairs of D",
        real_to_real=mean_usual,
        pairs=len(above[0]),
        **told,
    )
    return Pairs(tables.names()[:d], real, fake, difference, mean, largest)


def pairs_real_to_real(tables: Tables) -> tuple[float, float]:
    """The mean over pairs of D, and its usual maximum, of as many real rows as there are held-out rows and samples.

    By relabelling held-out and training rows; of fewer rows than both two halves, scaled by the root of 1/n + 1/m.
    """
    pool = tables.real if tables.train is None else np.concatenate([tables.real, tables.train])
    (hot,) = _hot(tables, pool)
    n, m, d = len(tables.real), len(tables.fake), hot.shape[1]
    rng = np.random.default_rng([tables.seed, 31])
    a, b = (n, m) if len(hot) >= n + m else (len(hot) // 2, len(hot) - len(hot) // 2)
    above, found = np.triu_indices(d, 1), []
    for _ in range(TIMES if d <= COLUMNS // 2 else TIMES // 4):
        order = rng.permutation(len(hot))
        differences = _root(_square(_count(hot[order[:a]]), _count(hot[order[a : a + b]])))[above]
        found.append((differences.mean(), differences.max()))
    scale = math.sqrt((1 / n + 1 / m) / (1 / a + 1 / b))
    usual, highest = (float(value) * scale for value in np.mean(found, axis=0))
    return usual, highest


def _hot(tables: Tables, *sides: Values) -> list[NDArray[np.float32]]:
    """Cells (n, d, k) as 0 and 1, cut by the held-out rows; all 0 where nobody saw the value."""
    d = min(tables.space.dims, COLUMNS)
    columns = [cells(tables.space.column(site), tables.real[:, site], CELLS) for site in range(d)]
    width = np.arange(max(column.count for column in columns))
    return [
        np.stack(
            [one.codes(rows[:, site])[:, None] == width for site, one in enumerate(columns)], axis=1
        ).astype(np.float32)
        for rows in sides
    ]


class _Sides:
    """The counts (d, k, d, k) of all pairs of cells, in all and part by part."""

    def __init__(self, hot: NDArray[np.float32]) -> None:
        self.parts = [_count(hot[g::GROUPS]) for g in range(GROUPS)]
        self.counts: Counts = np.sum(self.parts, axis=0)

    def without(self, group: int) -> Counts:
        """The counts without a part."""
        return self.counts - self.parts[group]


def _count(hot: NDArray[np.float32]) -> Counts:
    n, d, k = hot.shape
    rows = hot.reshape(n, d * k)
    return np.asarray((rows.T @ rows).reshape(d, k, d, k).transpose(0, 2, 1, 3), dtype=np.float64)


def _residuals(counts: Counts) -> tuple[Values, Values, Values, Values]:
    """r (d, d, k, k), the rows n (d, d) behind it, and how many cells each column of the pair has."""
    n = counts.sum((2, 3))
    p = counts / np.maximum(n, 1)[:, :, None, None]
    a, b = p.sum(3), p.sum(2)
    expected = a[..., :, None] * b[..., None, :]
    r = np.divide(p - expected, np.sqrt(expected), out=np.zeros_like(p), where=expected > 0)
    return r, n, (a > 0).sum(2).astype(float), (b > 0).sum(2).astype(float)


def _square(first: Counts, second: Counts) -> Values:
    """D^2 (d, d), less its bias: below 0 by chance where nothing differs."""
    (r, n, ka, kb), (s, m, la, lb) = _residuals(first), _residuals(second)
    ka, kb = np.maximum(ka, la), np.maximum(kb, lb)
    bias = (ka - 1) * (kb - 1) * (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1))
    return np.asarray((((r - s) ** 2).sum((2, 3)) - bias) / np.maximum(np.minimum(ka, kb) - 1, 1))


def _association(counts: Counts) -> Values:
    r, n, ka, kb = _residuals(counts)
    bias = (ka - 1) * (kb - 1) / np.maximum(n, 1)
    value = _root(((r**2).sum((2, 3)) - bias) / np.maximum(np.minimum(ka, kb) - 1, 1))
    np.fill_diagonal(value, 1.0)
    return value


def _root(square: Values) -> Values:
    return np.sqrt(np.maximum(square, 0.0))


def _pair(
    pair: tuple[int, int], square: Values, half: Values, sides: tuple[Values, Values], told: dict[str, Any]
) -> Quantity:
    """D of one pair, its interval made on the scale of D^2."""
    low, value, high = (float(_root(square[pair] + shift)) for shift in (-half[pair], 0.0, half[pair]))
    return estimate(
        value,
        (low, max(high, value)),
        of="D, 0 for the same dependence",
        v_real=float(sides[0][pair]),
        v_samples=float(sides[1][pair]),
        **told,
    )

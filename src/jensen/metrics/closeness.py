"""Distance to the closest record: are samples nearer to training rows than held-out rows of the same law are?

Evidence of what a model gives away of single training rows, and no promise: rows that differ by this distance may still be told
apart by one who knows more, and a model can leak what no sample shows. Distances are Gower's (`functional.gower`): the mean over
columns of |a - b| over the range that most real values lie in, at most 1, and of whether codes and gaps differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jensen.errors import Cannot
from jensen.functional.binomial import clopper_pearson
from jensen.functional.gower import nearest_mixed
from jensen.functional.intervals import skewed_ends, skewness_of_sum, t_quantile, welch_freedom
from jensen.metrics.features import estimate
from jensen.metrics.table import Tables, ordered
from jensen.quantity import Quantity

CAUTION = "privacy evidence, not a promise"

WORK = 150_000_000
"""Differences of values that are computed at most for one set of rows; fewer rows are looked at where there would be more."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Near:
    """For rows (n,): the distance to the nearest training row, whether it is an exact copy, and whether that row has another
    training row that is nearer still."""

    distance: Values
    copy: NDArray[np.bool_]
    apart: NDArray[np.bool_]


def measure(tables: Tables) -> dict[str, Quantity]:
    """Closeness, copies and authenticity of samples, the last two beside those of held-out rows."""
    return closeness(tables)


def closeness(tables: Tables, held: Near | None = None) -> dict[str, Quantity]:
    """Four shares and what they are to be held against, estimates.

    "nearer than held-out rows": the probability that a sample is nearer to its nearest training row than a held-out row is to
    its own, ties counting half; 0.5 for a model that gives no row away, DeLong's interval. "exact copies": samples that are a
    training row in every column. "authenticity": samples farther from their nearest training row than that one is from its
    own nearest (Alaa et al. 2022). `held`: what `held_out` gave.
    """
    near = held_out(tables) if held is None else held
    some = _near(tables, tables.fake)
    value, ends = _nearer(some.distance, near.distance)
    told = {**tables.how(), "compared": len(some.distance), "caution": CAUTION}
    found = {
        "nearer than held-out rows": estimate(
            value,
            ends,
            of="P(sample nearer to its nearest training row than a held-out row to its own), ties half",
            expected=0.5,
            interval="DeLong, the training rows held fixed",
            median_of_samples=float(np.median(some.distance)),
            median_of_held_out=float(np.median(near.distance)),
            **told,
        )
    }
    for name, side in (("", some), (" of held-out rows", near)):
        for what, hits in (("exact copies", side.copy), ("authenticity", side.apart)):
            count = int(hits.sum())
            found[what + name] = estimate(
                count / len(hits),
                clopper_pearson(count, len(hits)),
                interval="Clopper-Pearson over these rows, the training rows held fixed",
                **told,
            )
    return found


def held_out(tables: Tables) -> Near:
    """The same of held-out rows, which nobody could memorise. Raises Cannot without training rows."""
    return _near(tables, tables.real)


def _near(tables: Tables, rows: Values) -> Near:
    if tables.train is None or len(tables.train) < 3:
        raise Cannot("closeness asks about training rows", "got held-out rows alone", "pass Rows")
    train = torch.from_numpy(tables.train)
    most = max(20, WORK // (len(train) * tables.space.dims))
    x = torch.from_numpy(rows[:most])
    scale, unseen = _scale(tables)
    distance, where = nearest_mixed(x, train, scale, unseen=unseen)
    matched, back = where.unique(return_inverse=True)
    own = nearest_mixed(train[matched], train, scale, unseen=unseen, but=matched)[0][back]
    same = (x == train[where]) | (x.isnan() & train[where].isnan())
    return Near(distance.double().numpy(), same.all(1).numpy(), (own < distance).numpy())


def _scale(tables: Tables) -> tuple[torch.Tensor, torch.Tensor]:
    """The range (d,) of most training values of a number, 0 for codes; and where a gap is unseen."""
    assert tables.train is not None
    columns = [tables.space.column(site) for site in range(tables.space.dims)]
    numbers = torch.tensor([ordered(column) or column.kind == "levels" for column in columns])
    some = np.nanpercentile(tables.train, [1, 99], axis=0)
    whole = np.nanmax(tables.train, axis=0) - np.nanmin(tables.train, axis=0)
    wide = np.where(some[1] > some[0], some[1] - some[0], np.where(whole > 0, whole, 1.0))
    unseen = torch.tensor([column.gaps == "unseen" for column in columns])
    return torch.where(numbers, torch.from_numpy(np.nan_to_num(wide, nan=1.0)), 0.0), unseen


def _nearer(samples: Values, held: Values) -> tuple[float, tuple[float, float]]:
    """P(sample < held-out) with ties half, and DeLong's interval: the placements' variances on either side,
    with Student's t, widened for skew."""
    n, m = len(held), len(samples)
    ordered_held, ordered_samples = np.sort(held), np.sort(samples)

    def placed(values: Values, among: Values) -> Values:
        """The share of `among` below each value, ties half."""
        left, right = (np.searchsorted(among, values, side) for side in ("left", "right"))
        return np.asarray((left + right) / 2 / len(among))

    of_samples, of_held = 1 - placed(samples, ordered_held), placed(held, ordered_samples)
    value = float(of_samples.mean())
    if m < 2 or n < 2:
        return value, (0.0, 1.0)
    squares = of_samples.var(ddof=1) / m, of_held.var(ddof=1) / n
    error = math.sqrt(sum(squares))
    if error == 0:  # all on one side: the normal law says nothing there
        low, high = clopper_pearson(round(value * min(n, m)), min(n, m))
    else:
        freedom = welch_freedom(squares, (m, n))
        skew = skewness_of_sum((of_samples, of_held), squares)
        low, high = skewed_ends(value, error, t_quantile(0.95, freedom), skew)
    return value, (max(0.0, min(low, value)), min(1.0, max(high, value)))

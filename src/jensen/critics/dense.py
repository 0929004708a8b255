"""Rows as dense features for critics that multiply: scaled numbers, indicators of categories and of gaps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jensen.space import Space

Array = NDArray[np.float64]

MOST_CATEGORIES = 30
"""Indicators a column, of its most frequent categories; the others share the row of zeros."""

FARTHEST = 8.0
"""Scaled numbers are clipped here: one odd row must not outweigh all others."""


def dense(x: Array, space: Space) -> Callable[[Array], Array]:
    """Learn from training rows (n, d) how rows become features (n, f) without gaps; a column that never varies has none.

    Numbers are standardised, a gap becomes the mean and an indicator of its own.

    >>> features = dense(np.array([[1.0, 0.0], [3.0, 1.0], [np.nan, 1.0]]), Space.real(2))
    >>> features(np.array([[2.0, 1.0]])).round(3).tolist()
    [[0.0, 0.707, 0.0]]
    """
    category = np.array([space.column(site).kind == "categorical" for site in range(x.shape[1])])
    gap = np.isnan(x)
    known = np.where(gap, 0.0, x)
    count = np.maximum((~gap).sum(0), 1)
    mean = known.sum(0) / count
    sd = np.sqrt((np.where(gap, 0.0, x - mean) ** 2).sum(0) / count)
    # a spread that is all rounding error is none
    number = np.flatnonzero(~category & (sd > 1e-7 * np.abs(mean)) & (sd > 0))
    gaps = np.flatnonzero(gap.any(0) & ~gap.all(0))
    codes = [(site, _frequent(x[:, site])) for site in np.flatnonzero(category)]
    mean, sd = mean[number], sd[number]

    def encode(rows: Array) -> Array:
        scaled = np.clip((rows[:, number] - mean) / sd, -FARTHEST, FARTHEST)
        blocks = [np.where(np.isnan(scaled), 0.0, scaled), np.isnan(rows[:, gaps])]
        blocks += [rows[:, site, None] == code for site, code in codes]
        return np.concatenate(blocks, axis=1, dtype=np.float64)

    return encode


def _frequent(codes: Array) -> Array:
    """The most frequent codes; all but the last where they are all there, since the last follows from the others."""
    values, counts = np.unique(codes[~np.isnan(codes)], return_counts=True)
    return values[np.argsort(-counts, kind="stable")][:MOST_CATEGORIES]

"""Samples as values that the user's column could hold: on the steps and within the range that were seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.space import Column, Space


def settle(values: NDArray[Any], column: Column) -> NDArray[Any]:
    """Values (n,) of a real column rounded to its grain, those beyond the range that was seen on its ends; nan stays.

    Any other column, and one of which nothing is known, as it is.

    >>> settle(np.array([1.2, 9.0]), Column("real", grain=0.5, seen=(0.0, 3.0))).tolist()
    [1.0, 3.0]
    """
    if column.kind != "real" or column.seen is None:
        return values
    low, high = column.seen
    found = np.clip(values.astype(np.float64), low, high)
    if column.grain is None:
        return found
    return np.clip(low + column.grain * np.rint((found - low) / column.grain), low, high)


def beyond(rows: NDArray[Any], space: Space) -> str:
    """How many values of rows (n, d) lie beyond the range that was seen, in a sentence; empty where none does."""
    if space.is_image:
        return ""
    told, total = [], 0
    for site in range(space.dims):
        column = space.column(site)
        if column.kind != "real" or column.seen is None:
            continue
        low, high = column.seen
        count = int(((rows[:, site] < low) | (rows[:, site] > high)).sum())
        if count:
            total += count
            told.append(f"{column.name or f'column {site + 1}'} ({count:,})")
    if not told:
        return ""
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    values = "value lies" if total == 1 else "values lie"
    return f"{total:,} {values} beyond the range that was seen and are written as its ends: {', '.join(told[:5])}{more}"

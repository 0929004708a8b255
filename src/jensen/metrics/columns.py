"""Per-column fidelity: how far the values of each column of samples are from those of held-out rows.

Both distances are the largest difference of two shares, P(A) - Q(A): over any set A of values for codes and few levels (total
variation), over A = {up to t} for numbers (Kolmogorov-Smirnov), a gap being a value of its own, below all numbers. The set
that attains it is the witness: what there is too much or too little of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.shown import shown_value
from jensen.errors import Cannot
from jensen.functional.intervals import normal_quantile
from jensen.metrics.features import estimate
from jensen.metrics.table import Tables, ordered
from jensen.quantity import Quantity
from jensen.space import Column

TIMES = 100
"""Relabellings of real rows behind what real against real gives."""

NAMED = 4
"""Levels of a witness that are named."""

Values = NDArray[np.float64]


def measure(tables: Tables) -> dict[str, Quantity]:
    """The distance of every column by name, with what real rows against real rows give at these sizes."""
    return column_distances(tables)


def column_distances(
    tables: Tables, most: int | None = None, *, usual: Sequence[tuple[float, float] | None] | None = None
) -> dict[str, Quantity]:
    """The same of the first `most` columns; `usual`: what `columns_real_to_real` gave.

    A column without a value on one side is left out. Raises Cannot where all are.
    """
    known = columns_real_to_real(tables, most) if usual is None else usual
    found = {}
    for site, (name, chance) in enumerate(zip(tables.names(), known)):
        if chance is None:
            continue
        column, told = (
            tables.space.column(site),
            {"real_to_real": chance[0], "high": chance[1], **tables.how()},
        )
        with suppress(Cannot):  # the others still have a number
            found[name] = column_distance(tables.real[:, site], tables.fake[:, site], column, **told)
    if not found:
        raise Cannot(
            "no column has values on both sides", f"got {len(tables.real)} rows", "hold out more rows"
        )
    return found


def columns_real_to_real(tables: Tables, most: int | None = None) -> list[tuple[float, float] | None]:
    """`real_to_real` of each of the first `most` columns, of held-out and training rows; None where there are too few."""
    pool = tables.real if tables.train is None else np.concatenate([tables.real, tables.train])
    sizes, found = (len(tables.real), len(tables.fake)), []
    for site in range(min(tables.space.dims, most or tables.space.dims)):
        one: tuple[float, float] | None = None
        with suppress(Cannot):
            one = real_to_real(pool[:, site], tables.space.column(site), *sizes, seed=tables.seed)
        found.append(one)
    return found


def column_distance(real: Values, fake: Values, column: Column, **how: Any) -> Quantity:
    """Total variation or Kolmogorov-Smirnov distance of values (n,) and (m,), an estimate in [0, 1].

    The plug-in estimate, too large by about what real against real gives. The interval is the normal one of the two shares
    at the witness, that set held fixed. Raises Cannot where a side has no value.

    >>> x = np.array([0.0, 0, 0, 1])
    >>> column_distance(x, 1 - x, Column("binary")).value
    0.5
    """
    by_order = ordered(column)
    grid, p, q = _shares(*(_indexed(side, column, by_order) for side in (real, fake)))
    if by_order:
        gaps = np.abs(np.cumsum(p) - np.cumsum(q))
        inside = np.arange(len(grid)) <= int(gaps.argmax())
    else:
        inside = p > q
    mine, theirs = float(p[inside].sum()), float(q[inside].sum())
    value = min(abs(mine - theirs), 1.0)
    n, m = (int((~np.isnan(side)).sum()) if column.gaps == "unseen" else len(side) for side in (real, fake))
    half = normal_quantile(0.95) * math.sqrt(mine * (1 - mine) / n + theirs * (1 - theirs) / m)
    return estimate(
        value,
        (max(0.0, value - half), min(1.0, value + half)),
        of="Kolmogorov-Smirnov distance" if by_order else "total variation",
        witness=_witness(grid[inside], column, by_order),
        share_of_real=mine,
        share_of_samples=theirs,
        interval="normal, of the difference of the two shares, their set held fixed",
        **how,
    )


def real_to_real(
    pool: Values, column: Column, n: int, m: int, *, seed: int = 0, times: int = TIMES
) -> tuple[float, float]:
    """The mean, and the value that one in twenty exceeds, of the distance of n and m real rows of one law.

    By drawing n and m rows without replacement from `pool`, again and again; of a smaller pool two halves, scaled by the
    root of 1/n + 1/m.
    """
    by_order, rng = ordered(column), np.random.default_rng([seed, 29])
    index = _indexed(pool, column, by_order)
    a, b = (n, m) if len(index) >= n + m else (len(index) // 2, len(index) - len(index) // 2)
    if a < 1:
        raise Cannot("there are too few real values", f"got {len(index)}", "pass more rows")
    index = rng.permutation(index)[: a + b]
    grid, place = np.unique(index, return_inverse=True)
    if by_order:
        order = np.argsort(place, kind="stable")
        ends = np.flatnonzero(np.diff(place[order], append=len(grid)))
        mine = rng.permuted(np.broadcast_to(np.arange(a + b) < a, (times, a + b)), axis=1)
        below = np.cumsum(mine, axis=1, dtype=np.int64)[:, ends]
        found = np.abs(below / a - (ends + 1 - below) / b).max(1)
    else:
        counts = np.bincount(place)
        part = rng.multivariate_hypergeometric(counts, a, size=times, method="marginals")
        found = np.abs(part / a - (counts - part) / b).sum(1) / 2
    scale = math.sqrt((1 / n + 1 / m) / (1 / a + 1 / b))
    return float(found.mean()) * scale, float(np.quantile(found, 0.95)) * scale


def _indexed(values: Values, column: Column, by_order: bool) -> Values:
    """Values to be told apart: a gap is below all, or left out where nobody saw it; levels as their numbers."""
    gap = np.isnan(values)
    if column.gaps == "unseen":
        values, gap = values[~gap], gap[~gap]
    if not by_order:
        values = np.rint((values - column.low) / column.step)
    return np.where(gap, -np.inf, values)


def _shares(first: Values, second: Values) -> tuple[Values, Values, Values]:
    """All values that occur, and the share of each on either side."""
    if not len(first) or not len(second):
        raise Cannot(
            "a column has no value to compare", f"got {len(first)} and {len(second)}", "pass more rows"
        )
    grid, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    parts = place[: len(first)], place[len(first) :]
    p, q = (np.bincount(part, minlength=len(grid)) / len(part) for part in parts)
    return grid, p, q


def _witness(inside: Values, column: Column, by_order: bool) -> str:
    """The set in words."""
    if by_order:
        top = float(inside[-1])
        if math.isinf(top):
            return "gaps"
        gaps = " or gaps" if column.gaps == "value" else ""
        return f"values up to {shown_value(top, column)}{gaps}"
    names = [
        shown_value(math.nan if math.isinf(level) else column.low + column.step * level, column)
        for level in inside.tolist()
    ]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more

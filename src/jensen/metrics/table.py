"""What the metrics of tables stand on: held-out rows, samples and training rows of one space, and columns cut into cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.settle import settle
from jensen.errors import Cannot
from jensen.scoring import some_rows
from jensen.space import Column, Space

MOST = 2000
"""Held-out rows, samples and training rows that are looked at, at most, of each."""

ORDERED = 30
"""Numbers of more levels than this are looked at as real ones are: in their order, and not level by level."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Tables:
    """Rows (n, d) of one space, nan at gaps: `real` held out, `fake` samples as they are written, `train` or None."""

    real: Values
    fake: Values
    train: Values | None
    space: Space
    seed: int = 0

    def __post_init__(self) -> None:
        if self.space.is_image:
            raise Cannot("columns are those of a table", f"got {self.space.describe()}", "pass a table")
        for rows in (self.real, self.fake):
            self.space.check_shape(rows.shape)
            if len(rows) < 2:
                raise Cannot("there are too few rows", f"got {len(rows)}", "hold out or draw more rows")

    def how(self) -> Mapping[str, Any]:
        """The provenance that all numbers of these rows carry."""
        return {"n_real": len(self.real), "n_fake": len(self.fake), "seed": self.seed}

    def names(self) -> list[str]:
        """What the columns are called."""
        return [name_of(self.space, site) for site in range(self.space.dims)]


def tables_of(fitted: Any, rows: Any, *, n: int | None = None, seed: int = 0) -> Tables:
    """Rows to compare: at most MOST of each part, drawn by the seed. `rows`: Rows, whose space says what columns are.

    fitted: anything with `sample(n, seed=...)`, or its samples. n: samples, by default as many as training rows. Raises
    Cannot for rows without a space and for images.
    """
    if not hasattr(rows, "space"):
        raise Cannot("columns need a space", f"got {type(rows).__name__}", "pass jensen.rows(...)")
    # real rows too, so that equal values are equal to the last bit
    real, train = (written(some_rows(part, MOST, seed), rows.space) for part in (rows.test, rows.train))
    count = min(MOST, max(len(real), len(train))) if n is None else n
    fake = fitted.sample(count, seed=seed) if hasattr(fitted, "sample") else fitted
    return Tables(real, written(fake, rows.space), train, rows.space, seed)


def written(rows: Any, space: Space) -> Values:
    """Rows as the user gets samples: on the steps and within the range that were seen. Raises Cannot where one is not finite,
    for no distance is known then."""
    found = flat(rows)
    wrong = ~np.isfinite(found) & ~(np.isnan(found) & space.may_gap())
    if wrong.any():
        raise Cannot("some samples are no numbers", f"got {int(wrong.any(1).sum()):,} of {len(found):,}", "")
    return np.stack([settle(found[:, site], space.column(site)) for site in range(space.dims)], axis=1)


def flat(rows: Any) -> Values:
    """Rows as float64."""
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)


def name_of(space: Space, site: int) -> str:
    """The user's name of a column, or its number."""
    return space.column(site).name or f"column {site + 1}"


def ordered(column: Column) -> bool:
    """Whether a column is looked at in its order."""
    return column.kind == "real" or (column.kind == "levels" and (column.levels or 0) > ORDERED)


@dataclass(frozen=True)
class Cells:
    """A column cut into a few cells. `edges`: of numbers; `kept`: codes with a cell of their own, all others share one."""

    column: Column
    edges: Values | None
    kept: NDArray[np.int64] | None

    @property
    def count(self) -> int:
        """Cells, that of a gap included, which is the last."""
        if self.edges is not None:
            inner = len(self.edges) + 1
        else:
            assert self.kept is not None
            inner = len(self.kept) + (len(self.kept) < (self.column.levels or 0))
        return inner + (self.column.gaps == "value")

    def codes(self, values: Values) -> NDArray[np.int64]:
        """The cell (n,) of each value; -1 for a gap that nobody saw."""
        gap = np.isnan(values)
        filled = np.where(gap, self.column.low, values)
        if self.edges is not None:
            found = np.searchsorted(self.edges, filled, side="right").astype(np.int64)
        else:
            assert self.kept is not None
            level = np.rint((filled - self.column.low) / self.column.step).astype(np.int64)
            place = np.full(self.column.levels or 1, len(self.kept))
            place[self.kept] = np.arange(len(self.kept))
            found = place[np.clip(level, 0, len(place) - 1)]
        return np.where(gap, self.count - 1 if self.column.gaps == "value" else -1, found)


def cells(column: Column, real: Values, most: int) -> Cells:
    """At most `most` cells and one for gaps: numbers at quantiles of the real values, the most frequent codes each alone."""
    there = real[~np.isnan(real)]
    levels = column.levels or 0
    if column.kind == "real" or (column.kind == "levels" and levels > most):
        cuts = np.quantile(there, np.arange(1, most) / most, method="higher") if len(there) else np.zeros(0)
        edges = np.unique(cuts)
        return Cells(column, edges[edges > there.min()] if len(there) else edges, None)
    if levels <= most:
        return Cells(column, None, np.arange(levels))
    level = np.rint((there - column.low) / column.step).astype(np.int64)
    frequent = np.argsort(-np.bincount(level, minlength=levels), kind="stable")[: most - 1]
    return Cells(column, None, np.sort(frequent))

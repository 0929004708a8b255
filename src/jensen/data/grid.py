"""Two sets of rows on one grid: rounding of one side must not be all that tells them apart.

Samples of a continuous model beside data that were written in whole numbers differ in every row, and in nothing of
interest. The side that is on no grid is rounded to the other's. Rounding can only hide differences: a lower bound of a
divergence of the rounded rows is one of the rows as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.lattice import Lattice, find_lattice
from jensen.space import Space

Array = NDArray[Any]

MOST_SEEN = 1 << 17
"""Values of an image that a grid is sought in."""


@dataclass(frozen=True)
class Grid:
    """The lattice of each column to which a side is rounded: `sides[0]` for rows of a, `sides[1]` for rows of b."""

    sides: tuple[dict[int, Lattice], dict[int, Lattice]] = field(default_factory=lambda: ({}, {}))
    notes: tuple[str, ...] = ()

    def __call__(self, rows: Array, side: int) -> Array:
        """Rows (n, d) of a side, rounded where that side is; others are the same array."""
        lattices = self.sides[side]
        if not lattices:
            return rows
        out = rows.copy()
        for site, lattice in lattices.items():
            part = slice(None) if site < 0 else site
            out[:, part] = lattice.low + lattice.step * np.rint((rows[:, part] - lattice.low) / lattice.step)
        return out


def match_grid(a: Array, b: Array, space: Space, names: Sequence[str]) -> Grid:
    """Find in training rows (n, d) of two sides which columns of one lie on a grid that the other ignores.

    A grid counts where values repeat: at least two rows for each of them. Pixels share one grid. Where both sides
    have one each, they differ in something real and stay as they are.

    >>> rng = np.random.default_rng(0)
    >>> whole, broken = rng.integers(0, 9, (50, 1)).astype(float), rng.normal(4, 2, (50, 1))
    >>> grid = match_grid(whole, broken, Space.real(1), ["age"])
    >>> bool((grid(broken, 1) % 1 == 0).all()), grid(whole, 0) is whole
    (True, True)
    """
    sides: tuple[dict[int, Lattice], dict[int, Lattice]] = ({}, {})
    told: list[str] = []
    sites = [-1] if space.is_image else range(space.dims)
    for site in sites:
        if site >= 0 and space.column(site).kind == "categorical":
            continue
        values = [_known(x if site < 0 else x[:, site]) for x in (a, b)]
        lattices = [_lattice(v) for v in values]
        if (lattices[0] is None) == (lattices[1] is None):
            continue
        loose = 0 if lattices[0] is None else 1
        lattice = lattices[1 - loose]
        assert lattice is not None
        if len(values[loose]) and not lattice.holds(values[loose]):
            sides[loose][site] = lattice
            what = "pixels" if site < 0 else f"column {names[site]!r}"
            told.append(f"{what} of {'ab'[loose]} to steps of {lattice.step:g}")
    return Grid(sides, _note(told))


def _note(told: Sequence[str]) -> tuple[str, ...]:
    if not told:
        return ()
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    return (f"rounded to the grid of the other side before comparing: {', '.join(told[:5])}{more}",)


def _known(values: Array) -> Array:
    flat = values.ravel()[:MOST_SEEN]
    return flat[~np.isnan(flat)].astype(np.float64)


def _lattice(values: Array) -> Lattice | None:
    distinct = np.unique(values)
    return find_lattice(distinct) if 2 * len(distinct) <= len(values) else None

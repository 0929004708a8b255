"""What the values are, in a few passes over rows that need not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import ArrayLike, chunks
from jensen.data.lattice import Lattice, find_lattice
from jensen.errors import DataError

SAMPLE_ROWS = 16_384
SAMPLE_VALUES = 1 << 19
SAMPLE_BLOCKS = 64


@dataclass(frozen=True)
class Facts:
    """What is known of one column, or of all values of an array.

    `two`: exactly the values low and high occur. `repeated`: at most half as many distinct values as rows. `decimals`: as
    many as the values of a sample have, up to 6; None for more. `distinct`: no two values of a sample are equal.
    """

    low: float
    high: float
    integers: bool
    two: bool
    repeated: bool
    lattice: Lattice | None
    decimals: int | None = None
    distinct: bool = False


def survey(
    rows: ArrayLike, by_column: bool, names: Sequence[str] = (), gaps: NDArray[np.bool_] | None = None
) -> list[Facts]:
    """Facts of every column of rows (n, d), or (by_column false) of all values together, gaps left out.

    `gaps` (d,) or (1,): where nan is a gap. Range and integers are of all rows. A lattice is guessed from a sample and
    then verified on all rows. Raises DataError for values that are not finite, with column, count and first row, and for
    columns without any value.
    """
    low, high, integers = _range(rows, by_column, gaps)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        refuse_nonfinite(rows, names, gaps)
        empty = [column_name(names, int(i)) for i in np.flatnonzero(low > high)]
        raise DataError(f"column {empty[0]} is empty", "got no value in any row", f"pass drop={empty}")
    sample = _sample(rows)
    columns = list(sample.T) if by_column else [sample.ravel()]
    columns = [column[~np.isnan(column)] for column in columns] if gaps is not None else columns
    distinct = [np.unique(column) for column in columns]
    guesses = [find_lattice(_with_ends(d, low[i], high[i])) for i, d in enumerate(distinct)]
    pairs = np.array([len(d) <= 2 for d in distinct])
    unit = integers & (high - low == 1)
    two, on = _verify(rows, by_column, low, high, pairs & ~unit & (high > low), guesses)
    return [
        Facts(
            float(low[i]),
            float(high[i]),
            bool(integers[i]),
            bool(unit[i] or two[i]),
            2 * len(distinct[i]) <= len(columns[i]),
            guesses[i] if on[i] else None,
            _decimals(distinct[i]),
            len(distinct[i]) == len(columns[i]),
        )
        for i in range(len(low))
    ]


def refuse_nonfinite(
    rows: ArrayLike, names: Sequence[str] = (), gaps: NDArray[np.bool_] | None = None
) -> None:
    """Raise DataError naming the columns with values that are not finite, how many, and the first row.

    `gaps` (d,) or (1,): where nan is allowed.
    """
    if not np.issubdtype(rows.dtype, np.floating):
        return
    dims = math.prod(rows.shape[1:])
    count, first = np.zeros(dims, np.int64), np.full(dims, -1, np.int64)
    for start, chunk in chunks(rows):
        flat = chunk.reshape(len(chunk), -1)
        bad = ~np.isfinite(flat) if gaps is None else ~np.isfinite(flat) & ~(np.isnan(flat) & gaps)
        fresh = bad.any(0) & (first < 0)
        first[fresh] = start + bad[:, fresh].argmax(0)
        count += bad.sum(0)
    if not count.any():
        return
    sites = np.flatnonzero(count)
    if len(rows.shape) == 2:
        told = [
            f"{count[i]} in column {column_name(names, int(i))}, the first in row {first[i]}"
            for i in sites[:5]
        ]
        given = "; ".join(told) + (f"; and {len(sites) - 5} more columns" if len(sites) > 5 else "")
    else:
        given = f"{count.sum()} in {len(sites)} pixels, the first in row {first[sites].min()}"
    raise DataError(
        "expected finite numbers, without NaN or infinity",
        f"got {given}",
        "drop or fill them first, or take NaN as gaps with gaps='value' or gaps='unseen'",
    )


def column_name(names: Sequence[str], site: int) -> str:
    """How messages call column `site`."""
    return repr(names[site]) if site < len(names) and names[site] else str(site)


def _range(
    rows: ArrayLike, by_column: bool, gaps: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    axis, width = (0, rows.shape[1]) if by_column else (None, 1)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    integers = np.ones(width, np.bool_)
    for _, chunk in chunks(rows):
        with np.errstate(invalid="ignore"):
            lowest = highest = chunk
            if gaps is not None:
                gap = np.isnan(chunk) & (gaps if chunk.ndim == 2 else gaps[0])
                lowest, highest = np.where(gap, np.inf, chunk), np.where(gap, -np.inf, chunk)
            # nan wins in minimum and maximum, so one look at the ends finds it
            low = np.minimum(low, np.atleast_1d(lowest.min(axis)))
            high = np.maximum(high, np.atleast_1d(highest.max(axis)))
            if integers.any() and np.issubdtype(rows.dtype, np.floating):
                whole = (chunk == np.rint(chunk)) | np.isnan(chunk)
                integers &= np.atleast_1d(whole.all(axis))
    return low, high, integers


def _sample(rows: ArrayLike) -> NDArray[np.float64]:
    """All rows of small data; of large data evenly spaced blocks, since neighbours are cheap to read."""
    n, dims = len(rows), math.prod(rows.shape[1:])
    size = max(1, min(n, SAMPLE_ROWS, SAMPLE_VALUES // dims))
    if size == n:
        where = np.arange(n)
    else:
        blocks = min(SAMPLE_BLOCKS, size)
        starts = np.linspace(0, n - size // blocks, blocks).astype(np.intp)
        where = np.unique(starts[:, None] + np.arange(size // blocks))
    return np.asarray(rows[where], dtype=np.float64).reshape(len(where), -1)


def _decimals(distinct: NDArray[np.float64]) -> int | None:
    with np.errstate(over="ignore", invalid="ignore"):  # numpy rounds by multiplying
        return next((k for k in range(7) if (np.round(distinct, k) == distinct).all()), None)


def _with_ends(distinct: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return np.unique(np.append(distinct, [low, high]))


def _verify(
    rows: ArrayLike,
    by_column: bool,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    pairs: NDArray[np.bool_],
    guesses: Sequence[Lattice | None],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the supposed pairs of values and lattices hold on all rows."""
    two, on = pairs.copy(), np.array([guess is not None for guess in guesses])
    if not (two.any() or on.any()):
        return two, on
    for _, chunk in chunks(rows):
        flat = chunk.reshape(len(chunk), -1)
        for i in np.flatnonzero(two | on).tolist():
            values: NDArray[Any] = (flat[:, i] if by_column else flat).astype(np.float64)
            values = values[~np.isnan(values)]
            two[i] = two[i] and ((values == low[i]) | (values == high[i])).all()
            guess = guesses[i]
            on[i] = on[i] and guess is not None and guess.holds(values)
    return two, on

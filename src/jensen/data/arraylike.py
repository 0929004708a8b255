"""Rows by position, in memory or on disk, behind one small protocol."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

# 4 MB of float64: large enough that a pass costs no Python time, small beside any data worth streaming
CHUNK_VALUES = 1 << 19


@runtime_checkable
class ArrayLike(Protocol):
    """Rows of shape (n, *row): a length, a shape, a dtype, and reading by slice or by array of positions."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, *row)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values that reading returns."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any:
        """Read a slice or an array of positions into a new NumPy array."""
        ...


class OnDisk(ABC):
    """Rows that stay on disk: a leaf says how sorted positions are read, this says how they are asked for.

    `block` is how many neighbouring rows are about as cheap to read as one.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: int = 1

    @abstractmethod
    def read(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Read rows (m,), sorted positions, into a new array (m, *row)."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read one row, a slice, a mask or positions (in any order, best sorted).

        Raises IndexError for a position outside the rows.
        """
        if isinstance(index, (int, np.integer)):
            return self.read(positions(np.array([index]), len(self)))[0]
        wanted = positions(index, len(self))
        if len(wanted) < 2 or (wanted[1:] >= wanted[:-1]).all():
            return self.read(wanted)
        order = np.argsort(wanted, kind="stable")
        values = self.read(wanted[order])
        out = np.empty_like(values)
        out[order] = values
        return out


class Part(OnDisk):
    """Some rows of rows on disk: `rows` (m,) are their sorted positions.

    >>> part = Part(np.arange(10).reshape(5, 2), np.array([1, 4]))
    >>> part.shape, part[1:].tolist()
    ((2, 2), [[8, 9]])
    """

    def __init__(self, whole: ArrayLike, rows: NDArray[Any]) -> None:
        self.whole, self.rows = whole, rows
        self.shape = (len(rows), *whole.shape[1:])
        self.dtype = whole.dtype
        share = len(rows) / max(1, len(whole))
        self.block = max(1, round(getattr(whole, "block", 1) * share))

    def read(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        return np.asarray(self.whole[self.rows[rows].astype(np.intp, copy=False)])


def positions(index: Any, n: int) -> NDArray[np.intp]:
    """Turn a slice, a mask (n,) or integers into positions 0 to n - 1.

    >>> positions(slice(-2, None), 5), positions([True, False, True], 3)
    (array([3, 4]), array([0, 2]))
    """
    if isinstance(index, slice):
        return np.arange(*index.indices(n), dtype=np.intp)
    given = np.asarray(index)
    if given.dtype == np.bool_:
        if given.shape != (n,):
            raise IndexError(f"a mask of shape ({n},) is needed, got {given.shape}")
        return np.flatnonzero(given)
    if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
        raise IndexError(f"rows are read by a slice or an array of positions, got {index!r}")
    rows = given.astype(np.intp)
    if rows.size and (rows.min() < -n or rows.max() >= n):
        raise IndexError(f"positions go from 0 to {n - 1}, got {rows.min()} to {rows.max()}")
    return np.where(rows < 0, rows + n, rows)


def chunks(rows: ArrayLike, values: int = CHUNK_VALUES) -> Iterator[tuple[int, NDArray[Any]]]:
    """Read all rows in order, about `values` numbers at a time: pairs of first position and array.

    >>> [(start, len(chunk)) for start, chunk in chunks(np.zeros((5, 2)), values=4)]
    [(0, 2), (2, 2), (4, 1)]
    """
    size = max(1, values // max(1, math.prod(rows.shape[1:])))
    for start in range(0, len(rows), size):
        yield start, np.asarray(rows[start : start + size])


@dataclass(frozen=True)
class Field:
    """A column of a table as it is encoded in numbers; `labels` are the texts of codes 0, 1, ...

    `gaps`, `time`: as in a Column of the space; where `gaps` is empty, a gap is an error.
    """

    name: str
    labels: tuple[str, ...] | None = None
    gaps: str = ""
    time: str = ""


@dataclass(frozen=True)
class Source:
    """What a reader found: the rows, the notes it made, and for tables the columns' names and labels."""

    name: str
    values: ArrayLike
    fields: tuple[Field, ...] | None = None
    notes: tuple[str, ...] = ()

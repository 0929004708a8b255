"""Samples in the likeness of what was given: the library of the frame, its columns, their types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.output import as_table
from jensen.data.tables import is_frame
from jensen.space import Space


@dataclass(frozen=True)
class Likeness:
    """What samples are made to look like. `empty`: the frame that was given, without its rows; None for an array.

    `dtype`: of an array.
    """

    empty: Any = None
    dtype: Any = None

    @classmethod
    def of(cls, X: Any) -> Likeness:
        """The likeness of a frame or an array."""
        if not is_frame(X):
            return cls(dtype=X.dtype)
        import narwhals as nw

        return cls(empty=nw.from_native(X).head(0).to_native())

    def plain(self, X: Any) -> Any:
        """What `jensen.rows` reads: pandas frames with names that are texts."""
        if self.empty is None or not hasattr(X, "iloc"):
            return X
        return X.set_axis([str(name) for name in X.columns], axis=1)

    def again(self, rows: NDArray[Any], space: Space) -> Any:
        """Rows (n, d) as they would have been given. Whole numbers that were modelled as real are rounded."""
        if self.empty is None:
            return _cast(rows, self.dtype)
        import narwhals as nw

        told = nw.from_native(self.empty)
        made = nw.from_arrow(as_table(rows, space), backend=told.implementation)
        # by position: the names of pandas may be numbers
        columns = [_typed(a, b.dtype) for a, b in zip(made.iter_columns(), told.iter_columns())]
        frame = made.with_columns(*columns).to_native()
        if hasattr(self.empty, "iloc"):
            # pandas has types that narwhals does not tell apart, and names that are no texts
            frame = frame.set_axis(self.empty.columns, axis=1)
            return frame.astype({name: self.empty[name].dtype for name in self.empty.columns})
        return frame


def eager(X: Any) -> Any:
    """A frame with its rows in memory; any other source as it is."""
    import narwhals as nw

    known = nw.from_native(X, pass_through=True)
    return known.collect().to_native() if isinstance(known, nw.LazyFrame) else X


def _typed(values: Any, dtype: Any) -> Any:
    """A column in another type; floats that become whole numbers are rounded, and held within its range."""
    if values.dtype == dtype:
        return values
    if dtype.is_integer() and values.dtype.is_float():
        low, high = _range(str(dtype).lower())
        values = values.round().clip(low, high)
    return values.cast(dtype)


def _cast(rows: NDArray[Any], dtype: Any) -> NDArray[Any]:
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(rows.dtype, np.integer):
        rows = np.rint(rows).clip(*_range(dtype))
    return rows.astype(dtype, copy=False)


def _range(dtype: Any) -> tuple[int, int]:
    info = np.iinfo(dtype)
    # the largest float below 2^63 is far below it
    return int(info.min), int(info.max) if info.bits < 64 else int(info.max) - 1024

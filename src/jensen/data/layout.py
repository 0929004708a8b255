"""How the axes of an array become rows: vectors (d,) and images (channels, height, width)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jensen.errors import DataError

CHANNELS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Layout:
    """Where the axes go; `note` says so in a sentence when something was moved or assumed."""

    how: Literal["as is", "grey", "scalar", "channels last"]
    note: str = ""

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape (n, *row) that an array of this shape gets."""
        n, *row = shape
        if self.how == "grey":
            return (n, 1, *row)
        if self.how == "scalar":
            return (n, 1)
        return (n, row[2], row[0], row[1]) if self.how == "channels last" else tuple(shape)

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Rearrange values (m, ...) to (m, *row)."""
        if self.how == "channels last":
            return np.ascontiguousarray(np.moveaxis(values, -1, 1))
        return values.reshape(self.shape(values.shape))


def layout(shape: Sequence[int], row: Sequence[int] | None = None) -> Layout:
    """Decide what the axes of an array of this shape mean; `row` is the shape of a row where it is known.

    Raises DataError for arrays of 0 or of more than 4 axes.

    >>> layout((10, 28, 28)).how, layout((10, 32, 32, 3)).how, layout((10, 3, 32, 32)).how
    ('grey', 'channels last', 'as is')
    """
    axes = len(shape)
    if axes == 1:
        return Layout("scalar", "one number a row: taken as one column")
    if axes == 2 or axes == 3:
        return Layout("as is" if axes == 2 else "grey")
    if axes == 4:
        return _images(tuple(shape), None if row is None else tuple(row))
    raise DataError(
        "expected an array of rows: (n, d), (n, height, width) or (n, channels, height, width)",
        f"got shape {tuple(shape)}",
        "put the rows first and flatten what is neither channel, height nor width",
    )


def _images(shape: tuple[int, ...], row: tuple[int, ...] | None) -> Layout:
    moved = Layout("channels last", "channels were last; moved to (channels, height, width)")
    if row is not None:
        return moved if row != shape[1:] and row == (shape[3], shape[1], shape[2]) else Layout("as is")
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if last and not first:
        return moved
    if first and last and shape[1] != shape[2] == shape[3]:
        return Layout("as is")
    if first and last:
        return Layout(
            "as is",
            f"shape {shape} fits channels first and last; taken as {shape[1]} channels of {shape[2]}x{shape[3]}",
        )
    return Layout("as is", "" if first else f"taken as {shape[1]} channels of {shape[2]}x{shape[3]}")

"""Bits from grey rows: by a threshold, or drawn with the grey value as their probability."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.arguments import said
from jensen.binarisation import Binarisation
from jensen.data.arraylike import CHUNK_VALUES, ArrayLike, OnDisk, chunks
from jensen.errors import DataError, SpaceError, UsageError, nearest
from jensen.space import Column, Space


class Bits(OnDisk):
    """Grey rows (n, *row) that read as bits, uint8: those of one draw where they are dynamic.

    `grey` are the rows they come from, at positions `places` (sorted) of a source whose hash is `key`. The draw
    follows from seed, key and place alone: on every machine, in any order of reading, for any split. `fresh` says
    that training may draw other bits of `grey` as often as it likes.

    >>> grey = np.array([[0, 4], [2, 2]], np.uint8)
    >>> Bits(grey, Binarisation("threshold", 0.5, None, 0, 4, 1), "00")[:].tolist()
    [[0, 1], [0, 0]]
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, grey: ArrayLike, binarisation: Binarisation, key: str, places: NDArray[np.intp] | None = None
    ) -> None:
        self.grey, self.binarisation, self.key = grey, binarisation, key
        self.whole = places is None
        self.places = np.arange(len(grey)) if places is None else places
        self.shape = grey.shape
        self.block = int(getattr(grey, "block", 1))

    @property
    def fresh(self) -> bool:
        """Whether every reading could draw other bits."""
        return self.binarisation.kind == "dynamic"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All bits."""
        return self[:] if dtype is None else self[:].astype(dtype)

    def read(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        out = np.empty((len(rows), *self.shape[1:]), np.uint8)
        size = max(1, CHUNK_VALUES // max(1, int(np.prod(self.shape[1:]))))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            share = shares(self.grey[some], self.binarisation)
            if self.fresh:
                out[start : start + size] = self._uniform(some).reshape(share.shape) < share
            else:
                out[start : start + size] = share > self.binarisation.threshold
        return out

    def take(self, part: NDArray[np.intp], grey: ArrayLike) -> Bits:
        """Some of the rows, sorted positions; `grey` are their grey values."""
        return Bits(grey, self.binarisation, self.key, self.places[part])

    def _uniform(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Uniform numbers (m, d) on [0, 1) that belong to the rows, whichever others are read beside them.

        Row i of the source has its own stretch of one counter-based stream (Philox, Salmon et al. 2011), whose raw
        words NumPy keeps from version to version.
        """
        dims = int(np.prod(self.shape[1:]))
        counts = -(-dims // 4)  # a count gives four words
        key = np.random.SeedSequence([self.binarisation.seed or 0, int(self.key, 16)]).generate_state(
            2, np.uint64
        )
        places, out = self.places[rows], np.empty((len(rows), dims))
        cuts = np.flatnonzero(np.diff(places) != 1) + 1
        for start, stop in pairwise([0, *cuts.tolist(), len(places)]):
            stream = np.random.Philox(key=key, counter=int(places[start]) * counts)
            words = stream.random_raw((stop - start) * 4 * counts).reshape(stop - start, -1)
            out[start:stop] = (words[:, :dims] >> np.uint64(11)) * 2.0**-53
        return out


def shares(grey: Any, binarisation: Binarisation) -> Any:
    """Grey values as shares 0 to 1 of their range, float64: the probabilities of ones."""
    return (np.asarray(grey, np.float64) - binarisation.low) / (binarisation.high - binarisation.low)


def check_binarise(binarise: str | float | None) -> None:
    """Raise UsageError unless this is "dynamic", a threshold between 0 and 1, or None."""
    if binarise is None or (isinstance(binarise, str) and binarise == "dynamic"):
        return
    if isinstance(binarise, str):
        raise UsageError(
            "unknown way to binarise",
            f"got {binarise!r}",
            f"pass 'dynamic' or a threshold such as 0.5; {nearest(binarise, ['dynamic'])}",
        )
    number = isinstance(binarise, (int, float, np.number)) and not isinstance(binarise, bool)
    if not number or not 0 < binarise < 1:
        raise UsageError(
            "a threshold is a share of the grey range, between 0 and 1 and neither of them",
            f"got {said(binarise)}",
            "pass binarise=0.5, which is 127.5 of 255",
        )


def binarised_space(
    space: Space, rows: ArrayLike, binarise: str | float, seed: int
) -> tuple[Space, tuple[str, ...]]:
    """The space of the bits of grey rows, and a note on how they are made.

    Raises DataError for rows that are not grey: bits, categories, mixtures, real values outside 0 to 1.
    """
    low, high, step = _range(space, rows)
    threshold, seed_kept = (None, seed) if binarise == "dynamic" else (float(binarise), None)
    kind = "dynamic" if threshold is None else "threshold"
    made = Binarisation(kind, threshold, seed_kept, low, high, step)  # type: ignore[arg-type]
    columns = tuple(Column("binary", name=column.name) for column in space.columns)
    return Space(space.shape, columns, made), (_note(made),)


def _note(made: Binarisation) -> str:
    rest = (
        f"a bit is one where the grey value exceeds {made.threshold:g} of the range"
        if made.threshold is not None
        else "a bit is one with the grey value's share of that range as its probability, drawn afresh for every "
        "training batch, once for validation and test rows"
    )
    return f"{made.describe()} from grey values {made.grey()}: {rest}; the hash is that of the grey rows"


def _range(space: Space, rows: ArrayLike) -> tuple[float, float, float | None]:
    """Lowest and highest grey value and their step."""
    kinds = {column.kind for column in space.columns}
    if kinds == {"binary"}:
        raise DataError(
            "rows of two values are bits already",
            f"got {space.describe()}",
            "leave binarise out; if they are grey and happen to hold two values, pass kinds='levels' or the space",
        )
    if kinds == {"real"}:
        _check_unit(rows)
        return 0.0, 1.0, None
    if not kinds <= {"levels", "binary"} or any(column.labels for column in space.columns):
        raise DataError(
            "only grey rows are binarised: levels, or real values from 0 to 1",
            f"got {space.describe()}",
            "leave binarise out, or drop the other columns",
        )
    low, high = min(c.low for c in space.columns), max(c.high for c in space.columns)
    steps = {column.step for column in space.columns}
    whole = all(c.low.is_integer() and c.step.is_integer() for c in space.columns)
    if len(space.columns) > 1 and whole:  # columns of a table of pixels have their own ends
        return min(low, 0.0), high, 1.0
    return low, high, steps.pop() if len(space.columns) == 1 else None


def _check_unit(rows: ArrayLike) -> None:
    low = min(float(chunk.min()) for _, chunk in chunks(rows))
    high = max(float(chunk.max()) for _, chunk in chunks(rows))
    if low < 0 or high > 1:
        raise DataError(
            "real rows are binarised when all values lie from 0 to 1",
            f"got values from {low:g} to {high:g}",
            "divide by the largest possible value first, or pass kinds='levels' if they lie on a grid",
        )


def are_bits(rows: ArrayLike) -> bool:
    """Whether all values are 0 or 1."""
    return all(bool(((chunk == 0) | (chunk == 1)).all()) for _, chunk in chunks(rows))


def check_grey(rows: ArrayLike, space: Space) -> None:
    """Verify rows (n, *shape) of finite numbers as the grey values that the bits of `space` are made of.

    Raises SpaceError naming the first row that does not fit.
    """
    made = space.binarisation
    assert made is not None
    for start, chunk in chunks(rows):
        share = shares(chunk, made)
        wrong = ~((share >= 0) & (share <= 1))
        if made.step is not None:
            index = share * ((made.high - made.low) / made.step)
            wrong |= abs(index - np.rint(index)) > 1e-3
        if wrong.any():
            row, *site = np.argwhere(wrong)[0].tolist()
            raise SpaceError(
                f"expected bits 0 and 1, or grey values {made.grey()}",
                f"row {start + row}, site {','.join(map(str, site))} holds {chunk[(row, *site)]:g}",
                "pass rows in the units of those that were fitted",
            )


def as_bits(rows: ArrayLike, space: Space, key: str) -> Bits:
    """Grey rows with the hash `key` as the bits of a binarised space."""
    assert space.binarisation is not None
    return Bits(rows, space.binarisation, key)


def split_bits(bits: Bits, parts: Sequence[NDArray[np.intp]], grey: Sequence[ArrayLike]) -> list[ArrayLike]:
    """Train, valid and test rows of bits.

    In memory they are arrays, but for training rows of which fresh bits can be drawn; on disk all stay there.
    """
    found: list[ArrayLike] = [bits.take(part, some) for part, some in zip(parts, grey, strict=True)]
    if not isinstance(bits.grey, np.ndarray):
        return found
    return [part if place == 0 and bits.fresh else part[:] for place, part in enumerate(found)]

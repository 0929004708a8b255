"""Which rows are held out, and what identifies the rows: a seeded split, a hash, duplicates."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.arguments import number, said
from jensen.data.arraylike import ArrayLike, chunks
from jensen.errors import DataError, UsageError

DEFAULT_SPLIT = (0.7, 0.1, 0.2)
# 32 MB of row hashes; beyond it duplicates are looked for among the first rows only
MOST_HASHED = 1 << 22
# positions of more rows take half the memory of an index
SMALL = 1 << 20


def split_sizes(n: int, split: Sequence[float] = DEFAULT_SPLIT) -> tuple[int, int, int]:
    """How many rows train, valid and test get: shares that sum to one, or counts; none is ever empty.

    Raises UsageError for a split that is neither, DataError when the rows do not suffice.

    >>> split_sizes(10), split_sizes(10, (5, 2, 3))
    ((7, 1, 2), (5, 2, 3))
    """
    parts = check_split(split)
    counts = all(part.is_integer() for part in parts)
    need = int(sum(parts)) if counts else 3
    if n < need:
        raise DataError(
            f"too few rows to split: train, valid and test need {need} in all", f"got {n}", "add rows"
        )
    if counts:
        return int(parts[0]), int(parts[1]), int(parts[2])
    test = min(max(1, round(n * parts[2])), n - 2)
    valid = min(max(1, round(n * parts[1])), n - test - 1)
    return n - valid - test, valid, test


def check_split(split: Any) -> tuple[float, ...]:
    """Three shares or three counts. Raises UsageError for anything else."""
    try:
        parts = tuple(number("a part", part, 0, 2**62, inside=True) for part in sizeable(split))
    except (UsageError, TypeError):
        parts = ()
    counts = all(part.is_integer() for part in parts)
    if len(parts) != 3 or not (counts or math.isclose(sum(parts), 1.0, abs_tol=1e-6)):
        raise UsageError(
            "a split is three shares that sum to one, or three counts, all above zero",
            f"got {said(split)}",
            "for example (0.7, 0.1, 0.2) or (1150, 150, 497)",
        )
    return parts


def sizeable(split: Any) -> Any:
    """A sequence of three, and not whatever else can be walked through."""
    return split if isinstance(split, (list, tuple, np.ndarray)) and len(split) == 3 else ()


def split_rows(n: int, split: Sequence[float], seed: int) -> tuple[NDArray[Any], ...]:
    """Positions of the train, valid and test rows, disjoint, each sorted, from a seeded permutation.

    >>> [part.tolist() for part in split_rows(5, (3, 1, 1), seed=0)]
    [[2, 3, 4], [0], [1]]
    """
    train, valid, test = split_sizes(n, split)
    order = np.arange(n, dtype=np.uint32 if SMALL < n < 2**32 else np.intp)
    np.random.default_rng(seed).shuffle(order)
    parts = np.split(order[: train + valid + test], [train, train + valid])
    for part in parts:
        part.sort()
    return tuple(parts)


class Fingerprint:
    """A hash of rows that arrive chunk by chunk, and of each of the first of them.

    Of shape and values as little-endian float64, so the same numbers have the same hash in any type, in
    memory or on disk.
    """

    def __init__(self, shape: Sequence[int], each: bool = False) -> None:
        self._all = hashlib.blake2b(repr(tuple(int(size) for size in shape)).encode(), digest_size=8)
        self._rows, self._hashed = np.empty(min(shape[0], MOST_HASHED) if each else 0, np.uint64), 0
        dims = math.prod(shape[1:])
        self._weights = np.random.default_rng(0).integers(0, 2**64, dims, dtype=np.uint64) | np.uint64(1)

    def add(self, chunk: NDArray[Any]) -> None:
        """Take the next rows (m, *row)."""
        values = np.ascontiguousarray(chunk.reshape(len(chunk), -1), dtype="<f8") + 0.0  # -0.0 becomes 0.0
        gaps = np.isnan(values)
        if gaps.any():
            values[gaps] = np.nan  # one nan of the many that there are
        self._all.update(values.data)
        room = self._rows[self._hashed : self._hashed + len(values)]
        room[:] = self._row_hashes(values[: len(room)])
        self._hashed += len(room)

    def _row_hashes(self, values: NDArray[np.float64]) -> NDArray[np.uint64]:
        """Multiply-sum hashing modulo 2^64; bits are mixed first, as small integers differ in high bits only."""
        bits = values.view(np.uint64)
        bits = (bits ^ (bits >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
        bits ^= bits >> np.uint64(29)
        return np.asarray(np.einsum("nd,d->n", bits, self._weights), dtype=np.uint64)

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits."""
        return self._all.hexdigest()

    @property
    def row_hashes(self) -> NDArray[np.uint64]:
        """One 64-bit hash a row, of the first rows at most."""
        return self._rows[: self._hashed]


def hash_rows(rows: ArrayLike) -> str:
    """A hash of all rows (n, *row): sixteen hexadecimal digits, the same for any type that holds the numbers.

    >>> hash_rows(np.arange(6.0).reshape(3, 2)) == hash_rows(np.arange(6, dtype=np.uint8).reshape(3, 2))
    True
    """
    return fingerprint(rows, each=False).hash


def fingerprint(rows: ArrayLike, each: bool = True) -> Fingerprint:
    """The fingerprint of all rows, read in order once."""
    found = Fingerprint(rows.shape, each)
    for _, chunk in chunks(rows):
        found.add(chunk)
    return found


def count_copies(hashes: NDArray[np.uint64], train: NDArray[np.intp], held_out: NDArray[np.intp]) -> int:
    """How many held-out rows equal a training row, among the rows that were hashed; positions are sorted."""
    known, asked = (hashes[part[: np.searchsorted(part, len(hashes))]] for part in (train, held_out))
    if len(known) == 0:
        return 0
    known.sort()  # in place: numpy's isin would take several times the memory
    found = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return int((known[found] == asked).sum())

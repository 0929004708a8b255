"""One pass over rows on disk in random order, a shard of neighbouring rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from jensen.errors import UsageError

BLOCKS_PER_SHARD = 16


def shards(n: int, size: int, seed: int, epoch: int, block: int | None = None) -> Iterator[NDArray[np.intp]]:
    """Cut n rows into shards of about `size` rows that together are one pass: sorted positions each.

    A shard is several contiguous blocks from anywhere in the data (16, or as many of `block` rows as fit), so
    that reading is sequential in pieces and shuffling inside a shard still mixes rows from far apart. Where
    the blocks begin changes with the epoch. The same seed and epoch give the same shards; every row occurs
    once. Raises UsageError for sizes below one.

    >>> [len(shard) for shard in shards(10, size=4, seed=0, epoch=0, block=2)]
    [4, 3, 3]
    """
    if n < 1 or size < 1 or (block is not None and block < 1):
        raise UsageError(
            "expected at least one row a shard", f"got n={n}, size={size}, block={block}", "correct that size"
        )
    if size >= n:
        return iter([np.arange(n)])
    width = min(size, block or max(1, size // BLOCKS_PER_SHARD))
    generator = np.random.default_rng([seed, epoch])
    starts = np.arange(-int(generator.integers(width)), n, width)
    order = generator.permutation(starts)
    per_shard = max(1, size // width)
    picks = (order[i : i + per_shard] for i in range(0, len(order), per_shard))
    return (_rows(np.sort(pick), width, n) for pick in picks)


def _rows(starts: NDArray[np.intp], width: int, n: int) -> NDArray[np.intp]:
    rows = (starts[:, None] + np.arange(width)).ravel()
    return rows[(rows >= 0) & (rows < n)].astype(np.intp)

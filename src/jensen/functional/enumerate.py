"""All rows of a small discrete space, in a fixed order: the oracle behind total masses and chi-squared tests."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from jensen.errors import UsageError


def row_count(levels: Sequence[int]) -> int:
    """The number of rows when site i takes `levels[i]` values.

    >>> row_count([2, 3, 2])
    12
    """
    if not levels or min(levels) < 1:
        raise UsageError(
            "only discrete sites have a finite number of rows",
            f"got levels {list(levels)}",
            "give every site at least one level",
        )
    return prod(levels)


def all_rows(levels: Sequence[int], shape: Sequence[int] | None = None) -> Tensor:
    """Every row once, `(rows, *shape)` int64; the last site runs fastest. Cost: rows times sites numbers.

    `shape` is the shape of a row, by default `(len(levels),)`.

    >>> all_rows([2, 3]).tolist()
    [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    """
    number = torch.arange(row_count(levels))
    flat = torch.stack([number // step % size for size, step in zip(levels, _steps(levels))], 1)
    return flat.reshape(len(number), *(shape or (len(levels),)))


def row_index(x: Tensor, levels: Sequence[int]) -> Tensor:
    """The place `(n,)` of rows x (n, *shape) in `all_rows(levels)`. Raises UsageError for values out of range.

    >>> row_index(torch.tensor([[1, 0], [0, 2]]), [2, 3]).tolist()
    [3, 2]
    """
    flat = x.flatten(1).long() if x.ndim > 1 else x.reshape(-1, 1).long()
    if flat.shape[1] != len(levels) or (flat < 0).any() or (flat >= torch.tensor(levels)).any():
        raise UsageError(
            "expected rows of the space",
            f"got shape {tuple(x.shape)}"
            + (f", values {flat.min().item()} to {flat.max().item()}" if flat.numel() else ""),
            f"use 0 .. levels - 1 of each site, levels {list(levels)}",
        )
    return (flat * torch.tensor(_steps(levels))).sum(1)


def _steps(levels: Sequence[int]) -> list[int]:
    return [prod(levels[site + 1 :]) for site in range(len(levels))]

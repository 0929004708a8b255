"""Nearest rows of mixed tables by Gower's distance, in chunks: the mean over columns of what two values differ by, 0 to 1.

A column of numbers counts |a - b| over a scale, at most 1; a column of codes 0 for the same and 1 for another. nan is a
gap: as near to another gap as a value to itself, and as far from any value as can be; or, where gaps are unseen, a column
that is left out of the mean (Gower 1971).
"""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.errors import UsageError

CHUNK = 256


def nearest_mixed(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    *,
    unseen: Tensor | None = None,
    but: Tensor | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """Distance (n,) of each row of x (n, d) to the nearest row of y (m, d), and which one that is.

    scale (d,): of numbers, 0 for a column of codes. unseen (d,): where a gap is a value that nobody saw. but (n,): for each
    row of x the one row of y that does not count, such as itself. O(chunk x m) memory, float32 but for what is subtracted
    before. Two rows without a column in common are 1 apart. Raises UsageError for other shapes.

    >>> x = torch.tensor([[0.0, 1.0], [0.5, float("nan")]])
    >>> distance, where = nearest_mixed(
    ...     x, torch.tensor([[0.0, 2.0], [1.0, float("nan")]]), torch.tensor([1.0, 0.0])
    ... )
    >>> distance.tolist(), where.tolist()
    ([0.5, 0.25], [0, 1])
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or len(scale) != x.shape[1] or not len(y):
        raise UsageError(
            "expected rows (n, d) and (m, d), and a scale a column",
            f"got {tuple(x.shape)}, {tuple(y.shape)}, {tuple(scale.shape)}",
            "give both sides the same columns",
        )
    skips = torch.zeros(len(scale), dtype=torch.bool) if unseen is None else unseen
    a, b = (_columns(side, x, scale) for side in (x, y))
    gaps = x.isnan(), y.isnan()
    found = []
    for start in range(0, len(x), chunk):
        part = slice(start, start + chunk)
        total = _distances(a[part], b, gaps[0][part], gaps[1], scale, skips)
        if but is not None:
            total[torch.arange(len(total)), but[part]] = torch.inf
        found.append(total.min(1))
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])


def _columns(side: Tensor, origin: Tensor, scale: Tensor) -> Tensor:
    """Numbers in units of their scale, codes as they are, gaps filled: float64 until what is far from zero is taken off."""
    base = torch.nan_to_num(origin.double()).amin(0)
    numbers = (side.double() - base) / torch.where(scale > 0, scale.double(), 1.0)
    return torch.where(scale > 0, numbers, side.double()).nan_to_num(0.0).float()


def _distances(a: Tensor, b: Tensor, gap_a: Tensor, gap_b: Tensor, scale: Tensor, unseen: Tensor) -> Tensor:
    """All distances (c, m) of two sets, column by column in one buffer."""
    total = torch.zeros(len(a), len(b))
    counted = torch.full_like(total, len(scale)) if bool(unseen.any()) else None
    for site in range(len(scale)):
        u, v = a[:, site, None], b[:, site]
        part = (u - v).abs_().clamp_(max=1) if scale[site] > 0 else (u != v).float()
        if bool(gap_a[:, site].any()) or bool(gap_b[:, site].any()):
            p, q = gap_a[:, site, None], gap_b[:, site]
            if unseen[site]:
                part.masked_fill_(p | q, 0.0)
                assert counted is not None
                counted -= (p | q).float()
            else:
                part.masked_fill_(p ^ q, 1.0).masked_fill_(p & q, 0.0)
        total += part
    if counted is None:
        return total / len(scale)
    return torch.where(counted > 0, total / counted.clamp(min=1), 1.0)

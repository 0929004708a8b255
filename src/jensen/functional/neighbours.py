"""Nearest neighbours in features, in chunks: radii, and who lies in whose ball. O(chunk x n) memory, on any device.

|x - y|^2 = |x|^2 - 2 x.y + |y|^2 on centred features, in float64: a matrix product, without the cancellation of features
far from the origin. Whole numbers stay whole, so that ties are ties.

References: Kynkaanniemi et al. 2019 (precision, recall); Naeem et al. 2020 (density, coverage).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.frechet import check_features

CHUNK = 1024


class Balls(NamedTuple):
    """Real and fake rows in each other's balls, whose radius is the distance of a row to its k-th neighbour on its side.

    in_real (m,): how many balls of real rows hold each fake one. found (n,): whether a fake row's ball holds each real
    one. covered (n,): whether a real row's own ball holds a fake one; alone (m,): how many of those hold each fake one and no
    other. radii (n,), (m,): of real and of fake rows.
    """

    in_real: Tensor
    found: Tensor
    covered: Tensor
    alone: Tensor
    real_radius: Tensor
    fake_radius: Tensor


def balls(real: Tensor, fake: Tensor, k: int = 5, chunk: int = CHUNK) -> Balls:
    """Who lies strictly inside whose ball: all that precision, recall, density and coverage need, in three passes.

    Raises UsageError where a side has no k-th neighbour, for other shapes and for nan.
    """
    check_k(k, *(len(side) if side.ndim else 0 for side in (real, fake)))
    x, y = _centred(real, fake)
    radius_x, radius_y = (_kth_square(side, k, chunk) for side in (x, y))
    in_real = torch.empty(len(y), dtype=torch.int64, device=x.device)
    found = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    holds = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    last = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    for at, square in _squares(y, x, chunk):
        end = at + len(square)
        inside = square < radius_x
        in_real[at:end] = inside.sum(1)
        found |= (square < radius_y[at:end, None]).any(0)
        here = inside.sum(0)
        last = torch.where(here > 0, at + inside.int().argmax(0), last)
        holds += here
    alone = torch.bincount(last[holds == 1], minlength=len(y))
    return Balls(in_real, found, holds > 0, alone, radius_x.sqrt(), radius_y.sqrt())


def nearest(x: Tensor, y: Tensor, chunk: int = CHUNK) -> tuple[Tensor, Tensor]:
    """Distance (n,) of each row of x to the nearest row of y, and which one that is.

    >>> distance, where = nearest(torch.tensor([[0.0], [5.0]]), torch.tensor([[4.0], [1.0]]))
    >>> distance.tolist(), where.tolist()
    ([1.0, 1.0], [1, 0])
    """
    x, y = _centred(x, y)
    found = [square.min(1) for _, square in _squares(x, y, chunk)]
    return torch.cat([one.values for one in found]).sqrt(), torch.cat([one.indices for one in found])


def kth_distance(x: Tensor, k: int, chunk: int = CHUNK) -> Tensor:
    """Distance (n,) of each row to its k-th nearest other row.

    >>> kth_distance(torch.tensor([[0.0], [1.0], [3.0]]), 2).tolist()
    [3.0, 2.0, 3.0]
    """
    check_k(k, len(x))
    return _kth_square(_centred(x, x)[0], k, chunk).sqrt()


def check_k(k: int, *sizes: int) -> None:
    """Raise UsageError where a set has no k-th neighbour."""
    if k < 1 or min(sizes) <= k:
        raise UsageError(
            f"a row needs {k} neighbours on its own side" if k >= 1 else "k counts neighbours from 1",
            f"got k={k} and {' and '.join(map(str, sizes))} rows",
            "pass more rows, or a smaller k",
        )


def _kth_square(x: Tensor, k: int, chunk: int) -> Tensor:
    """Squared distance (n,) to the k-th nearest other row; that to itself never counts.

    Each pair is computed once: a strip of rows against itself and all later ones serves both ends of its pairs.
    """
    best = torch.full((len(x), k), torch.inf, dtype=x.dtype, device=x.device)
    for at in range(0, len(x), chunk):
        strip = next(_squares(x[at : at + chunk], x[at:], chunk))[1]
        size = len(strip)
        strip.fill_diagonal_(torch.inf)
        for rows, squares in ((slice(at, at + size), strip), (slice(at + size, None), strip[:, size:].T)):
            near = squares if squares.shape[1] < k else squares.topk(k, dim=1, largest=False).values
            best[rows] = torch.cat([best[rows], near], dim=1).topk(k, dim=1, largest=False).values
    return best.amax(1)


def _squares(x: Tensor, y: Tensor, chunk: int) -> Iterator[tuple[int, Tensor]]:
    """Squared distances (c, m) of chunks of x to all of y, in one buffer that is used again."""
    norms_x, norms_y = x.square().sum(1), y.square().sum(1)
    buffer = torch.empty(min(chunk, len(x)), len(y), dtype=x.dtype, device=x.device)
    for at in range(0, len(x), chunk):
        part = x[at : at + chunk]
        square = torch.addmm(norms_y, part, y.T, alpha=-2, out=buffer[: len(part)])
        yield at, square.add_(norms_x[at : at + chunk, None]).clamp_(min=0)


def _centred(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x, y = check_features(x, y, least=1)
    centre = x.mean(0)
    if all(bool((side == side.round()).all()) for side in (x, y)):
        centre = centre.round()
    return x - centre, y - centre

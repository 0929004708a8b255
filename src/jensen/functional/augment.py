"""Differentiable augmentation: the same kinds of random change to data and to samples (Zhao et al. 2020).

G learns the law of the rows, not of the changed ones, since both sides are changed and the changes can be undone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.functional import share

SHIFT, CUT, LIGHT = 1 / 8, 1 / 2, 0.5
"""The largest shift and the side of the hole as shares of an image, and the width of the change of brightness."""


def augment(x: Tensor) -> Tensor:
    """Images (n, channels, height, width), each shifted, with a hole and another brightness; torch's generator."""
    return _cut(_shifted(x + LIGHT * (share.rand(len(x), 1, 1, 1, device=x.device) - 0.5)))


def _shifted(x: Tensor) -> Tensor:
    """Up to an eighth of the image in either direction, zeros from outside."""
    n, _, height, width = x.shape
    ways = [max(1, round(size * SHIFT)) for size in (height, width)]
    dy, dx = (share.randint(-way, way + 1, n, 1, device=x.device) for way in ways)
    rows, columns = (torch.arange(size, device=x.device) for size in (height, width))
    y, at = rows + dy, columns + dx
    inside = ((y >= 0) & (y < height))[:, :, None] & ((at >= 0) & (at < width))[:, None, :]
    every = torch.arange(n, device=x.device)[:, None, None]
    moved = x.movedim(1, -1)[every, y.clamp(0, height - 1)[:, :, None], at.clamp(0, width - 1)[:, None, :]]
    return (moved * inside[..., None]).movedim(-1, 1)


def _cut(x: Tensor) -> Tensor:
    """A square hole of half the side, anywhere, also partly outside."""
    n, _, height, width = x.shape
    kept = []
    for size in (height, width):
        centre = share.randint(0, size + 1, n, 1, device=x.device)
        kept.append((torch.arange(size, device=x.device) - centre).abs() * 2 < size * CUT)
    return x * ~(kept[0][:, None, :, None] & kept[1][:, None, None, :])

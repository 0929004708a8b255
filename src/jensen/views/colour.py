"""Brightness, contrast, saturation and hue as one linear map a row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional import share

GREY = (0.299, 0.587, 0.114)
"""The share of red, green and blue in brightness (ITU-R BT.601)."""

YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class Jitter:
    """Images (n, channels, height, width) about [0, 1], their colours changed by a random linear map a row.

    Factors are uniform in 1 -+ `brightness`, 1 -+ `contrast` (about the mean brightness of the row) and 1 -+
    `saturation` (about grey). `hue` turns the colours by up to that share of the circle, in YIQ, which a matrix can, and
    not in HSV. A row is changed with probability `chance`, and made `grey` with that one. Images without three channels
    have brightness and contrast alone. Values may leave [0, 1] by a little.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    chance: float = 0.8
    grey: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.brightness, self.contrast, self.saturation, self.hue, self.chance, self.grey)
        if not all(0 <= share <= 1 for share in shares):
            raise UsageError("strengths and chances of a jitter lie from 0 to 1", f"got {self}", "correct it")

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images of the same shape; floats."""
        u = share.rand(6, len(x), 1, 1, rows=1, generator=generator, device=x.device, dtype=x.dtype)
        on = (u[0] < self.chance).to(x.dtype)
        bright, contrast, saturation = (
            1 + on * strength * (2 * v - 1)
            for strength, v in zip((self.brightness, self.contrast, self.saturation), u[1:4])
        )
        flat = x.flatten(2)
        if x.size(1) != 3:
            mean = flat.mean((1, 2), keepdim=True)
            return ((flat * contrast + (1 - contrast) * mean) * bright).view_as(x)
        grey = x.new_tensor(GREY)
        turned = _hue(on * self.hue * (2 * u[4] - 1))
        if self.grey:
            saturation = torch.where(u[5] < self.grey, 0, saturation)
        colour = saturation * turned + (1 - saturation) * grey
        mean = (flat.mean(2) @ grey)[:, None, None]
        return torch.baddbmm((1 - contrast) * bright * mean, contrast * bright * colour, flat).view_as(x)


def _hue(turn: Tensor) -> Tensor:
    """Shares of a circle (n, 1, 1) -> matrices (n, 3, 3) on red, green and blue that turn I and Q and keep Y."""
    to = turn.new_tensor(YIQ)
    angle = turn * (2 * math.pi)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(turn)
    rows = ([zero + 1, zero, zero], [zero, cos, -sin], [zero, sin, cos])
    turning = torch.cat([torch.cat(row, 2) for row in rows], 1)
    return torch.linalg.inv(to) @ turning @ to

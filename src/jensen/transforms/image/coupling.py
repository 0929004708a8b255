"""Coupling: half the channels move by element-wise maps whose parameters a network reads off the other half."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.errors import SpaceError
from jensen.nn.elementwise import Elementwise
from jensen.nn.image_network import ImageNetwork
from jensen.transforms.image import ImageMap


class ImageCoupling(ImageMap):
    """z = (x_a, m(x_b; network(x_a, c))), both ways in one pass. `flip`: the first half moves, not the second.

    `width`: of the network's hidden layers. Starts as the identity. Source: Dinh, Sohl-Dickstein & Bengio 2017.
    """

    def __init__(
        self, channels: int, each: Elementwise, width: int, *, context: int = 0, flip: bool = False
    ) -> None:
        super().__init__()
        if channels < 2:
            raise SpaceError(
                "a coupling needs two channels: one half moves the other",
                f"got {channels}: one colour and no even side to squeeze",
                "pad or crop the images, or use spline-flow",
            )
        self.each, self.flip = each, flip
        self.halves = (channels // 2, channels - channels // 2)
        stays, moves = self.halves[::-1] if flip else self.halves
        self.network = ImageNetwork(stays, each.parameters * moves, width, context=context)

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._move(x, c, forward=True)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._move(z, c, forward=False)

    def _move(self, x: Tensor, c: Tensor | None, forward: bool) -> tuple[Tensor, Tensor]:
        first, second = x.split(self.halves, 1)
        stays, moves = (second, first) if self.flip else (first, second)
        found = self.network(stays, c).to(x.dtype).unflatten(1, (self.each.parameters, -1)).movedim(1, 0)
        moved, log_slope = (self.each.forward if forward else self.each.inverse)(moves, found)
        parts = (moved, stays) if self.flip else (stays, moved)
        return torch.cat(parts, 1), log_slope.sum((1, 2, 3))

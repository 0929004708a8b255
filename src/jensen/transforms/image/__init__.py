"""Invertible maps of images, one a file. Images keep their layout here: x (n, channels, height, width)."""

from __future__ import annotations

from torch import Tensor, nn


class ImageMap(nn.Module):
    """An invertible map between a data side x and a base side z, both images (n, channels, height, width).

    `encode` goes to the base, `decode` to the data, both in one pass; each returns log|det| of its own Jacobian, (n,),
    nats. Context c is an image of features (n, size, height, width), or (n, size, 1, 1) where it is the same everywhere.
    """

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x -> z and log|det dz/dx|."""
        raise NotImplementedError

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z -> x and log|det dx/dz|."""
        raise NotImplementedError

"""The planar map, both ways (Rezende & Mohamed 2015): one way closed, the other by one monotone root a row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.functional import planar
from jensen.transforms import Transform


class Planar(Transform):
    """y = x + v tanh(w.x + b), invertible at any parameter value. Starts near the identity.

    `towards`: the side that the formula leads to, and so the closed way: "base" scores rows in one pass and samples by
    a root, "data" the other way round. The root is found in float64 to rounding and carries gradients (implicit
    function theorem); `functional.planar.inverse` states its error.
    """

    def __init__(self, features: int, towards: str = "base") -> None:
        super().__init__()
        self.closed = frozenset({"encode" if towards == "base" else "decode"})
        self.w = nn.Parameter(torch.randn(features) / features**0.5)
        self.u = nn.Parameter(0.01 * torch.randn(features))
        self.b = nn.Parameter(torch.zeros(()))

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._forward(x) if "encode" in self.closed else self._inverse(x)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._forward(z) if "decode" in self.closed else self._inverse(z)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return planar.forward(x, self.w, self.u, self.b)

    def _inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det, _ = planar.inverse(y, self.w, self.u, self.b)
        return x, log_det

"""The Sylvester map (van den Berg et al. 2018), both ways: one way closed, the other by one monotone root a column of Q."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional import sylvester
from jensen.transforms import Transform


class Sylvester(Transform):
    """y = x + Q R tanh(S Q'x + b) with `rank` orthonormal columns Q and triangular R, S: planar maps, `rank` at once.

    Invertible at any parameter value where Q's raw columns are independent. `towards` as in the planar map; the other
    way solves the columns from the last to the first, each by a root as there.
    """

    def __init__(self, features: int, rank: int | None = None, towards: str = "base") -> None:
        super().__init__()
        rank = min(features, 8) if rank is None else rank
        if not 1 <= rank <= features:
            raise UsageError(
                "a Sylvester map has 1 to as many columns as features",
                f"got rank={rank} for {features}",
                "8 is usual",
            )
        self.closed = frozenset({"encode" if towards == "base" else "decode"})
        self.q = nn.Parameter(torch.randn(features, rank))
        self.r = nn.Parameter(0.01 * torch.randn(rank, rank))
        self.s = nn.Parameter(torch.randn(rank, rank) / rank**0.5)
        self.b = nn.Parameter(torch.zeros(rank))

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._forward(x) if "encode" in self.closed else self._inverse(x)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._forward(z) if "decode" in self.closed else self._inverse(z)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return sylvester.forward(x, sylvester.orthonormal(self.q), self.r, self.s, self.b)

    def _inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det, _ = sylvester.inverse(y, sylvester.orthonormal(self.q), self.r, self.s, self.b)
        return x, log_det

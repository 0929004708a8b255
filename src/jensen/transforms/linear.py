"""A learned linear mixing of all features, by its LU factors (Oliva et al. 2018; Kingma & Dhariwal 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.transforms import Transform


class LULinear(Transform):
    """z = L U x + b with L unit lower and U upper triangular, diagonal exp(s): log|det| = sum s. Starts as the identity.

    d^2 numbers; `encode` is two products, `decode` two triangular solves, exact at any parameter value.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.lower = nn.Parameter(torch.zeros(features, features))
        self.upper = nn.Parameter(torch.zeros(features, features))
        self.log_diagonal = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        return torch.addmm(self.bias[:, None], lower, upper @ x), self.log_diagonal.sum().expand(x.shape[1])

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        middle = torch.linalg.solve_triangular(lower, z - self.bias[:, None], upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, middle, upper=True)
        return x, -self.log_diagonal.sum().expand(z.shape[1])

    def _factors(self) -> tuple[Tensor, Tensor]:
        one = torch.eye(len(self.bias), dtype=self.bias.dtype, device=self.bias.device)
        return self.lower.tril(-1) + one, self.upper.triu(1) + self.log_diagonal.exp().diag()

"""A learned rotation by Householder reflections (Tomczak & Welling 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from jensen.errors import UsageError
from jensen.transforms import Transform


class Householder(Transform):
    """z = H_1 .. H_k x with H_i = 1 - 2 v_i v_i' / |v_i|^2: orthogonal, log|det| 0, its inverse the transpose.

    All k at once: H_1 .. H_k = 1 - V S^-1 V', V of unit columns and S = triu(V'V, 1) + 1/2 (Joffrain et al. 2006), so that
    each way is two products with (features, k) and a triangular solve of size k. Starts as a random rotation.
    """

    def __init__(self, features: int, reflections: int | None = None) -> None:
        super().__init__()
        count = min(features, 8) if reflections is None else reflections
        if not 1 <= count <= features:
            raise UsageError(
                "a rotation has 1 to as many reflections as features",
                f"got reflections={count} for {features}",
                "8 is usual",
            )
        self.v = nn.Parameter(torch.randn(features, count))

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, s = self._factors()
        return x - v @ torch.linalg.solve_triangular(s, v.T @ x, upper=True), x.new_zeros(x.shape[1])

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, s = self._factors()
        return z - v @ torch.linalg.solve_triangular(s.T, v.T @ z, upper=False), z.new_zeros(z.shape[1])

    def _factors(self) -> tuple[Tensor, Tensor]:
        v = normalize(self.v, dim=0)
        half = 0.5 * torch.eye(v.shape[1], dtype=v.dtype, device=v.device)
        return v, (v.T @ v).triu(1) + half

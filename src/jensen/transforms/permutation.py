"""A fixed permutation of the features: what one layer left alone, the next one moves."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.transforms import Transform


class Permutation(Transform):
    """z = x[order]; log|det| 0. `seed` None reverses the features, a number permutes them by that seed."""

    order: Tensor
    back: Tensor

    def __init__(self, features: int, seed: int | None = None) -> None:
        super().__init__()
        if seed is None:
            order = torch.arange(features).flip(0)
        else:
            order = torch.randperm(features, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[self.order], x.new_zeros(x.shape[1])

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z[self.back], z.new_zeros(z.shape[1])

"""The radial map (Rezende & Mohamed 2015), both ways in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.functional import radial
from jensen.transforms import Transform


class Radial(Transform):
    """z = x + beta (x - centre) / (alpha + |x - centre|), invertible at any parameter value. Starts as the identity."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.randn(features))
        self.alpha = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(()))

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return radial.forward(x, self.centre, *radial.constrain(self.alpha, self.beta))

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return radial.inverse(z, self.centre, *radial.constrain(self.alpha, self.beta))

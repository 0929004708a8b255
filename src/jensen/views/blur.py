"""A little blur."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from jensen.errors import UsageError
from jensen.functional import share


@dataclass(frozen=True)
class Blur:
    """Images (n, channels, height, width), each blurred with probability `chance` by taps (s, 1 - 2s, s) along both sides.

    s is uniform from 0 to `strength`, at most 1/3; edges are repeated.
    """

    strength: float = 0.25
    chance: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.strength <= 1 / 3 and 0 <= self.chance <= 1):
            raise UsageError("a blur has strength 0 to 1/3 and chance 0 to 1", f"got {self}", "correct it")

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images of the same shape; floats."""
        u = share.rand(2, len(x), 1, 1, 1, rows=1, generator=generator, device=x.device, dtype=x.dtype)
        s = torch.where(u[0] < self.chance, self.strength * u[1], 0)
        wide = pad(x, (1, 1, 0, 0), mode="replicate")
        x = x + s * (wide[..., :-2] + wide[..., 2:] - 2 * x)
        high = pad(x, (0, 0, 1, 1), mode="replicate")
        return x + s * (high[..., :-2, :] + high[..., 2:, :] - 2 * x)

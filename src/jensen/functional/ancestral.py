"""The randomness of ancestral sampling: one uniform number a site."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.functional import share


def uniforms(
    n: int, shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """One uniform number in [0, 1) a site, (n, *shape), drawn in float64 where the generator lives."""
    return share.rand(n, *shape, generator=generator, dtype=torch.float64, device=device)

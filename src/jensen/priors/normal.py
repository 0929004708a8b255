"""The standard normal law."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.functional.normal import normals, standard_log_prob
from jensen.priors import Path, Prior


class Normal(Prior):
    """N(0, 1) in every dimension."""

    standard = True

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.latents = latents

    def forward(
        self, z: Tensor, noise: Tensor, pseudo: Tensor | None = None, path: Path | None = None
    ) -> Tensor:
        return standard_log_prob(z)

    def sample(
        self, n: int, like: Tensor, generator: torch.Generator | None = None, pseudo: Tensor | None = None
    ) -> Tensor:
        return normals(n, self.latents, like=like, generator=generator)

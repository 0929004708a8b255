"""The mean posterior of learned pseudo-rows (Tomczak & Welling 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional import share
from jensen.functional.affine import bounded
from jensen.functional.normal import HALF_LOG_2PI, normals
from jensen.priors import Path, Prior


class Vamp(Prior):
    """p(z) = mean of q(z | u_j) over pseudo-rows u_j, which the model encodes: `pseudo` (components, 2 d), diagonal q."""

    def __init__(self, latents: int, components: int) -> None:
        super().__init__()
        if components < 1:
            raise UsageError("a vamp prior has 1 or more pseudo-rows", f"got {components}", "100 is usual")
        self.latents, self.components = latents, components

    def forward(
        self, z: Tensor, noise: Tensor, pseudo: Tensor | None = None, path: Path | None = None
    ) -> Tensor:
        """Squares are multiplied out, so that all pairs are two matrix products; in float64, for terms cancel."""
        mean, log_scale = self._split(pseudo)
        mean, log_scale, wide = mean.double(), log_scale.double(), z.double()
        precision = (-2 * log_scale).exp()
        # sum over dimensions of precision (z - mean)^2
        squares = (
            wide.square() @ precision.mT
            - 2 * wide @ (precision * mean).mT
            + (precision * mean.square()).sum(-1)
        )
        each = -0.5 * squares - log_scale.sum(-1) - self.latents * HALF_LOG_2PI
        return (each.logsumexp(-1) - math.log(self.components)).to(z.dtype)

    def sample(
        self, n: int, like: Tensor, generator: torch.Generator | None = None, pseudo: Tensor | None = None
    ) -> Tensor:
        mean, log_scale = self._split(pseudo)
        which = share.randint(0, self.components, n, generator=generator, device=like.device)
        noise = normals(n, self.latents, like=like, generator=generator)
        return mean[which] + log_scale[which].exp() * noise

    @staticmethod
    def _split(pseudo: Tensor | None) -> tuple[Tensor, Tensor]:
        assert pseudo is not None
        mean, raw = pseudo.chunk(2, -1)
        return mean, bounded(raw)

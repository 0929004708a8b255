"""A normal law bent by a few couplings: a learned prior with exact density and samples."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.functional.normal import normals, standard_log_prob
from jensen.nn.elementwise import affine_map
from jensen.priors import Path, Prior
from jensen.transforms import Transform
from jensen.transforms.composed import Composed
from jensen.transforms.coupling import Coupling
from jensen.transforms.linear import LULinear

COUPLINGS, HIDDEN = 4, 64


class FlowPrior(Prior):
    """log p(z) = log N(maps(z); 0, 1) + log|det|: couplings, each after a learned linear mixing. Starts as N(0, 1)."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.latents = latents
        maps: list[Transform] = []
        for i in range(COUPLINGS):
            maps += [LULinear(latents), Coupling(latents, affine_map(), (HIDDEN,), flip=i % 2 == 1)]
        self.maps = Composed(maps)

    def forward(
        self, z: Tensor, noise: Tensor, pseudo: Tensor | None = None, path: Path | None = None
    ) -> Tensor:
        base, log_det = self.maps.encode(z.flatten(0, 1).T.contiguous())
        return (standard_log_prob(base.T) + log_det).view(z.shape[:-1])

    def sample(
        self, n: int, like: Tensor, generator: torch.Generator | None = None, pseudo: Tensor | None = None
    ) -> Tensor:
        base = normals(n, self.latents, like=like, generator=generator)
        return self.maps.decode(base.T.contiguous())[0].T.contiguous()

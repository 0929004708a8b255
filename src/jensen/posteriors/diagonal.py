"""A normal law with independent dimensions (Kingma & Welling 2014)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.functional import normal
from jensen.functional.affine import bounded
from jensen.posteriors import Posterior


class Diagonal(Posterior):
    """N(mean, scale^2): parameters are the means, then the log scales, which are kept within +-6.9 if `bound`."""

    def __init__(self, latents: int, bound: bool = True) -> None:
        super().__init__()
        self.size, self.bound = 2 * latents, bound

    def draw(self, parameters: Tensor, noise: Tensor, width: float = 1.0) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.split(parameters)
        z = torch.addcmul(mean.unsqueeze(1), noise, (log_scale.exp() * width).unsqueeze(1))
        log_det = log_scale.sum(-1, keepdim=True) + noise.shape[-1] * math.log(width)
        return z, normal.standard_log_prob(noise) - log_det

    def noise_of(self, parameters: Tensor, z: Tensor, width: float = 1.0) -> Tensor:
        mean, log_scale = self.split(parameters)
        return (z - mean.unsqueeze(1)) * ((-log_scale).exp() / width).unsqueeze(1)

    def forward(self, parameters: Tensor, z: Tensor) -> Tensor:
        mean, log_scale = self.split(parameters)
        return normal.log_prob(z, mean.unsqueeze(1), log_scale.unsqueeze(1))

    def kl(self, parameters: Tensor) -> Tensor:
        return normal.kl_to_standard(*self.split(parameters))

    def draw_with_kl(self, parameters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        # what both are made of, once: a fortieth of a training step of a small network
        mean, log_scale = self.split(parameters)
        scale = log_scale.exp()
        z = torch.addcmul(mean.unsqueeze(1), noise, scale.unsqueeze(1))
        return z, normal.kl_to_standard(mean, log_scale, scale)

    def centre(self, parameters: Tensor) -> Tensor:
        return self.split(parameters)[0]

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log scales (n, d)."""
        mean, raw = parameters.chunk(2, -1)
        return mean, bounded(raw) if self.bound else raw

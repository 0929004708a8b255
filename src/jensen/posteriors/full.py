"""A normal law with any covariance, by its Cholesky factor."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.functional import normal
from jensen.functional.affine import bounded
from jensen.posteriors import Posterior


class Full(Posterior):
    """N(mean, L L^T): parameters are the mean, log diagonal of L (kept within +-6.9), and what lies below it, by rows."""

    diagonal: Tensor
    below: Tensor

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.latents, self.size = latents, 2 * latents + latents * (latents - 1) // 2
        rows, columns = torch.tril_indices(latents, latents, -1)
        # places in a flat (d, d)
        self.register_buffer("diagonal", torch.arange(latents) * (latents + 1), persistent=False)
        self.register_buffer("below", rows * latents + columns, persistent=False)

    def draw(self, parameters: Tensor, noise: Tensor, width: float = 1.0) -> tuple[Tensor, Tensor]:
        mean, log_diagonal, root = self.split(parameters)
        z = mean.unsqueeze(1) + width * noise @ root.mT
        log_det = log_diagonal.sum(-1, keepdim=True) + self.latents * math.log(width)
        return z, normal.standard_log_prob(noise) - log_det

    def noise_of(self, parameters: Tensor, z: Tensor, width: float = 1.0) -> Tensor:
        mean, _, root = self.split(parameters)
        return torch.linalg.solve_triangular(root, (z - mean.unsqueeze(1)).mT, upper=False).mT / width

    def forward(self, parameters: Tensor, z: Tensor) -> Tensor:
        log_det = self.split(parameters)[1].sum(-1, keepdim=True)
        return normal.standard_log_prob(self.noise_of(parameters, z)) - log_det

    def kl(self, parameters: Tensor) -> Tensor:
        mean, log_diagonal, root = self.split(parameters)
        squares = root.square().sum((-2, -1)) + mean.square().sum(-1) - self.latents
        return (0.5 * squares - log_diagonal.sum(-1)).unsqueeze(-1)

    def centre(self, parameters: Tensor) -> Tensor:
        return parameters[..., : self.latents]

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (n, d), log diagonal (n, d) and the root L (n, d, d)."""
        d = self.latents
        mean, raw, below = parameters.split((d, d, self.size - 2 * d), -1)
        log_diagonal = bounded(raw)
        flat = mean.new_zeros(len(mean), d * d).index_copy(1, self.diagonal, log_diagonal.exp())
        return mean, log_diagonal, flat.index_copy(1, self.below, below).view(-1, d, d)

"""A normal law bent by couplings that the encoder steers (Rezende & Mohamed 2015, with the maps of Dinh et al. 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.functional import normal
from jensen.functional.affine import bounded
from jensen.nn.elementwise import affine_map
from jensen.posteriors import Posterior
from jensen.transforms.composed import Composed
from jensen.transforms.coupling import Coupling

COUPLINGS, HIDDEN, FEATURES = 4, 64, 32


class FlowPosterior(Posterior):
    """z = couplings(mean + scale noise; h): parameters are means, log scales (within +-6.9) and 32 features h."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.latents, self.size = latents, 2 * latents + FEATURES
        maps = [
            Coupling(latents, affine_map(), (HIDDEN,), context=FEATURES, flip=i % 2 == 1)
            for i in range(COUPLINGS)
        ]
        self.maps = Composed(maps)

    def draw(self, parameters: Tensor, noise: Tensor, width: float = 1.0) -> tuple[Tensor, Tensor]:
        mean, log_scale, steer = self._split(parameters)
        start = torch.addcmul(mean.unsqueeze(1), noise, (log_scale.exp() * width).unsqueeze(1))
        z, moved = self.maps.decode(*self._columns(start, steer))
        log_det = log_scale.sum(-1, keepdim=True) + noise.shape[-1] * math.log(width)
        z = z.T.reshape(noise.shape)
        return z, normal.standard_log_prob(noise) - log_det - moved.view(z.shape[:-1])

    def noise_of(self, parameters: Tensor, z: Tensor, width: float = 1.0) -> Tensor:
        mean, log_scale, steer = self._split(parameters)
        start = self.maps.encode(*self._columns(z, steer))[0].T.reshape(z.shape)
        return (start - mean.unsqueeze(1)) * ((-log_scale).exp() / width).unsqueeze(1)

    def forward(self, parameters: Tensor, z: Tensor) -> Tensor:
        mean, log_scale, steer = self._split(parameters)
        start, moved = self.maps.encode(*self._columns(z, steer))
        found = normal.log_prob(start.T.reshape(z.shape), mean.unsqueeze(1), log_scale.unsqueeze(1))
        return found + moved.view(z.shape[:-1])

    def centre(self, parameters: Tensor) -> Tensor:
        noise = parameters.new_zeros(len(parameters), 1, self.latents)
        return self.draw(parameters, noise)[0].squeeze(1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d = self.latents
        mean, raw, steer = parameters.split((d, d, FEATURES), -1)
        return mean, bounded(raw), steer

    def _columns(self, z: Tensor, steer: Tensor) -> tuple[Tensor, Tensor]:
        """Draws (n, k, d) and features (n, h) as columns (d, n k) and (h, n k)."""
        steer = steer.unsqueeze(1).expand(-1, z.shape[1], -1)
        return z.flatten(0, 1).T.contiguous(), steer.flatten(0, 1).T.contiguous()

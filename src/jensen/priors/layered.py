"""A layer of latents above z: p(z) = integral of p(z | y) p(y) dy, weighed by one draw of q(y | z) (Burda et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from jensen.functional import normal
from jensen.functional.affine import bounded
from jensen.nn.dense import Dense
from jensen.priors import Path, Prior


class Layered(Prior):
    """log p(z | y) + log p(y) - log q(y | z), y drawn from q(y | z): exp of it has mean p(z), so bounds stay bounds."""

    def __init__(self, latents: int, above: int, top: Prior, hidden: Sequence[int]) -> None:
        super().__init__()
        self.above, self.top = above, top
        self.noise = above + top.noise
        self.up = Dense(latents, hidden, 2 * above, gain=0.1)
        self.down = Dense(above, hidden, 2 * latents, gain=0.1)

    def forward(
        self, z: Tensor, noise: Tensor, pseudo: Tensor | None = None, path: Path | None = None
    ) -> Tensor:
        own, rest = noise.split((self.above, self.top.noise), -1)
        mean, log_scale = _split(self.up(z if path is None else path.z))
        drawn = y = mean + log_scale.exp() * own
        onward = None
        if path is None:
            log_q = normal.standard_log_prob(own) - log_scale.sum(-1)
        else:
            # the weights of q(y | z) are constants here, z is not
            y, onward = path.tap(drawn), Path(drawn, path.tap)
            still = {name: weight.detach() for name, weight in self.up.named_parameters()}
            log_q = normal.log_prob(y, *_split(functional_call(self.up, still, (z,))))
        return normal.log_prob(z, *_split(self.down(y))) + self.top(y, rest, None, onward) - log_q

    def sample(
        self, n: int, like: Tensor, generator: torch.Generator | None = None, pseudo: Tensor | None = None
    ) -> Tensor:
        above = self.top.sample(n, like, generator)
        mean, log_scale = _split(self.down(above[:, : self.above]))
        z = mean + log_scale.exp() * normal.normals(*mean.shape, like=like, generator=generator)
        return torch.cat([z, above], 1)

    def noise_of(self, z: Tensor, above: Tensor) -> Tensor:
        y, rest = above.split((self.above, self.top.noise), -1)
        mean, log_scale = _split(self.up(z))
        return torch.cat([(y - mean) * (-log_scale).exp(), self.top.noise_of(y, rest)], -1)


def _split(parameters: Tensor) -> tuple[Tensor, Tensor]:
    mean, raw = parameters.chunk(2, -1)
    return mean, bounded(raw)

"""ActNorm: a scale and a shift of every feature that begin where the first batch is standardised (Kingma & Dhariwal 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.functional.affine import LIMIT, bounded
from jensen.functional.gather import of_whole_batch
from jensen.transforms import Transform


class ActNorm(Transform):
    """z = x exp(s) + b for every feature, s smoothly bounded. Parameters like any other once they have begun.

    The first pass in training that records gradients, either way, sets them so that what comes out has mean 0 and
    deviation 1 over the batch. `ready` says that this has happened; it is saved with the weights, so that a resumed run
    goes on, and nothing depends on the batch in eval mode. Until then, and where a batch has one row, the identity.
    """

    ready: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self._begins(x):
            mean, log_deviation = _moments(x)
            self._begin(-log_deviation, -mean * (-log_deviation).exp())
        log_scale = bounded(self.logit)
        z = torch.addcmul(self.bias[:, None], x, log_scale.exp()[:, None])
        return z, log_scale.sum().expand(x.shape[1])

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self._begins(z):
            mean, log_deviation = _moments(z)
            self._begin(log_deviation, mean)
        log_scale = bounded(self.logit)
        x = (z - self.bias[:, None]) * (-log_scale).exp()[:, None]
        return x, -log_scale.sum().expand(z.shape[1])

    def _begins(self, batch: Tensor) -> bool:
        # reading `ready` waits for the device, in training only: a flag beside it could disagree with the weights
        return (
            self.training and torch.is_grad_enabled() and batch.shape[1] > 1 and not bool(self.ready.item())
        )

    @torch.no_grad()
    def _begin(self, log_scale: Tensor, bias: Tensor) -> None:
        self.logit.copy_(log_scale / (1 - log_scale.abs() / LIMIT))  # the inverse of `bounded`
        self.bias.copy_(bias)
        self.ready.fill_(True)


@torch.no_grad()
def _moments(batch: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log deviation (d,) of the rows of (d, n), the latter of a factor below 500; 0 for a constant feature."""
    batch = of_whole_batch(batch.T.contiguous()).T  # of all processes
    deviation = batch.std(1, correction=0)
    log_deviation = torch.where(deviation > 1e-6, deviation, 1).log()
    return batch.mean(1), log_deviation.clamp(-0.9 * LIMIT, 0.9 * LIMIT)

"""Normal laws over vectors, given by a mean and the log of a scale: densities, divergence, draws."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.functional import share

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def standard_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, 1) of vectors z (..., d) -> (...), nats.

    >>> round(standard_log_prob(torch.zeros(2)).item(), 4)  # -log 2 pi
    -1.8379
    """
    return -0.5 * z.square().sum(-1) - z.shape[-1] * HALF_LOG_2PI


def log_prob(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(z; mean, exp(log_scale)^2) of vectors (..., d), all broadcasting -> (...), nats.

    >>> log_prob(torch.ones(3), torch.ones(3), torch.zeros(3)) == standard_log_prob(torch.zeros(3))
    tensor(True)
    """
    return standard_log_prob((z - mean) * (-log_scale).exp()) - log_scale.sum(-1)


def kl_to_standard(mean: Tensor, log_scale: Tensor, scale: Tensor | None = None) -> Tensor:
    """KL(N(mean, exp(log_scale)^2), N(0, 1)) of every dimension, nats, of the shape of its arguments.

    `scale`: exp(log_scale), where it is at hand.

    >>> kl_to_standard(torch.tensor([0.0, 2.0]), torch.zeros(2)).tolist()
    [0.0, 2.0]
    """
    variance = (2 * log_scale).exp() if scale is None else scale.square()
    return 0.5 * (mean.square() + variance - 1) - log_scale


def normals(*shape: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal numbers, the first axis over rows, of the type and on the device of `like`, drawn where the generator
    lives."""
    return share.randn(*shape, generator=generator, dtype=like.dtype, device=like.device)

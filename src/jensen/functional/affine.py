"""Scale and shift of every element, with a log scale that is bounded smoothly: the step of RealNVP, MAF and IAF."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.errors import UsageError

LIMIT = 6.9
"""The largest log scale: a factor of a thousand either way, beyond which float32 keeps nothing of a round trip."""


def bounded(logit: Tensor, limit: float = LIMIT) -> Tensor:
    """l / (1 + |l| / limit), in (-limit, limit): slope 1 at 0, and unlike a clamp it has a gradient beyond.

    >>> bounded(torch.tensor([0.0, 6.9, -1e9]))
    tensor([ 0.0000,  3.4500, -6.9000])
    """
    return logit / (1 + logit.abs() / limit)


def forward(x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """y = x exp(s) + shift and log dy/dx = s, for x (*shape) and parameters (2, *shape): logit of s, shift.

    The log-determinant of a row is the sum of s over its features. Exact; a round trip is good to 1e3 roundings.

    >>> y, log_slope = forward(torch.tensor([2.0]), torch.tensor([[0.0], [1.0]]))
    >>> y, log_slope
    (tensor([3.]), tensor([0.]))
    """
    logit, shift = _two(x, parameters)
    log_scale = bounded(logit)
    return torch.addcmul(shift, x, log_scale.exp()), log_scale


def inverse(y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """x = (y - shift) exp(-s) and log dx/dy = -s: undoes `forward`.

    >>> x, log_slope = inverse(torch.tensor([3.0]), torch.tensor([[0.0], [1.0]]))
    >>> x
    tensor([2.])
    """
    logit, shift = _two(y, parameters)
    log_slope = bounded(-logit)
    return (y - shift) * log_slope.exp(), log_slope


def _two(x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
    if parameters.shape != (2, *x.shape):
        raise UsageError(
            "expected parameters of shape (2, *shape) for x (*shape)",
            f"got {tuple(parameters.shape)} for x {tuple(x.shape)}",
            "parameters come first: movedim(-1, 0) if yours are last",
        )
    logit, shift = parameters.unbind(0)
    return logit, shift

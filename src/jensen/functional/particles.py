"""Weighted particles: how many they are worth, drawing them again by weight, and the mean of their weights.

Log weights are (..., k): k particles of any number of systems, in any unit of mass. A system whose weights are all
zero (-inf) is dead: it is worth 0 particles, its log mean is -inf, and it is drawn from as if the weights were equal.
Doucet & Johansen (2009), A tutorial on particle filtering and smoothing, sections 3.4 and 3.5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.functional.inversion import cut, invert


def effective_sample_size(log_weight: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2, (...), from 1 (one particle has all the weight) to k (all weigh the same); dead: 0.

    To first order the variance of a weighted mean is that of a mean over so many particles without weights (Kong
    1992). An estimate that sees no further than the particles: where all of them missed something, it is too large.

    >>> effective_sample_size(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]).log()).tolist()
    [2.0, 0.0]
    """
    weight = _weights(log_weight)
    found = weight.sum(-1).square() / weight.square().sum(-1)
    return torch.where(_dead(log_weight), 0.0, found)


def systematic(log_weight: Tensor, u: Tensor) -> Tensor:
    """Positions (..., k) of the particles that go on, from one uniform number u (...) in [0, 1) a system.

    The points (u + 0 .. k - 1) / k are put into the cumulative weights: a particle of share s goes on floor(k s) or
    ceil(k s) times, k s in expectation, which is all that an unbiased mean weight needs. Carpenter, Clifford &
    Fearnhead (1999).

    >>> systematic(torch.tensor([0.5, 0.5, 0.0, 0.0]).log(), torch.tensor(0.3)).tolist()
    [0, 0, 1, 1]
    """
    k = log_weight.shape[-1]
    points = (u.double().unsqueeze(-1) + torch.arange(k, device=u.device)) / k
    # (u + k - 1) / k may round up to one, which no particle owns
    points = points.clamp(max=math.nextafter(1, 0))
    return cut(_weights(log_weight).double(), points)


def pick(log_weight: Tensor, u: Tensor) -> Tensor:
    """The position (...) of one particle a system, drawn by weight from one uniform number u (...) in [0, 1).

    >>> pick(torch.tensor([[0.25, 0.75], [0.0, 1.0]]).log(), torch.tensor([0.2, 0.2])).tolist()
    [0, 1]
    """
    return invert(_weights(log_weight).double(), u.double())


def _weights(log_weight: Tensor) -> Tensor:
    """Weights with a largest of one; ones where all are zero."""
    top = log_weight.amax(-1, keepdim=True)
    return torch.where(top == -math.inf, 1.0, (log_weight - top).exp())


def _dead(log_weight: Tensor) -> Tensor:
    return log_weight.amax(-1) == -math.inf

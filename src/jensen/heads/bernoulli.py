"""One bit a site, from one logit."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from jensen.errors import SpaceError
from jensen.space import Space


class Bernoulli:
    """P(x = 1) = sigmoid(logit). Parameters (..., 1), rows (...) of 0 and 1.

    >>> import torch
    >>> head = Bernoulli(Space.binary(2))
    >>> head.log_prob(torch.zeros(1, 2, 1), torch.tensor([[0, 1]])).exp().tolist()
    [[0.5, 0.5]]
    """

    size = 1
    """Parameters a site."""

    def __init__(self, space: Space) -> None:
        if space.max_levels != 2 or 0 in space.levels_by_site():
            raise SpaceError(
                "a Bernoulli head needs two values a site",
                f"got {space.describe()}",
                "use head='categorical'",
            )

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log mass (...) of every site, nats."""
        logit = parameters[..., 0]
        return -F.binary_cross_entropy_with_logits(logit, x.to(logit.dtype), reduction="none")

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor) -> Tensor:
        """Sites (n, m) by inversion: one where the uniform number u (n, m) falls below P(x = 1)."""
        return (u < parameters[..., 0].sigmoid()).long()

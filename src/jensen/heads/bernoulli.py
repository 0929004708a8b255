"""One bit a site, from one logit."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from jensen.errors import SpaceError
from jensen.functional.inversion import check_temperature
from jensen.heads import fitting
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
                f"{fitting(space)}, or make bits of grey rows with binarise='dynamic' or binarise=0.5",
            )

    def log_prob(self, parameters: Tensor, x: Tensor, sites: Tensor | None = None) -> Tensor:
        """Log mass (...) of every site, nats; all sites are alike, so `sites` changes nothing."""
        if x.is_floating_point():
            raise SpaceError(
                "a Bernoulli head scores bits: a cross-entropy of grey values is no likelihood",
                f"got {x.dtype}",
                "make bits of grey rows with binarise='dynamic' or binarise=0.5, and pass them as int64",
            )
        logit = parameters[..., 0]
        # log sigmoid(logit) or log sigmoid(-logit), in one kernel that keeps the exponential for its gradient
        return F.logsigmoid(x.to(logit.dtype).mul_(2).sub_(1) * logit)

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float = 1.0) -> Tensor:
        """Sites (n, m) by inversion: one where the uniform number u (n, m) falls below P(x = 1).

        At `temperature` t the logit is divided by t, which is p^(1/t) normalised.
        """
        logit = parameters[..., 0]
        if temperature != 1:
            check_temperature(temperature)
            logit = logit.double() / temperature
        return (u < logit.sigmoid()).long()

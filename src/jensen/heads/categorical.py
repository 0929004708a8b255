"""Any number of levels a site, from one logit a level."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.errors import SpaceError
from jensen.functional.inversion import check_temperature, invert
from jensen.heads import fitting
from jensen.space import Space


class Categorical(nn.Module):
    """P(x = j) = softmax(logits)_j. Parameters (..., size), rows (...) of 0 .. levels - 1.

    Sites may have different numbers of levels: the logits beyond a site's own are taken as -inf.

    >>> head = Categorical(Space.levels(2, 4))
    >>> head.log_prob(torch.zeros(1, 2, 4), torch.tensor([[0, 3]])).exp().tolist()
    [[0.25, 0.25]]
    """

    missing: Tensor | None

    def __init__(self, space: Space) -> None:
        super().__init__()
        levels = space.levels_by_site()
        if min(levels) < 2:
            raise SpaceError(
                "a categorical head needs discrete sites", f"got {space.describe()}", fitting(space)
            )
        self.size = max(levels)
        """Parameters a site."""
        missing = None
        if min(levels) < self.size:
            index = torch.arange(self.size)
            missing = (index >= torch.tensor(levels).reshape(*space.shape, 1)).float() * -math.inf
            missing = missing.nan_to_num(nan=0.0, neginf=-math.inf)
        self.register_buffer("missing", missing, persistent=False)

    def log_prob(self, parameters: Tensor, x: Tensor, sites: Tensor | None = None) -> Tensor:
        """Log mass (...) of every site, nats; of flat `sites` (m,) where given, parameters (n, m, size) and x (n, m)."""
        logits = self._logits(parameters, sites)
        x = x.expand(logits.shape[:-1])
        flat = -F.cross_entropy(logits.reshape(-1, self.size), x.reshape(-1), reduction="none")
        return flat.reshape(x.shape)

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float = 1.0) -> Tensor:
        """Flat `sites` (m,) by inversion of the cumulative masses: parameters (n, m, size), u (n, m) -> (n, m).

        At `temperature` t the logits are divided by t, which is p^(1/t) normalised.
        """
        logits = self._logits(parameters, sites).double()
        if temperature != 1:
            check_temperature(temperature)
            # the largest becomes 0, so that no other can overflow at a low temperature
            logits = (logits - logits.amax(-1, keepdim=True)) / temperature
        return invert(logits.softmax(-1), u.double())

    def _logits(self, parameters: Tensor, sites: Tensor | None) -> Tensor:
        """-inf beyond each site's own levels."""
        if self.missing is None:
            return parameters
        return parameters + (self.missing if sites is None else self.missing.flatten(0, -2)[sites])

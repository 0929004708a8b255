"""Real sites from a mixture of normal laws."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jensen.errors import SpaceError
from jensen.functional.inversion import check_temperature, component
from jensen.heads import check_components, fitting
from jensen.space import Space

BOUND = 6.9
"""Log spreads stay within +-6.9 = +-log 1000 of their offset: a density cannot grow without limit at one value."""
VARIANCE = 1.5
"""Of the mixture at zero parameters: broader than the standardised rows it meets, by 0.04 nats of divergence."""
EDGE = 2.0**-54
"""Half the distance between numbers near one in float64."""


class GaussianMixture(nn.Module):
    """p(x) = sum_k w_k N(x; mean_k, spread_k^2). Parameters (..., 3 * components), rows (...) of real numbers.

    Parameters of a site: all logit weights, then all means, then all log spreads. The head adds its own offsets:
    zero parameters are a mixture with mean 0 and variance 1.5 whose components' means are spread out as normal
    quantiles, for standardised rows. A log density is exact up to the rounding of x - mean: at a spread s an error
    of about eps |z x| / s, z = (x - mean) / s. Raises SpaceError unless every site is real.

    >>> head = GaussianMixture(Space.real(2), components=1)
    >>> head.log_prob(torch.zeros(1, 2, 3), torch.zeros(1, 2)).exp()[0, 0].item()  # 1 / sqrt(2 pi 1.5)
    0.3257...
    """

    centre: Tensor

    def __init__(self, space: Space, components: int = 10) -> None:
        super().__init__()
        check_components(components)
        if space.kind != "real":
            raise SpaceError(
                "a gaussian head needs real sites, each of them", f"got {space.describe()}", fitting(space)
            )
        self.components = components
        self.size = 3 * components
        """Parameters a site."""
        centre = torch.special.ndtri((torch.arange(components, dtype=torch.float64) + 0.5) / components)
        self.spread = math.sqrt(VARIANCE - float(centre.square().mean()))
        self.register_buffer("centre", centre.float(), persistent=False)

    def log_prob(self, parameters: Tensor, x: Tensor, sites: Tensor | None = None) -> Tensor:
        """Log density (...) of every site, nats; all sites are alike, so `sites` changes nothing."""
        weight, mean, log_spread = self._split(parameters)
        log_spread = self._bounded(log_spread) + math.log(self.spread)
        z = (x.unsqueeze(-1) - (mean + self.centre)) * (-log_spread).exp()
        each = weight.log_softmax(-1) - 0.5 * z.square() - log_spread
        return each.logsumexp(-1) - 0.5 * math.log(2 * math.pi)

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float = 1.0) -> Tensor:
        """Flat `sites` (m,) by inversion: parameters (n, m, size), u (n, m) -> (n, m) of the parameters' type.

        u picks a component, its place inside the component's interval gives the normal quantile. At `temperature` t
        the logit weights are divided by t and the spreads multiplied by sqrt(t). That is p^(1/t) only for a mixture
        of one: in general p^(1/t) of a mixture is no mixture of normals.
        """
        weight, mean, log_spread = self._split(parameters.double())
        spread = self.spread
        if temperature != 1:
            check_temperature(temperature)
            weight = (weight - weight.amax(-1, keepdim=True)) / temperature
            spread *= math.sqrt(temperature)
        k, rest = component(weight, u.double())
        z = torch.special.ndtri(rest.clamp_(EDGE, 1 - 2 * EDGE))
        x = mean.gather(-1, k) + self.centre[k] + spread * self._bounded(log_spread.gather(-1, k)).exp() * z
        return x.squeeze(-1).to(parameters.dtype)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, mean, log_spread = parameters.unflatten(-1, (3, self.components)).unbind(-2)
        return weight, mean, log_spread

    def _bounded(self, log_spread: Tensor) -> Tensor:
        """Slope one at zero, never flat: a component that went too far can come back."""
        return log_spread / (1 + log_spread.abs() / BOUND)

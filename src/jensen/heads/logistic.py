"""Ordered levels from a mixture of logistic laws, each cut into one interval a level."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.errors import SpaceError
from jensen.functional.inversion import check_temperature, component, invert
from jensen.heads import check_components, fitting
from jensen.space import Space

BOUND = 6.9
"""Log scales stay within about +-6.9 = +-log 1000 of their offset, or a little more where the levels are many."""
TABLE = 2**20
"""Numbers in a table of masses: 8 MiB in float64, whatever is sampled at once."""


class LogisticMixture(nn.Module):
    """Discretised mixture of logistic laws. Parameters (..., 3 * components), rows (...) of 0 .. levels - 1.

    Level j of V stands at v = 2j/(V-1) - 1 and owns the interval v -+ d, d = 1/(V-1); the first and the last level
    also own what lies beyond. A component's mass of it is sigma(a) - sigma(b), a = (v + d - mean)/scale,
    b = (v - d - mean)/scale. Size does not grow with the levels, and near levels share what they learn.
    Salimans, Karpathy, Chen, Kingma (2017), PixelCNN++, section 2.1; without its special cases for small masses.

    Parameters of a site: all logit weights, then all means, then all log scales. The head adds its own offsets (means
    spread evenly over [-1, 1], a scale of a quarter of their distance): zero parameters are the uniform law within
    5 % of its log V, for 2, 4, 17 or 256 levels. Sites may have different numbers of levels. In float32 the masses of
    one component sum to one within 2e-7 at any mean and scale, those of ten within 5e-7: their log weights are
    rounded too. Raises SpaceError for real or categorical sites.

    >>> head = LogisticMixture(Space.levels(2, 4), components=3)
    >>> masses = head.log_prob(torch.zeros(4, 2, 9), torch.arange(4)[:, None].expand(4, 2)).exp()
    >>> [round(mass, 2) for mass in masses[:, 0].tolist()]
    [0.17, 0.33, 0.33, 0.17]
    """

    centre: Tensor
    top: Tensor

    def __init__(self, space: Space, components: int = 10) -> None:
        super().__init__()
        check_components(components)
        if not {column.kind for column in space.columns} <= {"levels", "binary"}:
            raise SpaceError(
                "a logistic head needs ordered levels at every site",
                f"got {space.describe()}",
                fitting(space),
            )
        levels = space.levels_by_site()
        self.components = components
        self.size = 3 * components
        """Parameters a site."""
        self.scale = 0.5 / components
        # the sharpest component puts all but e^-20 of its mass into one level
        self.bound = max(BOUND, math.log(10 * self.scale * (max(levels) - 1)))
        # as shares of the way from the first level to the last
        self.register_buffer("centre", (torch.arange(components) + 0.5) / components, persistent=False)
        top = torch.tensor(levels, dtype=torch.float32) - 1
        top = top[0] if min(levels) == max(levels) else top.reshape(space.shape)
        self.register_buffer("top", top, persistent=False)

    def log_prob(self, parameters: Tensor, x: Tensor, sites: Tensor | None = None) -> Tensor:
        """Log mass (...) of every site, nats; of flat `sites` (m,) where given, parameters (n, m, size) and x (n, m)."""
        return self._log_mass(parameters, x, self._top(sites))

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float = 1.0) -> Tensor:
        """Flat `sites` (m,) by inversion: parameters (n, m, size), u (n, m) -> (n, m).

        u picks a component, its place inside the component's interval gives the logistic quantile, and the nearest
        level owns that. At `temperature` t other than 1: by inversion of p^(1/t) over all levels, which costs a table
        of levels * components numbers a site, made a part at a time.
        """
        if temperature != 1:
            check_temperature(temperature)
            return self._sample_tempered(parameters, u, sites, temperature)
        weight, mean, log_scale = self._split(parameters.double())
        k, rest = component(weight, u.double())
        spread = (0.5 * self.scale) * self._bounded(log_scale.gather(-1, k)).exp()
        share = 0.5 * mean.gather(-1, k) + self.centre[k] + spread * rest.logit()
        top = self._top(sites)
        # clip as floats: at a rest of 0 or 1 the quantile is infinite
        return (share.squeeze(-1) * top).round_().clamp_(min=0).minimum(top).long()

    def _log_mass(self, parameters: Tensor, x: Tensor, top: Tensor) -> Tensor:
        """Levels x (...) against parameters (..., size) and last levels `top`, all broadcasting.

        1. sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b - a)), all factors positive: nothing cancels, and no
           small mass needs a branch. The last level has a = inf, the first b = -inf: their factors are left out.
        2. In units of levels v -+ d is j -+ 1/2, so a = ((j + 1/2) - m) w and b = ((j - 1/2) - m) w, where
           w = a - b = 2d / scale. j -+ 1/2 is exact in floats, so that the upper end of a level is the lower end of
           the next bit for bit. Adding d to v would leave gaps there, which a small scale magnifies.
        """
        weight, mean, log_scale = self._split(parameters)
        level = x.unsqueeze(-1).to(self.top.dtype)
        top = top.unsqueeze(-1)
        mean = (0.5 * mean + self.centre) * top
        width = (-self._bounded(log_scale)).exp() * (2 / (self.scale * top))
        first, last = level == 0, level == top
        log_mass = (
            F.logsigmoid(((level + 0.5) - mean) * width).masked_fill(last, 0)
            + F.logsigmoid((mean - (level - 0.5)) * width).masked_fill(first, 0)
            + (-torch.expm1(-width)).log().masked_fill(first | last, 0)
        )
        return (weight.log_softmax(-1) + log_mass).logsumexp(-1)

    def _sample_tempered(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float) -> Tensor:
        """From p^(1/t) over all levels, in float64; as many rows and sites at once as a table of bounded size holds."""
        level = torch.arange(int(self.top.max()) + 1, device=u.device)
        at_once = max(1, TABLE // (len(level) * self.components))
        tops = self._top(sites).expand(u.shape).reshape(-1, 1)
        flat = parameters.double().reshape(-1, 1, self.size)
        found = []
        for part, top, number in zip(
            flat.split(at_once), tops.split(at_once), u.double().reshape(-1).split(at_once)
        ):
            log_mass = self._log_mass(part, level.minimum(top), top)
            # the largest becomes 0, so that no other can overflow at a low temperature
            log_mass = log_mass.masked_fill(level > top, -math.inf)
            log_mass = (log_mass - log_mass.amax(-1, keepdim=True)) / temperature
            found.append(invert(log_mass.softmax(-1), number))
        return torch.cat(found).reshape(u.shape)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, mean, log_scale = parameters.unflatten(-1, (3, self.components)).unbind(-2)
        return weight, mean, log_scale

    def _bounded(self, log_scale: Tensor) -> Tensor:
        """Slope one at zero, never flat: a component that went too far can come back."""
        return log_scale / (1 + log_scale.abs() / self.bound)

    def _top(self, sites: Tensor | None) -> Tensor:
        """The last level of the sites: a scalar where all have the same number of levels."""
        return self.top if sites is None or self.top.ndim == 0 else self.top.flatten()[sites]

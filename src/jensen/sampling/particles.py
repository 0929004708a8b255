"""Particles walking the sites: missing ones are drawn, observed ones are given and weigh the particle."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from jensen.functional.importance import log_mean_exp
from jensen.functional.particles import effective_sample_size, pick, systematic
from jensen.sampling.walk import Walk


class SiteLaw(Protocol):
    """What a walk needs of a head: it draws sites, and says how probable values of them are."""

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float = 1.0) -> Tensor: ...

    def log_prob(self, parameters: Tensor, x: Tensor, sites: Tensor | None = None) -> Tensor: ...


class Chosen(NamedTuple):
    """One row of each of g systems: `x` (g, d), `ess` (g,), `log_observed` (g,) in nats. See ParticleWalk.choose."""

    x: Tensor
    ess: Tensor
    log_observed: Tensor


class ParticleWalk(Walk):
    """g systems of k particles each, one batch of g * k rows, that draw p(missing | observed) of each system.

    A sequential Monte Carlo sampler whose proposal is the model itself (Doucet & Johansen 2009, section 4):
    1. a missing site is drawn from p(x_i | earlier sites); an observed one takes its given value, and multiplies the
       particle's weight by p(x_i | earlier sites). So drawn rows times weights stand for p(missing, observed).
    2. A system whose effective sample size falls below `least` * k draws its particles anew by weight (`survivors`), all of
       the mean weight then: the mean weight stays an unbiased estimate of p(observed), whatever the number of sites.
    3. At the end one particle is drawn by weight. Its law tends to p(missing | observed) as k grows; where all observed
       sites come before the missing ones every weight in a system is the same, and it is exact for any k.

    given (g, d): values of the observed sites; anything of the space at missing ones. missing (g, d) bool. u (g * k, d):
    one uniform number a particle and site. v (g, d + 1): one a system and site, for drawing anew after that site, and
    one for the choice at the end. Each is used once at most: the result follows from u and v.
    """

    least: float = 0.5
    """A system draws anew below this share of its particles."""

    def __init__(self, law: SiteLaw, given: Tensor, missing: Tensor, u: Tensor, v: Tensor) -> None:
        super().__init__(law.sample, u, given.dtype)
        self._log_prob, self._v = law.log_prob, v
        self.systems, self.particles = len(given), len(u) // len(given)
        self._given, self._missing = self._each(given), self._each(missing)
        self.log_weight = u.new_zeros(self.systems, self.particles)
        # 1 / ess, with what every drawing anew has lost; see `choose`
        self._loss = u.new_full((self.systems,), 1 / self.particles)

    def draw(self, parameters: Tensor, sites: Tensor) -> Tensor:
        """Values (n, m) of flat sites (m,) from their parameters (n, m, size)."""
        missing, values = self._missing[:, sites], self._given[:, sites]
        if missing.any():
            values = torch.where(missing, super().draw(parameters, sites).to(values.dtype), values)
        self.x[:, sites] = values
        self.survivors = None
        if not missing.all():
            log_p = self._log_prob(parameters, values, sites).double().masked_fill(missing, 0)
            self.log_weight += log_p.sum(1).view_as(self.log_weight)
            self._draw_anew(self._v[:, sites[-1]])
        return values

    def choose(self) -> Chosen:
        """One particle a system, when all sites are drawn.

        `ess`: 1/ess = 1/k + sum over every drawing by weight, the last included, of (1/ESS - 1/k). To first order this
        is how many particles of plain importance sampling would estimate p(observed) as well; the divergence of the
        particle's law from p(missing | observed) is about 1/ess - 1/k nats at most: it is at most log(1 + variance of the
        estimate of p(observed) / p(observed)^2), by Jensen's inequality (Andrieu, Doucet & Holenstein 2010, section 4,
        have the law). It sees no further than the particles: a small one proves trouble, a large one proves nothing.
        `log_observed`: log of the mean weight, a lower bound in expectation on log p(observed).
        """
        loss = self._loss + self._lost(effective_sample_size(self.log_weight))
        place = pick(self.log_weight, self._v[:, -1])
        first = torch.arange(self.systems, device=place.device) * self.particles
        return Chosen(self.x[first + place], 1 / loss, log_mean_exp(self.log_weight))

    def _draw_anew(self, v: Tensor) -> None:
        """Set the survivors, where a system needs it."""
        ess = effective_sample_size(self.log_weight)
        low = ess < self.least * self.particles
        if self.particles == 1 or not low.any():
            return
        places = torch.arange(self.systems * self.particles, device=v.device).view_as(self.log_weight)
        chosen = places.gather(1, systematic(self.log_weight, v))
        self.survivors = torch.where(low[:, None], chosen, places).flatten()
        mean = log_mean_exp(self.log_weight)
        self.log_weight = torch.where(low[:, None], mean[:, None], self.log_weight)
        self._loss = torch.where(low, self._loss + self._lost(ess), self._loss)

    def _lost(self, ess: Tensor) -> Tensor:
        # rounding may bring ess above k
        return (1 / ess - 1 / self.particles).clamp(min=0)

    def _each(self, values: Tensor) -> Tensor:
        """(g, d) as (g * k, d)."""
        return values.repeat_interleave(self.particles, 0)

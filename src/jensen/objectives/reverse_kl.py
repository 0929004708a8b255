"""Reverse Kullback-Leibler divergence to a density that can be evaluated, and its alpha-divergence relatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.gather import of_whole_batch, processes
from jensen.functional.importance import effective_share
from jensen.functional.intervals import mean_interval
from jensen.functional.share import own_rows
from jensen.model import Can, Model
from jensen.objective import Turn
from jensen.quantity import Kind, Quantity

LogDensity = Callable[[Tensor], Tensor]

BROAD = 2.0
"""Scale of the normal law that annealing starts from, in the model's numbers: wider than the base."""

COOL = 0.05
"""Share of the target in the first tempered density."""

GRADIENTS = ("auto", "path", "total")
WATCHED = 2048
"""Samples that a check of the training draws."""


@dataclass(frozen=True)
class ReverseKL:
    """Fit q to a density p known up to Z, from samples of q alone.

    `alpha`: which divergence, D_alpha = (E_q (p/q)^alpha - 1) / (alpha (alpha - 1)): 0 is reverse KL, KL(q || p), which
    may leave out modes; 1/2 is squared Hellinger; 1 is forward KL, 2 chi-squared, which cover all mass that samples of q
    reach, with noisier gradients. `anneal`: share of the budget over which the target goes from a broad normal law to
    itself, along p^t r^(1-t). `gradient`: "path" (sticking the landing: no noise left where q = p), "total" (reverse KL
    alone), "auto" (path where the model scores in one pass, or alpha is not 0).

    References: Rezende and Mohamed 2015; Roeder, Wu, Duvenaud 2017, sticking the landing; Tucker et al. 2019, doubly
    reparameterised gradients; Vaitl et al. 2022, path gradients.
    """

    needs: ClassVar[Can] = Can.SAMPLE_WITH_LOG_PROB | Can.LOG_PROB

    alpha: float = 0.0
    anneal: float = 0.5
    gradient: str = "auto"
    target: LogDensity | None = field(default=None, metadata={"text": False})

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and 0 <= self.alpha <= 2):
            raise UsageError(
                "alpha runs from 0 to 2", f"got {self.alpha}", "0 is reverse KL, 1 forward, 2 chi-squared"
            )
        if not 0 <= self.anneal <= 1:
            raise UsageError("anneal is a share of the budget, 0 to 1", f"got {self.anneal}", "0.5 is usual")
        if self.gradient not in GRADIENTS or (self.gradient == "total" and self.alpha != 0):
            raise UsageError(
                f"gradient is {', '.join(GRADIENTS)}, total for alpha=0 alone",
                f"got gradient={self.gradient!r} with alpha={self.alpha}",
                "leave it out",
            )

    def towards(self, target: LogDensity) -> ReverseKL:
        """The same objective with its target, log p~ (n,) of points (n, d) in the model's numbers."""
        return replace(self, target=target)

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [_Descent(model, self._target(), self.alpha, self.anneal, self._by_path(model))]

    def monitor(self, model: Model, x: Tensor, c: Tensor | None, seed: int) -> Quantity:
        """The mean log weight, a lower bound on log Z, for reverse KL; the effective share of samples for alpha > 0."""
        with torch.no_grad():
            source = torch.Generator().manual_seed(seed)
            z, log_q = model.sample_with_log_prob(WATCHED, generator=source)
            log_w = self._target()(z) - log_q.double()
        if self.alpha > 0:
            return Quantity(effective_share(log_w), Kind.ESTIMATE, "", how={"n": WATCHED, "seed": seed})
        mean = float(log_w.mean())
        interval = mean_interval(log_w.cpu().numpy(), 0.95) if math.isfinite(mean) else None
        return Quantity(mean, Kind.LOWER, "nats", interval=interval, how={"n": WATCHED, "seed": seed})

    def _target(self) -> LogDensity:
        if self.target is None:
            raise UsageError(
                "reverse KL is fitted to a density, not to rows",
                "got rows",
                "pass target=log_density and dim=, without rows",
            )
        return self.target

    def _by_path(self, model: Model) -> bool:
        if self.gradient != "auto":
            return self.gradient == "path"
        return self.alpha != 0 or "score" in getattr(model, "cheap", ("score",))


class _Descent(Turn):
    """Minus the gradient of log w = log p~(x) - log q(x) along x, weighted by w^alpha.

    With x = F(u; theta), J = log E_q w^alpha / (alpha (alpha - 1)) and the identity E_q[g d log q / d theta] = E_q[g' dF / d
    theta] for any g, the two ways in which theta enters E_q w^alpha join into one:

        dJ / d theta = -sum_i v_i (d log w / dx)(x_i) dF(u_i) / d theta,    v = softmax(alpha log w),

    where q itself is held. alpha -> 0 is sticking the landing, alpha -> 1 forward KL. The term is zero, not only its
    mean, once q = p.
    """

    name = "reverse_kl"
    steady = False  # a tempered target has another log Z

    def __init__(self, model: Model, target: LogDensity, alpha: float, anneal: float, path: bool) -> None:
        super().__init__()
        self.model, self.target, self.alpha, self.anneal, self.path = model, target, alpha, anneal, path

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of len(x) fresh samples: the divergence less what Z adds, nats for alpha 0 and 1."""
        z, log_q = self.model.sample_with_log_prob(len(x))
        if not self.path:
            every = of_whole_batch(self._tempered(z) - log_q.double())
            return -every[every > -math.inf].mean()
        at = z.detach().requires_grad_()
        log_w = self._tempered(at) - self.model.log_prob(at).double()
        felt = log_w > -math.inf  # where there is no density there is no slope either
        (slope,) = torch.autograd.grad(log_w[felt].sum(), at)
        log_w = log_w.detach()
        every = of_whole_batch(log_w)  # of all processes, whose gradients are averaged
        some = every > -math.inf
        weight = torch.zeros_like(every).masked_scatter(some, (self.alpha * every[some]).softmax(0))
        weight = processes() * own_rows(weight)[felt]
        along = -(weight[:, None] * slope[felt].flatten(1) * z[felt].flatten(1)).sum()
        return self._value(every[some]) + (along - along.detach())

    def _value(self, log_w: Tensor) -> Tensor:
        if self.alpha == 0:
            return -log_w.mean()
        if self.alpha == 1:
            return (log_w.softmax(0) * log_w).sum()
        mean = (self.alpha * log_w).logsumexp(0) - math.log(len(log_w))
        return mean / (self.alpha * (self.alpha - 1))

    def _tempered(self, z: Tensor) -> Tensor:
        t = 1.0 if self.anneal == 0 else min(1.0, COOL + (1 - COOL) * self.progress / self.anneal)
        if t == 1.0:
            return self.target(z)
        broad = -0.5 * (z.double().flatten(1) / BROAD).square().sum(1)
        return t * self.target(z) + (1 - t) * broad

"""Two small conditional models: independent discrete sites, and a linear Gaussian."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jensen.functional.ancestral import uniforms
from jensen.heads.categorical import invert
from jensen.model import Model
from jensen.nn.context import ContextInput
from jensen.space import Space


class Sites(Model):
    """Every site has a logit a level that is linear in the context."""

    accepts = frozenset({"binary", "levels", "categorical"})
    takes_context = True

    def __init__(self, space: Space, context: Space | None = None, gain: float = 1.0) -> None:
        super().__init__(space, context)
        self.size = space.max_levels or 2
        self.gain = gain
        self.bias = nn.Parameter(torch.zeros(space.dims * self.size))
        self.input = None if context is None else ContextInput(context)
        self.net = None if self.input is None else nn.Linear(self.input.size, space.dims * self.size)
        self.register_buffer("order", torch.arange(space.dims), persistent=False)

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        out = self.bias.expand(len(x), -1)
        if self.input is not None and self.net is not None:
            out = out + self.gain * self.net(self.input(c, len(x)))
        return out.reshape(*x.shape, self.size)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        sites = self.conditionals(x, c).log_softmax(-1)
        return sites.gather(-1, x.unsqueeze(-1)).squeeze(-1).flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        u = uniforms(n, self.space.shape, generator, self.bias.device)
        x = torch.zeros(n, *self.space.shape, dtype=torch.long)
        return invert(self.conditionals(x, c).double().softmax(-1), u)


class Line(Model):
    """x ~ N(A c + b, exp(s)): maximum likelihood is least squares."""

    accepts = frozenset({"real"})
    takes_context = True

    def __init__(self, space: Space, context: Space | None = None) -> None:
        super().__init__(space, context)
        self.input = None if context is None else ContextInput(context)
        self.net = nn.Linear(1 if self.input is None else self.input.size, space.dims)
        self.log_scale = nn.Parameter(torch.zeros(space.dims))

    def _mean(self, c: Tensor | None, n: int) -> Tensor:
        return self.net(torch.zeros(n, 1) if self.input is None else self.input(c, n))

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        z = (x - self._mean(c, len(x))) * (-self.log_scale).exp()
        return (-0.5 * z.square() - self.log_scale - 0.5 * math.log(2 * math.pi)).sum(1)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(n, self.space.dims, generator=generator)
        return self._mean(c, n) + self.log_scale.exp() * noise


class Counted(Model):
    """Discrete sites, solved by counting in each class of a single categorical column."""

    accepts = frozenset({"binary", "levels", "categorical"})
    takes_context = True
    mass: Tensor

    def __init__(self, space: Space, context: Space | None = None) -> None:
        super().__init__(space, context)
        classes = 1 if context is None else context.max_levels or 1
        self.register_buffer("mass", torch.ones(classes, space.dims, space.max_levels or 2))

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        code = torch.zeros(len(x)) if c is None else c[:, 0]
        log_mass = (self.mass / self.mass.sum(-1, keepdim=True)).log()[code.long()]
        return log_mass.gather(-1, x.unsqueeze(-1)).squeeze(-1).sum(1)

    @torch.no_grad()
    def solve(self, x: Tensor, c: Tensor | None = None, seed: int = 0) -> None:
        code = torch.zeros(len(x)) if c is None else c[:, 0]
        for one in range(len(self.mass)):
            hot = nn.functional.one_hot(x[code == one], self.mass.size(-1))
            self.mass[one] = 1e-3 + hot.sum(0)

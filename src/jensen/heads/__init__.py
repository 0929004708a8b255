"""Likelihood heads: what turns a network's outputs into a distribution of one site.

A head has `size` (parameters a site), `log_prob(parameters, x)` and `sample(parameters, u, sites)`, where u is one uniform
number a site: the same numbers give the same rows, whichever sampler walks the sites.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from torch import Tensor

from jensen.errors import UsageError, nearest
from jensen.space import Space

HEADS = {
    "bernoulli": "jensen.heads.bernoulli:Bernoulli",
    "categorical": "jensen.heads.categorical:Categorical",
}


class Head(Protocol):
    """The distribution of a site given its parameters."""

    size: int

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log mass or density (...) of every site, nats; parameters (..., size), x (...)."""
        ...

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor) -> Tensor:
        """Flat `sites` (m,) by inversion: parameters (n, m, size) and uniform numbers u (n, m) -> (n, m)."""
        ...


def head_for(space: Space, name: str | None = None) -> Head:
    """The head called `name`, or the one that suits the space: Bernoulli for bits, categorical for levels."""
    if name is None:
        name = "bernoulli" if space.max_levels == 2 else "categorical"
    if name not in HEADS:
        raise UsageError("unknown head", f"got {name!r}", nearest(name, HEADS))
    module, _, leaf = HEADS[name].partition(":")
    return cast(Head, getattr(import_module(module), leaf)(space))

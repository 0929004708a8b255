"""Likelihood heads: what turns a network's outputs into a distribution of one site.

A head has `size` (parameters a site), `log_prob(parameters, x)` and `sample(parameters, u, sites)`, where u is one uniform
number a site: the same numbers give the same rows, whichever sampler walks the sites.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from torch import Tensor

from jensen.errors import UsageError, nearest
from jensen.space import Column, Space

HEADS = {
    "bernoulli": "jensen.heads.bernoulli:Bernoulli",
    "categorical": "jensen.heads.categorical:Categorical",
    "logistic": "jensen.heads.logistic:LogisticMixture",
    "gaussian": "jensen.heads.gaussian:GaussianMixture",
    "columns": "jensen.heads.columns:ColumnHeads",
}
MANY = 24
"""Ordered levels beyond this many, beside other columns, share what they learn by a mixture of logistics."""
MIXTURES = frozenset({"logistic", "gaussian", "columns"})
"""The heads that take a number of components."""


class Head(Protocol):
    """The distribution of a site given its parameters, on the sites of one space."""

    size: int
    """Parameters a site."""

    def log_prob(self, parameters: Tensor, x: Tensor, sites: Tensor | None = None) -> Tensor:
        """Log mass or density (...) of every site, nats, exact; parameters (..., size), x (...) or broadcasting to it.

        Without `sites`, rows x (n, *space.shape). With flat `sites` (m,): those alone, parameters (n, m, size) and
        x (n, m).
        """
        ...

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float = 1.0) -> Tensor:
        """Values (n, m) of flat `sites` (m,), each by inversion of one uniform number: parameters (n, m, size), u (n, m).

        u lies in [0, 1), best in float64. A discrete head at `temperature` t > 0 draws from masses in proportion to
        p^(1/t), each site given the earlier ones; t = 1 is p itself. Raises UsageError for t outside (0, inf).
        """
        ...


def head_for(space: Space, name: str | None = None, components: int = 10) -> Head:
    """The head called `name`, or the one that suits the space.

    By default Bernoulli for two values a site, categorical for other discrete sites, a mixture of normals for
    real ones, and a head for each column where they differ in that or have gaps. `components`: of a mixture; other heads have none. Raises UsageError for an unknown name or fewer than
    one component, SpaceError where the head does not fit the space.

    >>> [type(head_for(space)).__name__ for space in (Space.binary(2), Space.levels(2, 5), Space.real(2))]
    ['Bernoulli', 'Categorical', 'GaussianMixture']
    """
    check_components(components)
    if name is None:
        discrete = "bernoulli" if space.max_levels == 2 else "categorical"
        name = "gaussian" if space.kind == "real" else discrete
        if space.kind == "mixed" or any(_apart(column, space) for column in space.columns):
            name = "columns"
    if name not in HEADS:
        raise UsageError("unknown head", f"got {name!r}", nearest(name, HEADS))
    module, _, leaf = HEADS[name].partition(":")
    build = getattr(import_module(module), leaf)
    return cast(Head, build(space, components) if name in MIXTURES else build(space))


def _apart(column: Column, space: Space) -> bool:
    """Whether a column needs a head of its own: one with gaps, and many ordered levels beside categories."""
    many = column.kind == "levels" and (column.levels or 0) > MANY
    return bool(column.gaps) or (many and space.kind == "categorical")


def check_components(components: int) -> None:
    """Raise UsageError unless a mixture can have so many components."""
    if not isinstance(components, int) or components < 1:
        raise UsageError("a mixture needs 1 or more components", f"got {components!r}", "10 is usual")


def fitting(space: Space) -> str:
    """The heads that fit a space: the last part of an error of one that does not.

    >>> fitting(Space.real(3))
    "use head='gaussian'"
    """
    if space.kind == "mixed":
        return "use head='columns'"
    return "use head='gaussian'" if space.kind == "real" else "use head='categorical'"

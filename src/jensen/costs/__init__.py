"""The costs of an adversarial game, one a file: what D and what G minimise, given D's logits on data and on samples.

A cost's file has `discriminator(real, fake) -> loss` and `generator(real, fake) -> loss`, of logits (n,); `PAIRED`, whether
the generator's cost reads the logits of data; `PENALTY`, the weight of a gradient penalty without which the cost means
nothing; and `OPTIMUM`, what the best D's logit then is, for only a log ratio makes a density of D.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from torch import Tensor

from jensen.errors import UsageError, nearest

COSTS: dict[str, str] = {
    "saturating": "jensen.costs.saturating",
    "nonsaturating": "jensen.costs.nonsaturating",
    "relativistic": "jensen.costs.relativistic",
    "hinge": "jensen.costs.hinge",
    "least-squares": "jensen.costs.least_squares",
    "wgan-gp": "jensen.costs.wgan_gp",
}


class Cost(Protocol):
    """The module of a cost."""

    PAIRED: bool
    PENALTY: float
    OPTIMUM: str

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What D minimises, ()."""
        ...

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What G minimises, ()."""
        ...


def cost_named(name: str) -> Cost:
    """The cost of that name. Raises UsageError with the nearest ones.

    >>> cost_named("hinge").PAIRED
    False
    """
    if name not in COSTS:
        raise UsageError("unknown cost", f"got {name!r}", nearest(str(name), COSTS))
    return cast(Cost, import_module(COSTS[name]))

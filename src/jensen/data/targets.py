"""Targets of known truth: laws given by an unnormalised log density, with log Z, exact samples and moments.

They are what reverse KL is fitted to and what estimates are tested against: a number that should be log Z can be
compared with log Z. The laws themselves live in the `target_*` files and load torch when one is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from jensen.errors import SpaceError, UsageError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TARGETS: dict[str, str] = {
    "funnel": "jensen.data.target_gaussian:funnel",
    "banana": "jensen.data.target_gaussian:banana",
    "mixture": "jensen.data.target_gaussian:mixture",
    "double-well": "jensen.data.target_wells:double_well",
    "many-well": "jensen.data.target_wells:many_well",
    "rings": "jensen.data.target_rings:rings",
    "two-moons": "jensen.data.target_rings:two_moons",
    "u1": "jensen.data.target_rings:u1",
    "u2": "jensen.data.target_waves:u2",
    "u3": "jensen.data.target_waves:u3",
    "u4": "jensen.data.target_waves:u4",
    "linear-regression": "jensen.data.target_regression:linear_regression",
    "logistic-regression": "jensen.data.target_regression:logistic_regression",
}
"""The catalogue: the name of every target and where its factory lives."""


@dataclass(frozen=True)
class Target:
    """A law p = exp(log_density - log_z) on R^dim whose truth is known.

    `log_density`: tensors (n, dim) -> (n,), nats, unnormalised, differentiable, of the dtype it is given.
    `log_z`: the log of its integral; `log_z_from` says how that is known and `log_z_error` bounds what is not.
    `sample`: (n, generator) -> (n, dim) in float64, exact and independent; None where there is no exact sampler.
    `mean`, `variance`: of each coordinate, or None where unknown.
    `support`: where the density is positive; outside, log_density is -inf with gradient 0. Empty: everywhere. `ends`: the
    same as (low, high) of every coordinate, where it is a box.
    """

    name: str
    description: str
    dim: int
    log_density: Callable[[Tensor], Tensor]
    log_z: float
    log_z_from: str
    log_z_error: float = 0.0
    sample: Callable[[int, torch.Generator], Tensor] | None = None
    mean: tuple[float, ...] | None = None
    variance: tuple[float, ...] | None = None
    support: str = ""
    ends: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """The unnormalised log density (n,) of rows x (n, dim). Raises SpaceError for another shape."""
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise SpaceError(
                f"expected rows of shape (n, {self.dim})",
                f"got {tuple(x.shape)}",
                f"{self.name} has {self.dim} coordinates; many targets take dim=",
            )
        return self.log_density(x)

    def log_prob(self, x: Tensor) -> Tensor:
        """The normalised log density (n,) of rows x (n, dim), in nats: what log_density says, less log Z."""
        return self(x) - self.log_z


def target(name: str, **hyper: Any) -> Target:
    """The target of a name in TARGETS; `hyper` goes to its factory (`dim`, `modes`, `scale`, ...).

    Raises UsageError for an unknown name, with the nearest ones, and for sizes that make no law.

    >>> import torch
    >>> well = target("double-well")
    >>> well(torch.zeros(1, 2)).item(), round(well.log_z, 12)
    (0.0, 10.293479707074)
    """
    if name not in TARGETS:
        raise UsageError("unknown target", f"got {name!r}", nearest(name, TARGETS))
    module, _, factory = TARGETS[name].partition(":")
    return cast(Target, getattr(import_module(module), factory)(**hyper))


def describe_targets() -> list[tuple[str, str]]:
    """Names of the targets, each with a line on what it is, at its default size.

    >>> describe_targets()[3]
    ('double-well', 'x in two wells of masses 0.156 and 0.844, y normal')
    """
    return [(name, target(name).description) for name in TARGETS]

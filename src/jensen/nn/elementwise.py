"""Monotone maps of single numbers, whose parameters a network gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from jensen.errors import UsageError
from jensen.functional import affine, spline

Map = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Elementwise:
    """`forward` and `inverse` map x (*shape) with parameters (parameters, *shape) to y and log slope (*shape).

    Parameters of zero are the identity.
    """

    parameters: int
    forward: Map
    inverse: Map


def affine_map() -> Elementwise:
    """Scale and shift: two parameters."""
    return Elementwise(2, affine.forward, affine.inverse)


def spline_map(bins: int = 8, bound: float = 5.0) -> Elementwise:
    """A rational-quadratic spline on [-bound, bound], the identity outside: 3 bins - 1 parameters."""
    if bins < 2 or not 0 < bound < float("inf"):
        raise UsageError(
            "a spline has 2 or more bins and a bound above 0",
            f"got bins={bins}, bound={bound}",
            "8 and 5 are usual",
        )
    return Elementwise(
        3 * bins - 1, partial(spline.forward, bound=bound), partial(spline.inverse, bound=bound)
    )

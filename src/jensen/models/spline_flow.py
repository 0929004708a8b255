"""Neural spline flow: couplings or autoregressive maps of rational-quadratic splines (Durkan et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.flow import Flow
from jensen.mixing import layers
from jensen.model import Note
from jensen.nn.elementwise import spline_map
from jensen.space import Space
from jensen.transforms import Transform
from jensen.transforms.autoregressive import AutoregressiveMap
from jensen.transforms.coupling import Coupling
from jensen.transforms.inverse import Inverse

MANY = 0.01
"""The share of values beyond the bound from which a fit is to be doubted: their tails have the base's shape."""


class SplineFlow(Flow):
    """Rational-quadratic splines for real rows, exact density; what lies beyond the bound moves by the identity.

    `transforms`: spline maps; `coupling`: both ways in one pass; otherwise autoregressive, and `towards` says which way is
    one pass: "base" scores (for rows), "data" samples (for a density); the other takes one column after the other. One
    column alone is autoregressive. `hidden`: units of each network's layers. `bins`: of a spline; `bound`: of its box, in
    standard deviations. `mix`: what comes before each map, a learned linear map ("lu") or rotation ("householder") of all
    columns, or these reversed ("reverse"); `actnorm`: a scale and shift before it, set by the first batch.
    """

    def __init__(
        self,
        space: Space,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        *,
        coupling: bool = True,
        towards: str = "base",
        bins: int = 8,
        bound: float = 5.0,
        mix: str = "lu",
        actnorm: bool = False,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        if towards not in ("base", "data"):
            raise UsageError("unknown side", f"got towards={towards!r}", "use base or data")
        d, size, each = space.dims, self.context_size, spline_map(bins, bound)
        if coupling and d > 1 and towards == "data":
            raise UsageError(
                "couplings go both ways in one pass", "got towards='data'", "leave it out, or coupling=False"
            )
        self.bound = bound

        def move(i: int) -> Transform:
            if coupling and d > 1:
                # reversed columns take turns by themselves
                flip = mix != "reverse" and i % 2 == 1
                return Coupling(d, each, hidden, context=size, flip=flip)
            one = AutoregressiveMap(d, each, hidden, context=size)
            return one if towards == "base" else Inverse(one)

        self.flow_through(layers(d, transforms, move, mix=mix, actnorm=actnorm, usual=5))

    @torch.no_grad()
    def tails(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The share (transforms,) of the values that each spline would move but that lie beyond its bound, for rows x."""
        given, z, shares = self._given(c, len(x)), self._columns(x), []
        for one in self._maps():
            moving = one.moving(z)
            if len(moving):
                shares.append(moving.abs().gt(self.bound).double().mean())
            z, _ = one.encode(z, given)
        return torch.stack(shares)

    def notes(self, x: Tensor, c: Tensor | None = None) -> list[Note]:
        shares = self.tails(x, c)
        first, worst = float(shares[0]), float(shares.max())
        text = (
            f"{100 * first:.2g} % of the values lie beyond the bound of the first spline, {100 * worst:.2g} % beyond "
            f"the worst one's: there the map is the identity"
        )
        if worst <= MANY:
            return [Note("tails", text)]
        return [Note("tails", f"{text}. Raise bound, or look for outliers in the rows", doubtful=True)]

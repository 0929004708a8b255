"""Neural spline flow: couplings or autoregressive maps of rational-quadratic splines (Durkan et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

from jensen.flow import Flow, check_count
from jensen.nn.elementwise import spline_map
from jensen.space import Space
from jensen.transforms import Transform
from jensen.transforms.autoregressive import AutoregressiveMap
from jensen.transforms.coupling import Coupling
from jensen.transforms.linear import LULinear


class SplineFlow(Flow):
    """Rational-quadratic splines for real rows, exact density; what lies beyond the bound moves by the identity.

    `transforms`: spline maps, each after a learned linear mixing of all columns; `coupling`: both ways in one pass;
    otherwise autoregressive, sampled one column after the other. One column alone is autoregressive. `hidden`: units of
    each network's layers. `bins`: of a spline; `bound`: of its box, in standard deviations.
    """

    def __init__(
        self,
        space: Space,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        *,
        coupling: bool = True,
        bins: int = 8,
        bound: float = 5.0,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        check_count(transforms, usual=5)
        d, size, each = space.dims, self.context_size, spline_map(bins, bound)
        maps: list[Transform] = []
        for i in range(transforms):
            maps.append(LULinear(d))
            if coupling and d > 1:
                maps.append(Coupling(d, each, hidden, context=size, flip=i % 2 == 1))
            else:
                maps.append(AutoregressiveMap(d, each, hidden, context=size))
        self.flow_through(maps)

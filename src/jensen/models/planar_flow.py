"""Planar, radial and Sylvester flows (Rezende & Mohamed 2015; van den Berg et al. 2018), fitted and sampled."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from jensen.errors import UsageError
from jensen.flow import Flow, check_count, check_memory
from jensen.space import Space
from jensen.transforms import Transform
from jensen.transforms.linear import LULinear
from jensen.transforms.planar import Planar
from jensen.transforms.radial import Radial
from jensen.transforms.sylvester import Sylvester

KINDS = ("planar", "radial", "sylvester")


class PlanarFlow(Flow):
    """Many small bends of the plane for real rows: exact density; samples too, by one root a bend.

    `kind`: "planar", "radial" or "sylvester"; `transforms`: how many, after one learned linear map. `towards`: which way
    is closed, "base" (scores in one pass: for rows) or "data" (samples in one pass, with gradients: for a density). The
    other way is numerical, to rounding of float64; a radial map is closed both ways.
    """

    takes_context: ClassVar[bool] = False

    def __init__(
        self, space: Space, transforms: int = 16, *, kind: str = "planar", towards: str = "base"
    ) -> None:
        super().__init__(space)
        check_count(transforms, usual=16)
        if towards not in ("base", "data"):
            raise UsageError("unknown side", f"got towards={towards!r}", "use base or data")
        d = space.dims
        build: dict[str, Callable[[], Transform]] = {
            "planar": lambda: Planar(d, towards),
            "radial": lambda: Radial(d),
            "sylvester": lambda: Sylvester(d, towards=towards),
        }
        if kind not in build:
            raise UsageError("unknown kind of map", f"got kind={kind!r}", f"use {', '.join(KINDS)}")
        first = build[kind]()
        check_memory([first], transforms)
        self.flow_through([LULinear(d), first, *(build[kind]() for _ in range(transforms - 1))])

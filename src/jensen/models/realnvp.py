"""RealNVP: affine couplings (Dinh, Sohl-Dickstein & Bengio 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from jensen.flow import Flow, check_count
from jensen.nn.elementwise import affine_map
from jensen.space import Space
from jensen.transforms.coupling import Coupling
from jensen.transforms.linear import LULinear


class RealNVP(Flow):
    """Affine couplings for real rows: exact density and samples, both in one pass.

    `transforms`: couplings, each after a learned linear mixing of all columns; `hidden`: units of each network's layers.
    """

    def __init__(
        self,
        space: Space,
        transforms: int = 6,
        hidden: Sequence[int] = (128, 128),
        *,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        check_count(transforms, usual=6)
        d, size = space.dims, self.context_size
        maps = [
            (LULinear(d), Coupling(d, affine_map(), hidden, context=size, flip=i % 2 == 1))
            for i in range(transforms)
        ]
        self.flow_through([one for pair in maps for one in pair])

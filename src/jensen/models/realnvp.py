"""RealNVP: affine couplings (Dinh, Sohl-Dickstein & Bengio 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from jensen.flow import Flow
from jensen.mixing import layers
from jensen.nn.elementwise import affine_map
from jensen.space import Space
from jensen.transforms.coupling import Coupling


class RealNVP(Flow):
    """Affine couplings for real rows: exact density and samples, both in one pass.

    `transforms`: couplings; `hidden`: units of each network's layers. `mix`: what comes before each coupling, a learned
    linear map ("lu") or rotation ("householder") of all columns, or these reversed ("reverse"); `actnorm`: a scale and
    shift before it, set by the first batch.
    """

    def __init__(
        self,
        space: Space,
        transforms: int = 6,
        hidden: Sequence[int] = (128, 128),
        *,
        mix: str = "lu",
        actnorm: bool = False,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        d, size = space.dims, self.context_size

        def move(i: int) -> Coupling:
            # reversed columns take turns by themselves
            flip = mix != "reverse" and i % 2 == 1
            return Coupling(d, affine_map(), hidden, context=size, flip=flip)

        self.flow_through(layers(d, transforms, move, mix=mix, actnorm=actnorm, usual=6))

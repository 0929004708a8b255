"""MAF: masked autoregressive flow (Papamakarios, Pavlakou & Murray 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from jensen.flow import Flow, normal_law
from jensen.mixing import layers
from jensen.model import Note
from jensen.nn.elementwise import affine_map
from jensen.space import Space
from jensen.transforms.autoregressive import AutoregressiveMap


class MAF(Flow):
    """Affine autoregressive maps for real rows: exact density in one pass; samples one column after the other.

    `transforms`: maps; `hidden`: units of each network's layers. `mix`: what comes before each map, the columns reversed
    ("reverse"), a learned linear map ("lu") or rotation ("householder"); `actnorm`: a scale and shift before it, set by
    the first batch. In one dimension every map is affine, and the flow a normal law.
    """

    def __init__(
        self,
        space: Space,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        *,
        mix: str = "reverse",
        actnorm: bool = False,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        d, size = space.dims, self.context_size

        def move(i: int) -> AutoregressiveMap:
            return AutoregressiveMap(d, affine_map(), hidden, context=size)

        self.flow_through(layers(d, transforms, move, mix=mix, actnorm=actnorm, usual=5))

    def notes(self, x: Tensor, c: Tensor | None = None) -> list[Note]:
        return normal_law(self)

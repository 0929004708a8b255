"""MAF: masked autoregressive flow (Papamakarios, Pavlakou & Murray 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from jensen.flow import Flow, check_count
from jensen.nn.elementwise import affine_map
from jensen.space import Space
from jensen.transforms import Transform
from jensen.transforms.autoregressive import AutoregressiveMap
from jensen.transforms.permutation import Permutation


class MAF(Flow):
    """Affine autoregressive maps for real rows: exact density in one pass; samples one column after the other.

    `transforms`: maps, the columns reversed between them; `hidden`: units of each network's layers. In one dimension
    every map is affine, and the flow a normal law.
    """

    def __init__(
        self,
        space: Space,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        *,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        check_count(transforms, usual=5)
        d = space.dims
        maps: list[Transform] = []
        for _ in range(transforms):
            maps += [AutoregressiveMap(d, affine_map(), hidden, context=self.context_size), Permutation(d)]
        self.flow_through(maps)

"""IAF: inverse autoregressive flow (Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling 2016)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from jensen.flow import Flow, normal_law
from jensen.mixing import layers
from jensen.model import Note
from jensen.nn.elementwise import affine_map
from jensen.space import Space
from jensen.transforms.autoregressive import AutoregressiveMap
from jensen.transforms.inverse import Inverse


class IAF(Flow):
    """MAF turned round, for a density rather than rows: samples in one pass; exact density one column after the other.

    Arguments as of maf. It fits rows as well, in many small steps a pass: prefer maf for them.
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

        def move(i: int) -> Inverse:
            return Inverse(AutoregressiveMap(d, affine_map(), hidden, context=size))

        self.flow_through(layers(d, transforms, move, mix=mix, actnorm=actnorm, usual=5))

    def notes(self, x: Tensor, c: Tensor | None = None) -> list[Note]:
        return normal_law(self)

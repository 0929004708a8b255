"""A causal Transformer over the sites of a row: image pixels or table columns (Vaswani et al. 2017; Chen et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from jensen.autoregressive import Autoregressive, Sampler
from jensen.errors import UsageError
from jensen.nn.attention import CausalBlock
from jensen.nn.bysite import BySite
from jensen.sampling.keys import CachedSampler
from jensen.space import Space


class Transformer(Autoregressive):
    """Causal Transformer, exact log-likelihood in one pass; every site sees all earlier ones.

    At place i of the `order` (as in MADE) the value drawn before enters and the distribution of site order[i] comes
    out; what place it is, is learned. An image's pixels share the maps in and out, a table's columns have their own.
    `width`: of the residual stream, a multiple of `heads`; `layers`: blocks. `dropout`: in training only. `inputs`:
    "onehot" (default up to 32 levels) or "scaled". `head`, `components` as in MADE. Cost: d^2 of attention a block.
    """

    accepts: ClassVar[frozenset[str]] = Autoregressive.accepts | {"mixed"}

    def __init__(
        self,
        space: Space,
        width: int = 64,
        layers: int = 4,
        heads: int = 4,
        *,
        order: str | Sequence[int] | None = None,
        dropout: float = 0.1,
        inputs: str | None = None,
        head: str | None = None,
        components: int = 10,
        context: Space | None = None,
    ) -> None:
        if inputs is None and space.measure == "mass":
            inputs = "onehot" if (space.max_levels or 0) <= 32 else "scaled"
        super().__init__(space, context, inputs=inputs, head=head, components=components, order=order)
        if layers < 1:
            raise UsageError("expected 1 or more blocks", f"got layers={layers}", "4 is usual")
        self.register_buffer("places", self.order.argsort(), persistent=False)
        own = space.dims if not space.is_image else 1
        self.enter = BySite(own, self.input.size, width)
        # place 0 has no value before it: its embedding is all that enters there
        self.place = nn.Parameter(0.1 * torch.randn(space.dims, width))
        self.moved = nn.Linear(self.context_size, width, bias=False) if context else None
        self.blocks = nn.ModuleList(
            CausalBlock(width, heads, dropout, gain=(2 * layers) ** -0.5) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        # a small last layer starts near the uniform guess
        self.read = BySite(own, width, self.head.size, gain=0.03)

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (n, *shape, size) of every site's distribution given the earlier sites of rows x."""
        n, d = len(x), self.space.dims
        before = self.input(x).reshape(n, d, -1)[:, self.order[:-1]]
        entering = torch.cat(
            [before.new_zeros(n, 1, self.place.shape[1]), self.enter(before, self.order[:-1])], 1
        )
        h = entering + self.place
        shift = self._shift(c, n)
        if shift is not None:
            h = h + shift[:, None]
        for block in self.blocks:
            h = block(h)
        out = self.read(self.norm(h), self.order)
        return out[:, self.places].reshape(*x.shape, self.head.size)

    def samplers(self, n: int, c: Tensor | None = None) -> Mapping[str, Sampler]:
        """The sampler with a cache of keys and values."""
        shift = self._shift(c, n)
        moved = self.place if shift is None else self.place[:, None] + shift

        def embed(values: Tensor, place: int) -> Tensor:
            site = self.order[place - 1 : place]
            return self.enter(self.input.at(values[:, None], site), site)[:, 0] + moved[place]

        def read(h: Tensor, place: int) -> Tensor:
            return self.read(self.norm(h)[:, None], self.order[place : place + 1])[:, 0]

        start = moved[0].expand(n, -1).detach()
        return {"cached": CachedSampler(self.order, list(self.blocks), start, embed, read)}  # type: ignore[arg-type]

    def _shift(self, c: Tensor | None, n: int) -> Tensor | None:
        """What the context adds at every place, (n, width)."""
        given = self.features_of(c, n)
        return None if self.moved is None else self.moved(given)

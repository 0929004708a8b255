"""MADE: a dense network whose masks let every site see the earlier ones only (Germain et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.ancestral import ancestral, uniforms
from jensen.functional.masks import made_masks
from jensen.heads import head_for
from jensen.model import Model
from jensen.nn.masked import MaskedLinear
from jensen.nn.sites import SiteInput
from jensen.space import Space


class MADE(Model):
    """Masked autoencoder for distribution estimation, exact log mass of discrete rows in one pass.

    `hidden`: units of each hidden layer. `order`: the sites in the order they are drawn (default: as they lie).
    `skip`: a direct masked layer from input to output. `inputs`: "scaled" or "onehot". `head`: "bernoulli" or
    "categorical" (default: what suits the space). `dropout`: of hidden units, in training only.
    Sampling makes one pass a site.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "levels", "categorical"})
    order: Tensor

    def __init__(
        self,
        space: Space,
        hidden: Sequence[int] = (512, 512),
        *,
        order: Sequence[int] | None = None,
        skip: bool = True,
        dropout: float = 0.2,
        inputs: str | None = None,
        head: str | None = None,
    ) -> None:
        super().__init__(space)
        self.head = head_for(space, head)
        self.input = SiteInput(space, inputs)
        sites = torch.arange(space.dims) if order is None else torch.as_tensor(order)
        if len(sites) != space.dims:
            raise UsageError(
                "an order names every site once", f"got {len(sites)} for {space.dims} sites", "0 to d - 1"
            )
        masks = made_masks(sites, hidden, inputs_per_site=self.input.size, outputs_per_site=self.head.size)
        self.register_buffer("order", sites, persistent=False)
        self.hidden = nn.ModuleList(MaskedLinear(mask) for mask in masks.layers[:-1])
        self.dropout = nn.Dropout(dropout)
        # a small last layer starts near the uniform guess
        self.output = MaskedLinear(masks.layers[-1], gain=0.1)
        self.skip = MaskedLinear(masks.skip, gain=0.1) if skip else None

    def conditionals(self, x: Tensor) -> Tensor:
        """Parameters (n, *shape, size) of every site's distribution given the earlier sites of rows x."""
        features = self.input(x).flatten(1)
        h = features
        for layer in self.hidden:
            h = self.dropout(torch.relu(layer(h)))
        out = self.output(h)
        if self.skip is not None:
            out = out + self.skip(features)
        return out.reshape(*x.shape, self.head.size)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log P(x) (n,), nats, exact."""
        self.refuse_context(c)
        return self.head.log_prob(self.conditionals(x), x).flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape) int64."""
        self.refuse_context(c)
        u = uniforms(n, self.space.shape, generator, self.order.device)
        return ancestral(self.conditionals, self.head.sample, self.order, u)

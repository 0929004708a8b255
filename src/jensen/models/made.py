"""MADE: a dense network whose masks let every site see the earlier ones only (Germain et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from jensen.autoregressive import Autoregressive, Sampler
from jensen.functional.masks import made_masks
from jensen.heads import head_for
from jensen.nn.dropout import Dropout
from jensen.nn.masked import MaskedLinear
from jensen.nn.sites import input_for
from jensen.sampling.dense import IncrementalSampler, Layer
from jensen.space import Space

MOST_DIRECT = 2**26
"""Weights of the direct layer, at most, unless one is asked for: they grow with the square of the columns."""


class MADE(Autoregressive):
    """Masked autoencoder for distribution estimation, exact log-likelihood in one pass.

    `hidden`: units of each hidden layer. `order`: the sites in the order they are drawn: "raster" (as they lie, the
    channels of a pixel one after the other), "reversed", "random" (one permutation, always the same), or a list.
    `skip`: a direct masked layer from input to output; None: one unless it would have more than 2^26 weights, as for some 1,500
    columns of real numbers. `inputs`: "scaled" or "onehot". `head`: "bernoulli",
    "categorical", "logistic" (a mixture over levels), "gaussian" (a mixture over real numbers); default: what suits the
    space. `components`: of a mixture head. `dropout`: of hidden units, in training only.
    """

    accepts: ClassVar[frozenset[str]] = Autoregressive.accepts | {"mixed"}

    def __init__(
        self,
        space: Space,
        hidden: Sequence[int] = (512, 512),
        *,
        order: str | Sequence[int] | None = None,
        skip: bool | None = None,
        dropout: float = 0.2,
        inputs: str | None = None,
        head: str | None = None,
        components: int = 10,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context, inputs=inputs, head=head, components=components, order=order)
        weights = space.dims**2 * self.input.size * self.head.size
        direct = weights <= MOST_DIRECT if skip is None else skip
        masks = made_masks(
            self.order, hidden, inputs_per_site=self.input.size, outputs_per_site=self.head.size
        )
        self.degrees = masks.degrees
        self.hidden = nn.ModuleList(MaskedLinear(mask) for mask in masks.layers[:-1])
        self.dropout = Dropout(dropout)
        # a small last layer starts near the uniform guess
        self.output = MaskedLinear(masks.layers[-1], gain=0.1)
        self.skip = MaskedLinear(masks.skip, gain=0.1) if direct else None
        size = self.context_size
        self.shifts = nn.ModuleList(nn.Linear(size, len(mask), bias=False) for mask in masks.layers if size)

    @classmethod
    def sized(cls, space: Space, hyper: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments that the number of columns decides, for who builds the same model on fewer."""
        if hyper.get("skip") is not None:
            return {}
        head = head_for(space, hyper.get("head"), hyper.get("components", 10))
        weights = space.dims**2 * input_for(space, hyper.get("inputs")).size * head.size
        return {"skip": weights <= MOST_DIRECT}

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (n, *shape, size) of every site's distribution given the earlier sites of rows x."""
        shifts = self._shifts(self.features_of(c, len(x)))
        features = self.input(x).flatten(1)
        h = features
        for layer, shift in zip(self.hidden, shifts):
            h = layer(h) if shift is None else layer(h) + shift
            h = self.dropout(torch.relu(h))
        out = self.output(h) if shifts[-1] is None else self.output(h) + shifts[-1]
        if self.skip is not None:
            out = out + self.skip(features)
        return out.reshape(*x.shape, self.head.size)

    def samplers(self, n: int, c: Tensor | None = None) -> Mapping[str, Sampler]:
        """The incremental sampler."""
        shifts = self._shifts(self.features_of(c, n))
        hidden = [_layer(layer, shift) for layer, shift in zip(self.hidden, shifts)]
        output, skip = _layer(self.output, shifts[-1]), None
        if self.skip is not None:
            skip = self.skip.weight.detach()
            output = Layer(output.weight, output.bias + self.skip.bias.detach())
        sampler = IncrementalSampler(
            self.order, hidden, self.degrees, output, skip, self.head.size, self._features
        )
        return {"incremental": sampler}

    def _shifts(self, given: Tensor | None) -> list[Tensor | None]:
        """What the context adds to every layer, the output included: (n, units), or None."""
        if given is None:
            return [None] * (len(self.hidden) + 1)
        return [shift(given) for shift in self.shifts]

    def _features(self, values: Tensor, sites: Tensor) -> Tensor:
        """Values (n, m) of flat sites as features (n, m * size)."""
        return self.input.at(values, sites).flatten(1)


def _layer(layer: nn.Module, shift: Tensor | None) -> Layer:
    assert isinstance(layer, MaskedLinear)
    bias = layer.bias.detach()
    return Layer(layer.weight.detach(), bias if shift is None else bias + shift.detach())

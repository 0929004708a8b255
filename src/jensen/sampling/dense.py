"""The incremental sampler of a MADE: every hidden unit is computed once, when the last site it sees is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from jensen.sampling.walk import Walk


@dataclass(frozen=True)
class Layer:
    """A masked dense layer: weight (out, in), bias (out,) or, under a context, (n, out). Masked entries are never read."""

    weight: Tensor
    bias: Tensor


class IncrementalSampler:
    """Draws the sites in `order` (d,), with relu layers whose units of degree m see the sites of rank <= m.

    Units are sorted by degree, sites by rank, so that what is known is a prefix of columns of (n, units). At rank r:
    (1) the parameters of the site from the units of degree < r and, through `skip`, from the sites before; (2) the
    draw; (3) the units of degree r of each layer from the known prefix of the layer before. In all, the arithmetic of
    one pass, less the zeros: what is left is a dozen small operations a site, and the sorting of the weights.

    `degrees`: of the units of each hidden layer. `output`, `skip`: rows of `size` parameters a site. `features` maps
    values (n, 1) of a site to its features (n, inputs a site).
    """

    def __init__(
        self,
        order: Tensor,
        hidden: Sequence[Layer],
        degrees: Sequence[Tensor],
        output: Layer,
        skip: Tensor | None,
        size: int,
        features: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        self.order, self.features = order, features
        d = len(order)
        inside = hidden[0].weight.shape[1] if hidden else output.weight.shape[1]
        self.inputs = inside // d
        sites = _by_site(order, self.inputs)
        rows = _by_site(order, size)
        sorting = [degree.argsort(stable=True).to(order.device) for degree in degrees]
        before = [sites, *sorting]
        # starts[l][r]: the first unit of layer l, in order, of degree r or more
        counts = torch.arange(d + 1)
        self.starts = [torch.searchsorted(degree.sort().values, counts).tolist() for degree in degrees]
        self.hidden = [
            _split(layer, mine, seen, [b - a for a, b in pairwise(start)])
            for layer, seen, mine, start in zip(hidden, before, sorting, self.starts)
        ]
        self.output = _split(output, rows, before[-1], [size] * d)
        self.skip = None if skip is None else _sorted(skip, rows, sites).T.split(size, 1)

    @torch.no_grad()
    def __call__(self, walk: Walk) -> None:
        """Draw all sites of the walk."""
        n, d = walk.x.shape
        like = self.output[0][0]
        seen = like.new_zeros(n, d * self.inputs)
        units = [like.new_zeros(n, start[-1]) for start in self.starts]
        sites = self.order.split(1)
        for rank in range(d):
            values = walk.draw(self._parameters(rank, seen, units).unsqueeze(1), sites[rank])
            index = walk.go_on()
            if index is not None:
                values, seen, *units = (known[index] for known in (values, seen, *units))
            seen[:, rank * self.inputs : (rank + 1) * self.inputs] = self.features(values, sites[rank])
            self._grow(rank, seen, units)

    def _parameters(self, rank: int, seen: Tensor, units: list[Tensor]) -> Tensor:
        """(n, size) of the site of a rank."""
        weight, bias = self.output[rank]
        last = units[-1] if units else seen
        known = self.starts[-1][rank] if units else rank * self.inputs
        value = torch.addmm(bias, last[:, :known], weight[:known])
        if self.skip is not None and rank:
            before = rank * self.inputs
            value.addmm_(seen[:, :before], self.skip[rank][:before])
        return value

    def _grow(self, rank: int, seen: Tensor, units: list[Tensor]) -> None:
        """Compute the units of degree `rank` in every layer."""
        known, prefix = seen, (rank + 1) * self.inputs
        for layer, mine, start in zip(self.hidden, units, self.starts):
            first, end = start[rank], start[rank + 1]
            if first < end:
                weight, bias = layer[rank]
                new = torch.addmm(bias, known[:, :prefix], weight[:prefix])
                torch.clamp_min(new, 0, out=mine[:, first:end])
            known, prefix = mine, end


def _split(layer: Layer, out: Tensor, inside: Tensor, sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    """A layer with its units in order, as (weight (in, size), bias (size,) or (n, size)) for each rank."""
    weight, bias = _sorted(layer.weight, out, inside), layer.bias.index_select(-1, out)
    return list(zip(weight.T.split(sizes, 1), bias.split(sizes, -1)))


def _sorted(weight: Tensor, out: Tensor, inside: Tensor) -> Tensor:
    """weight[out][:, inside]; index_select takes a third of the time, and what is in order stays in place."""
    for axis, index in enumerate((out, inside)):
        if not torch.equal(index, torch.arange(len(index), device=index.device)):
            weight = weight.index_select(axis, index)
    return weight


def _by_site(order: Tensor, size: int) -> Tensor:
    """The positions of `size` features a site, site after site in the order they are drawn."""
    return (order[:, None] * size + torch.arange(size, device=order.device)).flatten()

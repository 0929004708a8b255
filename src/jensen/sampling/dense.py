"""The incremental sampler of a MADE: every hidden unit is computed once, when the last site it sees is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.sampling.walk import Walk


@dataclass(frozen=True)
class Layer:
    """A masked dense layer with its mask applied: weight (out, in), bias (out,) or, under a context, (n, out)."""

    weight: Tensor
    bias: Tensor


class IncrementalSampler:
    """Draws the sites in `order` (d,), with relu layers whose units of degree m see the sites of rank <= m.

    Units are sorted by degree, sites by rank; the activations are (units, n), so that what is known is a prefix of
    rows. At rank r: (1) the parameters of the site from the units of degree < r and, through `skip`, from the sites
    before; (2) the draw; (3) the units of degree r of each layer from the known prefix of the layer before. In all,
    the arithmetic of one pass, less the zeros.

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
        self.order, self.size, self.features = order, size, features
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
            Layer(layer.weight[mine][:, seen].contiguous(), layer.bias[..., mine])
            for layer, seen, mine in zip(hidden, before, sorting)
        ]
        self.output = Layer(output.weight[rows][:, before[-1]].contiguous(), output.bias[..., rows])
        self.skip = None if skip is None else skip[rows][:, sites].contiguous()

    @torch.no_grad()
    def __call__(self, walk: Walk) -> None:
        """Draw all sites of the walk."""
        n, d = walk.x.shape
        weight = self.output.weight
        seen = weight.new_zeros(d * self.inputs, n)
        units = [weight.new_zeros(len(layer.weight), n) for layer in self.hidden]
        hidden = [_columns(layer.bias, n) for layer in self.hidden]
        output = _columns(self.output.bias, n)
        sites = self.order.split(1)
        for rank in range(d):
            parameters = self._parameters(rank, seen, units, output)
            values = walk.draw(parameters.T.unsqueeze(1), sites[rank])
            if walk.survivors is not None:
                walk.x, values = walk.x[walk.survivors], values[walk.survivors]
                seen, *units = (known[:, walk.survivors] for known in (seen, *units))
            seen[rank * self.inputs : (rank + 1) * self.inputs] = self.features(values, sites[rank]).T
            self._grow(rank, seen, units, hidden)

    def _parameters(self, rank: int, seen: Tensor, units: list[Tensor], bias: Tensor) -> Tensor:
        """(size, n) of the site of a rank."""
        rows = slice(rank * self.size, (rank + 1) * self.size)
        value = bias[rows].clone()
        last = units[-1] if units else seen
        known = self.starts[-1][rank] if units else rank * self.inputs
        if known:
            value.addmm_(self.output.weight[rows, :known], last[:known])
        if self.skip is not None and rank:
            value.addmm_(self.skip[rows, : rank * self.inputs], seen[: rank * self.inputs])
        return value

    def _grow(self, rank: int, seen: Tensor, units: list[Tensor], bias: list[Tensor]) -> None:
        """Compute the units of degree `rank` in every layer."""
        known, prefix = seen, (rank + 1) * self.inputs
        for layer, mine, start, moved in zip(self.hidden, units, self.starts, bias):
            new = slice(start[rank], start[rank + 1])
            if new.start < new.stop:
                torch.addmm(moved[new], layer.weight[new, :prefix], known[:prefix], out=mine[new])
                mine[new].clamp_(min=0)
            known, prefix = mine, new.stop


def _columns(bias: Tensor, n: int) -> Tensor:
    """A bias (units,) or (n, units) as (units, n)."""
    return bias[:, None].expand(-1, n) if bias.ndim == 1 else bias.T


def _by_site(order: Tensor, size: int) -> Tensor:
    """The positions of `size` features a site, site after site in the order they are drawn."""
    return (order[:, None] * size + torch.arange(size, device=order.device)).flatten()

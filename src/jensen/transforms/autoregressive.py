"""Autoregressive maps: every feature moves by a map whose parameters the earlier features give (Papamakarios et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jensen.functional.masks import MadeMasks, made_masks
from jensen.nn.conditioner import Conditioner
from jensen.nn.elementwise import Elementwise
from jensen.sampling.adjoint import solve_adjoint
from jensen.transforms import Transform


class AutoregressiveMap(Transform):
    """z_i = m(x_i; network(x_1 .. x_i-1, c)): `encode` in one pass.

    `decode` finds one feature after the other; every hidden unit is computed once, so that it costs about one pass, in
    many small steps. Its gradient is that of the implicit function theorem, once differentiable, not of the steps:

    (1) x solves encode(x) = z, so that dx = J^-1 (dz - dF), dF the change of encode at a fixed x through weights and c.
    (2) Backward, g of x becomes u = J'^-1 g of z by back-substitution, which leaves the cotangent of every layer's
        pre-activations; the weights, biases and c take minus these, each layer by itself: one product.
    (3) log|det dx/dz| = -log|det dz/dx| at that x, an ordinary pass.
    """

    closed = frozenset({"encode"})

    def __init__(self, features: int, each: Elementwise, hidden: Sequence[int], *, context: int = 0) -> None:
        super().__init__()
        masks = _sorted(made_masks(features, hidden, outputs_per_site=each.parameters))
        self.features, self.each, self.degrees = features, each, masks.degrees
        self.network = Conditioner(features, features, each.parameters, hidden, context=context, masks=masks)

    @property
    def triangular_in(self) -> Tensor:  # type: ignore[override]
        """The features as they come."""
        return torch.arange(self.features)

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_slope = self.each.forward(x, self.network(x, c))
        return z, log_slope.sum(0)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # half precision is for products of activations: here every feature stands on the rounding of those before
        with torch.autocast(z.device.type, enabled=False):
            weight = self.network.layers[-1].weight
            z, c = z.to(weight.dtype), None if c is None else c.to(weight.dtype)  # type: ignore[arg-type]
            x, log_det = self._solve(z, c)
            given = (z, *self.parameters(), *([] if c is None else [c]))
            if not torch.is_grad_enabled() or not any(one.requires_grad for one in given):
                return x, log_det
            layers = [layer.live.detach() for layer in self.network.layers]  # type: ignore[operator]
            x = _Implicit.apply(x, z, self, layers, *self.network.apart(x, c))
            return x, -self.encode(x, c)[1]

    def moving(self, x: Tensor) -> Tensor:
        return x

    @torch.no_grad()
    def _solve(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Feature by feature: its parameters from the units that see the features before; the inverse map; the units of
        every layer that wait for it alone.

        Columns throughout: the two rows that a feature adds to a layer of 128 units are a product five times as fast as
        the same two columns of (n, 128).
        """
        d, n = z.shape
        *hidden, (weight, bias) = self.network.stacked(c)
        x, slopes = torch.empty_like(z), []
        # units are sorted by degree: those that see the first i features alone are the first starts[l][i] of a layer
        starts = [torch.searchsorted(one, torch.arange(d + 1)).tolist() for one in self.degrees]
        known = [x, *(z.new_empty(start[-1], n) for start in starts)]
        fresh = [
            (weight.split(sizes), bias.split(sizes), units.split(sizes), sizes, start)
            for (weight, bias), units, start in zip(hidden, known[1:], starts)
            for sizes in [[b - a for a, b in pairwise(start)]]
        ]
        weights, biases = (one.view(-1, d, one.shape[1]).unbind(1) for one in (weight, bias))
        for i, (of_z, of_x) in enumerate(zip(z, x)):
            seen = starts[-1][i] if starts else i
            found = torch.addmm(biases[i], weights[i][:, :seen], known[-1][:seen])
            value, log_slope = self.each.inverse(of_z, found)
            of_x.copy_(value)
            slopes.append(log_slope)
            before, seen = x, i + 1
            for (weight, bias, units, sizes, start), mine in zip(fresh, known[1:]):
                if sizes[i]:
                    torch.addmm(bias[i], weight[i][:, :seen], before[:seen], out=units[i]).relu_()
                before, seen = mine, start[i + 1]
        return x, torch.stack(slopes).sum(0)


def _sorted(masks: MadeMasks) -> MadeMasks:
    """The same masks with the units of every hidden layer in the order of their degrees."""
    sorting = [degree.argsort(stable=True) for degree in masks.degrees]
    *hidden, last = masks.layers
    for i, order in enumerate(sorting):
        hidden[i] = hidden[i][order] if i == 0 else hidden[i][order][:, sorting[i - 1]]
    last = last[:, sorting[-1]] if sorting else last
    degrees = tuple(degree[order] for degree, order in zip(masks.degrees, sorting))
    return MadeMasks((*hidden, last), masks.skip, degrees)


class _Implicit(torch.autograd.Function):
    """The x (d, n) that encode takes to z (d, n); gradients to z and to the pre-activations of every layer at x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor, one: AutoregressiveMap, weights: list[Tensor], *values: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, *values)
        ctx.one, ctx.weights = one, weights
        return x.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, *hidden, output = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            parameters = output.detach().view(-1, *x.shape).requires_grad_()
            moved, _ = ctx.one.each.forward(x, parameters)
            slope, by_parameter = torch.autograd.grad(moved.sum(), (x, parameters))
        active = [one.gt(0).to(g.dtype) for one in hidden]
        u, cotangents = solve_adjoint(g, slope, by_parameter, ctx.weights, active, ctx.one.degrees)
        return None, u, None, None, *(-one for one in cotangents)

"""Autoregressive maps: every feature moves by a map whose parameters the earlier features give (Papamakarios et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jensen.functional.masks import made_masks
from jensen.nn.conditioner import Conditioner
from jensen.nn.elementwise import Elementwise
from jensen.sampling.dense import IncrementalSampler, Layer
from jensen.transforms import Transform


class AutoregressiveMap(Transform):
    """z_i = m(x_i; network(x_1 .. x_i-1, c)): `encode` in one pass.

    `decode` finds one feature after the other; every hidden unit is computed once, so that it costs about one pass, in
    many small steps, and carries no gradient.
    """

    closed = frozenset({"encode"})

    def __init__(self, features: int, each: Elementwise, hidden: Sequence[int], *, context: int = 0) -> None:
        super().__init__()
        masks = made_masks(features, hidden, outputs_per_site=each.parameters)
        self.features, self.each, self.degrees = features, each, masks.degrees
        self.network = Conditioner(features, features, each.parameters, hidden, context=context, masks=masks)

    @property
    def triangular_in(self) -> Tensor:  # type: ignore[override]
        """The features as they come."""
        return torch.arange(self.features)

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_slope = self.each.forward(x, self.network(x, c))
        return z, log_slope.sum(0)

    @torch.no_grad()
    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        *hidden, output = [
            Layer(layer.live.detach(), layer.moved(c))  # type: ignore[operator]
            for layer in self.network.layers
        ]
        d = len(z)
        # back to the parameters of a feature side by side
        rows = torch.arange(len(output.weight), device=z.device).view(-1, d).T.flatten()
        output = Layer(output.weight[rows], output.bias[..., rows])
        order = torch.arange(d, device=z.device)
        sampler = IncrementalSampler(
            order, hidden, self.degrees, output, None, self.each.parameters, lambda values, sites: values
        )
        walk = _Solve(z, self.each)
        sampler(walk)  # type: ignore[arg-type]
        return walk.x.T.contiguous(), walk.log_det


class _Solve:
    """Walks the features of z (d, n) as a sampler walks sites: a draw is the inverse map, not chance."""

    def __init__(self, z: Tensor, each: Elementwise) -> None:
        self.z, self.each = z, each
        self.x = torch.zeros_like(z.T)
        self.log_det = z.new_zeros(z.shape[1])

    def draw(self, parameters: Tensor, sites: Tensor) -> Tensor:
        """Values (n, m) of features (m,) from parameters (n, m, size)."""
        x, log_slope = self.each.inverse(self.z[sites], parameters.permute(2, 1, 0).contiguous())
        self.x[:, sites] = x.T
        self.log_det += log_slope.sum(0)
        return x.T

    def go_on(self) -> None:
        """All columns go on as they are."""

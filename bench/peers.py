"""Autoregressive models re-created in plain torch, the way people write them, for comparison.

No release of pytorch-generative installs with this torch, so its manner is re-created and named so: masks multiplied
into `weight.data` in forward, and sampling by one pass of the whole network a pixel. The dense one is the masked layer
of zuko and nflows, `linear(x, weight * mask)`, which they pass through once a site too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.functional.masks import made_masks


class MaskedConv(nn.Conv2d):
    """A convolution that overwrites its own weights with the masked ones."""

    def __init__(self, inside: int, out: int, mask: Tensor) -> None:
        height, width = mask.shape
        super().__init__(inside, out, (height, width), padding=(height // 2, width // 2))
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data *= self.mask
        return super().forward(x)


class GatedLayer(nn.Module):
    """A vertical and a horizontal stack, each gated, linked by a 1x1 convolution."""

    def __init__(self, inside: int, channels: int, kernel: int, first: bool) -> None:
        super().__init__()
        self.first, half = first, kernel // 2
        rows, columns = torch.zeros(kernel, kernel), torch.zeros(1, kernel)
        rows[: half + (not first)] = 1
        columns[:, : half + (not first)] = 1
        self.vertical = MaskedConv(inside, 2 * channels, rows)
        self.horizontal = MaskedConv(inside, 2 * channels, columns)
        self.link = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        above = self.vertical(v)
        gate = _gate(self.horizontal(h) + self.link(above))
        step = self.out(gate)
        return _gate(above), step if self.first else h + step


class GatedPixelCNN(nn.Module):
    """Re-created: one logit a pixel of binary images (n, 1, height, width)."""

    def __init__(self, channels: int, layers: int, kernel: int = 7, block_kernel: int = 3) -> None:
        super().__init__()
        blocks = [GatedLayer(channels, channels, block_kernel, False) for _ in range(layers)]
        self.blocks = nn.ModuleList([GatedLayer(1, channels, kernel, True), *blocks])
        self.hidden, self.last = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        v = h = x.float() * 2 - 1
        for block in self.blocks:
            v, h = block(v, h)
        return self.last(F.relu(self.hidden(F.relu(h))))

    @torch.no_grad()
    def sample(self, n: int, side: int) -> Tensor:
        """One pass of the whole network a pixel."""
        x = torch.zeros(n, 1, side, side)
        for row in range(side):
            for column in range(side):
                x[..., row, column] = torch.bernoulli(torch.sigmoid(self(x)[..., row, column]))
        return x


class MaskedLinear(nn.Linear):
    """A dense layer under a mask."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.mask * self.weight, self.bias)


class MaskedMLP(nn.Module):
    """Re-created: one logit a site of binary rows (n, sites), without a skip layer."""

    def __init__(self, sites: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        layers = [MaskedLinear(mask) for mask in made_masks(sites, hidden).layers]
        pairs = [module for layer in layers for module in (layer, nn.ReLU())]
        self.layers = nn.Sequential(*pairs[:-1])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x.float() * 2 - 1)
        return found

    @torch.no_grad()
    def sample(self, n: int, sites: int) -> Tensor:
        """One pass a site."""
        x = torch.zeros(n, sites)
        for site in range(sites):
            x[:, site] = torch.bernoulli(torch.sigmoid(self(x)[:, site]))
        return x


def _gate(x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)

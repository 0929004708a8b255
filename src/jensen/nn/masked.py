"""Layers whose weights carry a fixed mask, applied in the forward pass.

`weight * mask` keeps dead weights out of the gradient, so they stay at the zero they start from under any optimiser,
do not distort gradient clipping, and `functional_call`, `torch.func.grad` and `torch.export` see the same function.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.sampling.stack import Link


class MaskedLinear(nn.Module):
    """y = x (weight * mask)^T + bias; mask (out, in) of 0/1. `gain` scales the usual initial weights."""

    mask: Tensor

    def __init__(self, mask: Tensor, gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("mask", mask.float(), persistent=False)
        self.weight = nn.Parameter(torch.empty(mask.shape))
        self.bias = nn.Parameter(torch.empty(len(mask)))
        _live_init(self.weight, self.bias, self.mask, gain)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in) -> (n, out)."""
        return F.linear(x, self.weight * self.mask, self.bias)


class MaskedConv2d(nn.Module):
    """Cross-correlation with weight * mask, zero padding that keeps the size; mask (out, in, kh, kw) of 0/1."""

    mask: Tensor

    def __init__(self, mask: Tensor, gain: float = 1.0) -> None:
        super().__init__()
        # channels last: a quarter faster here on CPUs, and the product with the mask keeps the layout
        mask = mask.float().contiguous(memory_format=torch.channels_last)
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(torch.empty_like(mask))
        self.bias = nn.Parameter(torch.empty(len(mask)))
        self.padding = (mask.shape[2] // 2, mask.shape[3] // 2)
        _live_init(self.weight, self.bias, self.mask, gain)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w)."""
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    def link(self, source: int) -> Link:
        """The same map as a link of a sampling stack: the taps that the mask keeps."""
        live = (self.weight * self.mask).detach().flatten(2)
        kept = self.mask.flatten(2).any(0).any(0).nonzero().flatten().tolist()
        width = self.mask.shape[3]
        taps = tuple((tap // width - self.padding[0], tap % width - self.padding[1]) for tap in kept)
        return Link(source, taps, live[:, :, kept].permute(2, 1, 0).contiguous())


def channels_last(x: Tensor) -> Tensor:
    """(n, c, h, w) with the channels of a pixel side by side in memory; the values stay.

    Permutations do what `contiguous(memory_format=...)` does, and `torch.func.vmap` takes them.
    """
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


@torch.no_grad()
def _live_init(weight: Tensor, bias: Tensor, mask: Tensor, gain: float) -> None:
    """Uniform on +-gain / sqrt(live taps of the row): the fan-in counts only what the mask keeps."""
    live = mask.flatten(1).sum(1).clamp(min=1)
    bound = (gain / live.sqrt()).reshape(-1, *[1] * (weight.ndim - 1))
    weight.uniform_(-1, 1).mul_(bound * mask)
    bias.uniform_(-1, 1).mul_(bound.flatten())

"""Causal convolutions over a window of the rows above and the columns beside, cropped instead of masked."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.sampling.stack import Link, Tap


class Window(nn.Module):
    """y[r, c] = bias + sum of W x[r + i, c + j] over rows -above <= i <= 0 and columns -left <= j <= right.

    Zero outside the image. Windows that end before the pixel (`right` < 0) are how a horizontal stack leaves a pixel
    out. `mask` (out, in) of 0/1 restricts the centre tap alone: the order of an image's channels. `gain` scales the
    initial weights, uniform on +-gain / sqrt(live taps).
    """

    mask: Tensor | None

    def __init__(
        self,
        inside: int,
        out: int,
        *,
        above: int = 0,
        left: int = 0,
        right: int = 0,
        mask: Tensor | None = None,
        bias: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.above, self.left, self.right = above, left, right
        full = None
        if mask is not None and not bool(mask.all()):
            full = torch.ones(out, inside, above + 1, left + right + 1)
            full[:, :, above, left] = mask
        self.register_buffer("mask", full, persistent=False)
        self.weight = nn.Parameter(torch.empty(out, inside, above + 1, left + right + 1))
        self.bias = nn.Parameter(torch.empty(out)) if bias else None
        with torch.no_grad():
            kept = torch.ones_like(self.weight) if full is None else full
            bound = gain / kept.flatten(1).sum(1).clamp(min=1).sqrt()
            self.weight.uniform_(-1, 1).mul_(bound.view(-1, 1, 1, 1) * kept)
            if self.bias is not None:
                self.bias.uniform_(-1, 1).mul_(bound)

    @property
    def live(self) -> Tensor:
        """The weight under its mask."""
        return self.weight if self.mask is None else self.weight * self.mask

    @property
    def offset(self) -> Tensor:
        """The bias (out,), zeros where there is none, without gradient."""
        return self.weight.new_zeros(len(self.weight)) if self.bias is None else self.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w): padded on both sides as the library can, then cropped."""
        height, width = x.shape[2:]
        pad = max(self.left, self.right, 0)
        y = F.conv2d(x, self.live, self.bias, padding=(self.above, pad))
        first = pad - self.left
        return y if y.shape[2:] == x.shape[2:] else y[:, :, :height, first : first + width]

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The window's (row, column) steps, in the order of the weight."""
        return tuple((i, j) for i in range(-self.above, 1) for j in range(-self.left, self.right + 1))

    def link(self, source: int, shift: int = 0) -> Link:
        """The same map as a link of a sampling stack, its input `shift` rows further up."""
        weight = self.live.detach().flatten(2).permute(2, 1, 0).contiguous()
        return Link(source, tuple((i - shift, j) for i, j in self.taps), weight)

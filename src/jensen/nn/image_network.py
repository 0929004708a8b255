"""A small convolutional network that gives parameters at every pixel."""

from __future__ import annotations

from torch import Tensor, nn


class ImageNetwork(nn.Module):
    """(n, inside, height, width) -> (n, out, height, width): 3x3, 1x1 and 3x3 convolutions, relu between. Starts at zero.

    A context (n, context, height or 1, width or 1) adds to both hidden layers before their relu.
    Source: Kingma & Dhariwal 2018, section 3.3, without the normalisation of the hidden layers.
    """

    def __init__(self, inside: int, out: int, width: int, *, context: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 1)
        self.last = nn.Conv2d(width, out, 3, padding=1)
        self.given = nn.Conv2d(context, 2 * width, 1, bias=False) if context else None
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The parameters."""
        h: Tensor = self.first(x)
        if self.given is None or c is None:
            h = self.second(h.relu_())
        else:
            early, late = self.given(c).chunk(2, 1)
            h = self.second((h + early).relu_()) + late
        out: Tensor = self.last(h.relu_())
        return out

"""Residual convolutions that turn an image into a vector."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d


class ResidualBlock(nn.Module):
    """relu(x + f(x)), f two 3x3 convolutions with batch normalisation; a stride or new width moves to a 1x1 shortcut.

    The basic block of He, Zhang, Ren, Sun 2016.
    """

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after) for _ in range(2)])
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) -> (n, after, h / stride, w / stride)."""
        y = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.norms[1](self.second(y)) + self.shortcut(x))


class Halving(nn.Module):
    """relu(f(x) + g(x)) at half the size: f one 3x3 convolution, g a 1x1 convolution of 2x2 means.

    A third of the cost of a basic block with stride 2.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.main = nn.Conv2d(before, after, 3, 2, 1, bias=False)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) -> (n, after, ceil(h / 2), ceil(w / 2))."""
        small = avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        return torch.relu(self.norm(self.main(x) + self.shortcut(small)))


def small_net(channels: int, side: int, width: int, features: int) -> nn.Sequential:
    """A net for images of 8 to 64 pixels: a stem, halvings to four pixels or fewer, the mean over positions.

    `side`: the longer one. Widths double up to `features`, which the last layer has.
    """
    large = side >= 16
    stem = nn.Conv2d(channels, width, 5 if large else 3, 2 if large else 1, 2 if large else 1, bias=False)
    sizes = [-(-side // 2) if large else side]
    while sizes[-1] > 4 or len(sizes) < 2:
        sizes.append(-(-sizes[-1] // 2))
    widths = [width, *(min(width << i, features) for i in range(1, len(sizes) - 1)), features]
    blocks = [Halving(before, after) for before, after in pairwise(widths)]
    return nn.Sequential(
        stem, nn.BatchNorm2d(width), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def resnet18(channels: int, width: int = 64) -> nn.Sequential:
    """ResNet-18 in the form for CIFAR: a 3x3 stem of stride 1 and no max-pool; 8 x width features."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    before = width
    for i in range(4):
        after = width << i
        layers += [ResidualBlock(before, after, 1 if i == 0 else 2), ResidualBlock(after, after)]
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
